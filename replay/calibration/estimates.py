"""Estimates with what there is to say against them: number and distribution of samples, interval, error on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.calibration.bootstrap import Floats, interval
from replay.errors import ReplayError
from sim.models.variation import MOST_SPREAD

Statistic = Callable[[Floats], float]  # of rows of samples

MIN_SAMPLES = 5  # with fewer, an interval says nothing
QUANTILES = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number for a calibration file, and where it comes from. distribution: of its samples, see
    ``distribution_of``; empty where there are none."""

    value: float
    source: str
    distribution: Mapping[str, float] = field(default_factory=dict)

    def as_entry(self) -> dict[str, Any]:
        """What stands in the file."""
        entry = {"value": self.value, "source": self.source}
        return {**entry, "distribution": dict(self.distribution)} if self.distribution else entry


def estimate(
    what: str,
    rows: Floats,
    is_late: npt.NDArray[np.bool_],
    statistic: Statistic,
    how: str,
    *,
    each: Statistic | None = None,
) -> Estimate:
    """A statistic of sample rows (n x columns) in the order of time, with a 95 % interval, the error of what one half
    tells of the other, and the distribution of what rows say.

    is_late: whether a row is of the second half of its run. each: what one row says, the statistic itself by default;
    see ``nothing``. The interval is that of ``replay.calibration.bootstrap``. Raises ReplayError for too few rows,
    naming ``what``.
    """
    n = len(rows)
    if n < MIN_SAMPLES:
        raise ReplayError(f"{what}: the runs have {n} samples, must be at least {MIN_SAMPLES}; replay for longer")
    value = statistic(rows)
    low, high, block = interval(rows, statistic, np.random.default_rng(0))
    held_out = "too few for a hold-out"
    if min(np.sum(is_late), np.sum(~is_late)) >= MIN_SAMPLES:
        fitted, seen = statistic(rows[~is_late]), statistic(rows[is_late])
        held_out = f"hold-out error {abs(fitted / seen - 1):.1%}" if seen else f"hold-out {fitted:.4g} instead of 0"
    alone = np.array([(each or statistic)(rows[[i]]) for i in range(n)])
    said = f"95 % interval {low:.4g} to {high:.4g} by blocks of {block:.3g}"
    return Estimate(value, f"measured: {how}; n = {n}, {said}, {held_out}", distribution_of(alone))


def distribution_of(values: Floats) -> dict[str, float]:
    """Number, standard deviation, extremes and QUANTILES of the finite values, to 6 digits; empty without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return {}
    quantiles = dict(zip(QUANTILES, np.quantile(known, list(QUANTILES.values())).tolist(), strict=True))
    found = {"sd": float(known.std()), "least": float(known.min()), **quantiles, "most": float(known.max())}
    return {"n": len(known), **{name: float(f"{value:.6g}") for name, value in found.items()}}


def nothing(rows: Floats) -> float:
    """What one row says of a number that only many rows have."""
    return float("nan")


def mean(rows: Floats) -> float:
    """Mean of the first column."""
    return float(rows[:, 0].mean())


def ratio(rows: Floats) -> float:
    """Sum of the first column / sum of the second: bytes and seconds give bytes/s; NaN when that is 0."""
    total = float(rows[:, 1].sum())
    return float(rows[:, 0].sum()) / total if total else float("nan")


def spread(rows: Floats) -> float:
    """Coefficient of variation of the first column; a calibration has no more than MOST_SPREAD."""
    return min(float(rows[:, 0].std(ddof=1) / rows[:, 0].mean()), MOST_SPREAD)


def non_negative(terms: Sequence[Floats], y: Floats) -> list[float]:
    """Least squares of y over a few terms with coefficients >= 0, by trying each subset of them (Lawson and Hanson,
    Solving Least Squares Problems, 1974, problem NNLS)."""
    best, best_error = [0.0] * len(terms), float(y @ y)
    for size in range(1, len(terms) + 1):
        for subset in combinations(range(len(terms)), size):
            matrix = np.column_stack([terms[i] for i in subset])
            scale = np.abs(matrix).max(axis=0)
            if not scale.all():
                continue
            solution = np.linalg.lstsq(matrix / scale, y, rcond=None)[0] / scale
            error = float(np.sum((matrix @ solution - y) ** 2))
            if (solution >= 0).all() and error < best_error:
                best, best_error = [0.0] * len(terms), error
                for i, coefficient in zip(subset, solution.tolist(), strict=True):
                    best[i] = coefficient
    return best
