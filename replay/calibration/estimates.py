"""Estimates with what there is to say against them: number of samples, interval, error on samples not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.errors import ReplayError
from sim.models.variation import MOST_SPREAD

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], float]  # of rows of samples

MIN_SAMPLES = 5  # with fewer, an interval says nothing
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number for a calibration file, and where it comes from."""

    value: float
    source: str

    def as_entry(self) -> dict[str, Any]:
        """What stands in the file."""
        return {"value": self.value, "source": self.source}


def estimate(what: str, rows: Floats, is_late: npt.NDArray[np.bool_], statistic: Statistic, how: str) -> Estimate:
    """A statistic of sample rows (n x columns), with a 95 % interval and the error of what one half tells of the other.

    is_late: whether a row is of the second half of its run. The interval is a percentile bootstrap (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Raises ReplayError for too few rows, naming
    ``what``.
    """
    n = len(rows)
    if n < MIN_SAMPLES:
        raise ReplayError(f"{what}: the runs have {n} samples, must be at least {MIN_SAMPLES}; replay for longer")
    value = statistic(rows)
    rng = np.random.default_rng(0)
    resampled = [statistic(rows[rng.integers(0, n, n)]) for _ in range(_RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    held_out = "too few for a hold-out"
    if min(np.sum(is_late), np.sum(~is_late)) >= MIN_SAMPLES:
        fitted, seen = statistic(rows[~is_late]), statistic(rows[is_late])
        held_out = f"hold-out error {abs(fitted / seen - 1):.1%}" if seen else f"hold-out {fitted:.4g} instead of 0"
    return Estimate(value, f"measured: {how}; n = {n}, 95 % interval {low:.4g} to {high:.4g}, {held_out}")


def mean(rows: Floats) -> float:
    """Mean of the first column."""
    return float(rows[:, 0].mean())


def ratio(rows: Floats) -> float:
    """Sum of the first column / sum of the second: bytes and seconds give bytes/s."""
    return float(rows[:, 0].sum() / rows[:, 1].sum())


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
