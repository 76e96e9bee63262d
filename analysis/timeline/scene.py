"""What a timeline is drawn from: the part of a run that is in its window, and what of that is shown by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis import spans
from analysis.metrics import Floats
from analysis.timeline.lanes import Ints
from analysis.timeline.thinning import NEIGHBOURS, Bools, greatest
from sim.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run

MOST_INVOCATIONS = 200_000  # shown by themselves
MOST_STARTS = 20_000
MOST_INSTANTS = 50_000  # orders; evictions
MOST_POINTS = 20_000  # of a counter
N_PARTS = 5_000  # of the span: a gap shorter than one does not part what is shown together


def ns(at_s: Floats | pd.Series[float]) -> Ints:
    """Instants in whole nanoseconds."""
    whole: Ints = np.rint(np.asarray(at_s) * 1e9).astype(np.int64)
    return whole


@dataclass(frozen=True)
class Scene:
    """invocations, workers: those of ``analysis.spans`` that are there in the window, with columns ``kept``: they are
    shown by themselves. span_ns: of all that is shown. functions: their names. node_of, link_of: of each device."""

    run: Run
    invocations: pd.DataFrame
    workers: pd.DataFrame
    window_ns: tuple[int, int]
    span_ns: tuple[int, int]
    functions: list[str]
    node_of: list[int]
    link_of: list[int]

    @property
    def gap_ns(self) -> int:
        """The longest gap between what is shown as one."""
        return (self.span_ns[1] - self.span_ns[0]) // N_PARTS

    def inside(self, at_ns: Ints) -> Bools:
        """Which instants are in the window."""
        return (at_ns >= self.window_ns[0]) & (at_ns <= self.window_ns[1])

    def thinned(self) -> list[str]:
        """In sentences, what is not shown by itself."""
        told = []
        for what, rows, longest in (("invocations", self.invocations, "latency"), ("workers", self.workers, "start")):
            n, n_kept = len(rows), int(rows["kept"].sum())
            if n_kept < n:
                told.append(
                    f"{n_kept:,} of {n:,} {what} are shown by themselves: of each {NEIGHBOURS:,} in order "
                    f"those with the longest {longest}"
                )
        if told:
            told.append(
                "the others are slices that hold what followed on a track with gaps of at most "
                f"{self.gap_ns / 1e9:.6g} s; counters count all"
            )
        return told


def scene(run: Run, window_s: tuple[float, float] | None) -> Scene:
    """Read a run. Raises RunError for a table that can't be read, and a window in which no invocation is there."""
    invocations, workers = spans.invocations(run), spans.workers(run)
    end_s = spans.end_s(run)
    from_s, to_s = window_s or (0.0, end_s)
    there = (invocations["arrival_at_s"] <= to_s) & (invocations["over_at_s"] >= from_s)
    invocations = invocations[there].reset_index(drop=True)
    if window_s and not len(invocations):
        window = f"the window, from {from_s:g} s to {to_s:g} s"
        raise RunError(f"{run.path}: nothing is in {window}; the run ended at {end_s:.6g} s")
    by_arrival = np.argsort(invocations["arrival_at_s"].to_numpy(), kind="stable")
    latency_s = (invocations["over_at_s"] - invocations["arrival_at_s"]).to_numpy()
    kept = np.zeros(len(invocations), bool)
    kept[by_arrival] = greatest(latency_s[by_arrival], MOST_INVOCATIONS)
    n_devices = 1 + int(max(0, workers["device"].max()))
    shown = (workers["begun_at_s"] <= to_s) & (workers["over_at_s"] >= from_s)
    shown |= workers["worker"].isin(invocations["worker"])  # for which some only waited in the window
    workers = workers[shown].reset_index(drop=True)
    start_s = (workers["climbed_at_s"] - workers["begun_at_s"]).to_numpy()
    first_s = min(from_s, invocations["dispatch_at_s"].min(), invocations["arrival_at_s"].min())
    last_s = max(to_s, invocations["over_at_s"].max())
    return Scene(
        run,
        invocations.assign(kept=kept),
        workers.assign(kept=greatest(start_s, MOST_STARTS)),
        (round(from_s * 1e9), round(to_s * 1e9)),
        (round(first_s * 1e9), round(last_s * 1e9)),
        spans.function_names(run),
        spans.nodes(run, n_devices),
        spans.links(run, n_devices),
    )
