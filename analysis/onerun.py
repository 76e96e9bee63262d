"""What one long run says of its means, by batches of its invocations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.measures import Measure
from analysis.runs import measured, warnings
from analysis.statistics.batches import BatchMeans, batch_means, in_batches
from analysis.statistics.interval import CONFIDENCE, Floats
from analysis.statistics.replications import Pairing, paired
from analysis.statistics.warmup import mser5
from sim.errors import RunError
from sim.records.backlog import is_steady
from sim.records.results import Run
from sim.records.totals import TIMES

_WARM_UP = 10  # one part in so many at the beginning is left out of a run that measures it
_MEAN = ".mean"  # the end of the column of a measure that is a mean over invocations


@dataclass(frozen=True, slots=True)
class Inside:
    """n_cut: invocations at the beginning that are left out as its warm-up. n: those that are left.

    suggested: how many MSER-5 would leave out; None where it has no answer. It isn't followed: to cut where a run
    happens to be slow makes its mean too small.
    """

    means: BatchMeans
    n_cut: int
    n: int
    suggested: int | None


@dataclass(frozen=True, slots=True)
class PairedInside:
    """As ``Inside``, of two runs of the same arrivals. pairing: None where batches depend on each other.

    value, baseline: means of what is left of the two.
    """

    pairing: Pairing | None
    means: BatchMeans
    value: float
    baseline: float
    n_cut: int
    n: int


def has_batches(measure: Measure) -> bool:
    """Whether it is a mean over invocations, which batches of them can tell."""
    return measure.column.endswith(_MEAN) and measure.column.removesuffix(_MEAN) in TIMES


def inside(run: Run, measure: Measure, confidence: float = CONFIDENCE) -> Inside:
    """Batch means of what a run measures; without its first tenth, if the run has no warm-up of its own.

    Raises RunError for a measure that is no mean over invocations, a run that is not steady, and a table that can't be
    read.
    """
    if not has_batches(measure):
        known = ", ".join(name + _MEAN for name in TIMES)
        raise RunError(f"metric {measure.name!r} is no mean over invocations; those are {known}")
    if not is_steady(warnings(run)):
        raise RunError(f"{run.path}: is not steady, so its means say how long it lasted")
    values = _times_s(run, measure)
    values = values[~np.isnan(values)]
    if not len(values):
        raise RunError(f"{run.path}: completed no invocation")
    n_cut = _n_cut(run, len(values))
    return Inside(batch_means(values[n_cut:], confidence), n_cut, len(values) - n_cut, mser5(values))


def paired_inside(run: Run, baseline: Run, measure: Measure, confidence: float = CONFIDENCE) -> PairedInside:
    """Compare two runs of the same arrivals, batch by batch, over the invocations that both completed.

    Raises RunError for runs of other arrivals, and a table that can't be read.
    """
    value, base = _times_s(run, measure), _times_s(baseline, measure)
    if len(value) != len(base):
        counts = f"{len(value):,} and {len(base):,}"
        raise RunError(f"{run.path} and {baseline.path}: have {counts} invocations, must have the same arrivals")
    both = ~(np.isnan(value) | np.isnan(base))
    if not both.any():
        raise RunError(f"{run.path} and {baseline.path}: have no invocation that both completed")
    value, base = value[both], base[both]
    n_cut = _n_cut(run, len(value))
    value, base = value[n_cut:], base[n_cut:]
    means = batch_means(value - base, confidence)
    n = means.interval.n
    pairing = paired(in_batches(value, n), in_batches(base, n), confidence=confidence) if means.interval.known else None
    return PairedInside(pairing, means, float(value.mean()), float(base.mean()), n_cut, len(value))


def _n_cut(run: Run, n: int) -> int:
    """How many of ``n`` invocations are left out at the beginning of what a run measures."""
    return 0 if run.summary.get("measured", {}).get("from_s") else n // _WARM_UP


def _times_s(run: Run, measure: Measure) -> Floats:
    """The times that a measure is the mean of, in order of arrival; NaN of an invocation that was not completed."""
    start, end = TIMES[measure.column.removesuffix(_MEAN)]
    columns = dict.fromkeys(["invocation", "status", "arrival_at_s", start, end])
    table = measured(run, run.table("invocations", list(columns))).sort_values("invocation")
    times_s = (table[end] - table[start]).to_numpy(np.float64)
    return np.where((table["status"] == "completed").to_numpy(), times_s, np.nan)
