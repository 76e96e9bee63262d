"""Durations from the percentiles that Azure 2019 publishes for each function and day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from traces.units import Floats

POINTS = (0, 1, 25, 50, 75, 99, 100)
"""Published percentiles. They are of 30-second *averages*, so the spread of single invocations is understated."""

FLOOR_S = 1e-3
"""The resolution of the published table (whole milliseconds); shorter durations read as this."""

DEFAULT_S = math.exp(-0.38)
"""Duration of a function without a row, 0.684 s: the median over functions, LogNormal(-0.38, 2.36) s, of
Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, section 3.4. A constant, since the spread of that law
is between functions."""

_PROBABILITIES = np.array(POINTS) / 100.0
_STEPS = np.repeat(np.arange(len(POINTS) - 1), np.diff(POINTS))  # between which points each whole percent lies


@dataclass(frozen=True)
class DurationTable:
    """Durations of functions on one day. mean_s: (n,), > 0. quantiles_s: (n, 7), ascending, >= FLOOR_S.

    ``mean_s`` is the published Average, which is weighted by invocations and so the better estimate of the mean.
    The last row is the default, ``DEFAULT_S``: row -1 stands for a function that the day's table lacks.
    """

    mean_s: Floats
    quantiles_s: Floats

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> DurationTable:
        """The table of the functions at these rows, without a default row."""
        return DurationTable(self.mean_s[rows], self.quantiles_s[rows])

    def draw_s(self, rows: npt.NDArray[np.integer[Any]], rng: np.random.Generator) -> Floats:
        """One duration a row by inverse transform, the logarithm linear in probability between the percentiles.

        Linear durations would overstate the tails: on a sample of 500 functions their mean is 1.09 times the
        Average in the median over functions and 1.21 times over invocations; with logarithms 1.02 and 1.10.
        """
        u = rng.random(len(rows))
        step = _STEPS[(100 * u).astype(np.intp)]
        low, high = self.quantiles_s[rows, step], self.quantiles_s[rows, step + 1]
        left, right = _PROBABILITIES[step], _PROBABILITIES[step + 1]
        return np.asarray(low * (high / low) ** ((u - left) / (right - left)))


def duration_table(average_ms: Floats, percentiles_ms: Floats) -> tuple[DurationTable, dict[str, int]]:
    """Build the table from published columns (n,) and (n, 7), and count the rows that a rule mended.

    An Average <= 0 (published: negative by a glitch, or rounded to 0) is replaced by the median, descending
    percentiles by their running maximum, and everything below a millisecond by a millisecond.
    """
    ascending = np.maximum.accumulate(percentiles_ms, axis=1)
    anomalies = {
        "average_not_positive": int(np.count_nonzero(average_ms <= 0)),
        "percentile_negative": int(np.count_nonzero((percentiles_ms < 0).any(axis=1))),
        "percentiles_descend": int(np.count_nonzero((ascending != percentiles_ms).any(axis=1))),
    }
    mean_ms = np.where(average_ms > 0, average_ms, ascending[:, POINTS.index(50)])
    default_ms = DEFAULT_S * 1e3
    mean_s = np.append(mean_ms, default_ms) / 1e3
    quantiles_s = np.vstack([ascending, np.full((1, len(POINTS)), default_ms)]) / 1e3
    return DurationTable(np.maximum(mean_s, FLOOR_S), np.maximum(quantiles_s, FLOOR_S)), anomalies


def no_durations() -> DurationTable:
    """The table of a day without durations: the default row alone."""
    return duration_table(np.empty(0), np.empty((0, len(POINTS))))[0]
