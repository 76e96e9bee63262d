"""Intervals for numbers of samples that follow each other in time: neighbours are alike, so blocks are drawn, not rows.

The stationary bootstrap (Politis and Romano, JASA 89, 1994), with the length of blocks that Politis and White
(Econometric Reviews 23, 2004; corrected by Patton, Politis and White, 28, 2009) choose.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
MOST_PIECES = 2000  # of a single row each where there are fewer
LEVEL_Z = 1.959964  # of the normal distribution, for 95 %
MOST_CORRELATED = 0.98  # with more, no number of samples that is at hand tells anything


class Interval(NamedTuple):
    """A 95 % interval. block: mean number of rows in a block; 1 where neighbours are as different as any two."""

    low: float
    high: float
    block: float


def interval(rows: Floats, statistic: Callable[[Floats], float], rng: np.random.Generator) -> Interval:
    """Of a statistic of rows (n x columns) in the order of time.

    The quantiles of resamples are moved away from the statistic by the factor of ``_widening``: blocks are too short
    to hold all of a strong dependence, and where they are few, their spread is uncertain itself. Both follow from the
    series of what each piece of the rows adds to the statistic (the jackknife: without it, how much less is it).
    """
    n, value = len(rows), statistic(rows)
    pieces = np.array_split(np.arange(n), min(n, MOST_PIECES))
    adds = np.array([value - statistic(np.delete(rows, piece, axis=0)) for piece in pieces])
    block = block_length(adds)
    n_rows = block * n / len(pieces)
    resampled = [statistic(rows[_draw(n, n_rows, rng)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    factor = _widening(adds, block)
    return Interval(value - factor * (value - float(low)), value + factor * (float(high) - value), n_rows)


def block_length(series: Floats) -> float:
    """Mean length of blocks for the stationary bootstrap of a series, from 1 to a third of it."""
    n = len(series)
    deviation = series - series.mean()
    if n < 4 or not np.ptp(series):
        return 1.0
    n_small = max(5, int(np.ceil(np.sqrt(np.log10(n)))))  # lags in a row that have to be insignificant
    most = min(int(np.ceil(np.sqrt(n))) + n_small, n - 1)
    covariance = np.array([deviation[: n - lag] @ deviation[lag:] / n for lag in range(most + 1)])
    is_small = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    last = next(lag for lag in count() if lag == most or is_small[lag : lag + n_small].all())
    window = min(2 * max(last, 1), most)
    lags = np.arange(1, window + 1)
    weight = np.minimum(1.0, 2 * (1 - lags / window))  # a trapezoid, flat up to half
    spectrum = covariance[0] + 2 * weight @ covariance[1 : window + 1]
    slope = 2 * (weight * lags) @ covariance[1 : window + 1]
    if spectrum <= 0:
        return 1.0
    return float(np.clip((slope / spectrum) ** 2 * n, 1.0, min(3 * np.sqrt(n), n / 3) ** 3) ** (1 / 3))


def student(degrees: float) -> float:
    """The 97.5 % quantile of Student's t, within 1 % from 2 degrees of freedom on.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = LEVEL_Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, 1))


def _widening(series: Floats, block: float) -> float:
    """How much too narrow such blocks leave the interval of a mean, for a series like a first-order autoregression.

    Its autocorrelation is freed of its bias (Marriott and Pope, Biometrika 41, 1954). Its long-run variance is
    (1 + r) / (1 - r) times that of a sample, of which blocks of mean length b hold (1 + qr) / (1 - qr), q = 1 - 1 / b.
    What is estimated so has the relative variance 4 / w, w being the number of independent samples that are worth as
    much (from the variance (1 - r**2) / n of the autocorrelation), as chi-square has with w / 2 degrees of freedom:
    these give the quantile of Student's t.
    """
    n = len(series)
    if n < 4 or not np.ptp(series):
        return 1.0
    deviation = series - series.mean()
    biased = float(deviation[:-1] @ deviation[1:] / (deviation @ deviation))
    r = min(max((n * biased + 1) / (n - 3), 0.0), MOST_CORRELATED)
    held = (1 - 1 / block) * r
    worth = max(n * (1 - r) / (1 + r), 4.0)
    blocks = np.sqrt((1 + r) / (1 - r) * (1 - held) / (1 + held))
    return float(blocks * np.sqrt(worth / (worth - 1)) * student(worth / 2) / LEVEL_Z)


def _draw(n: int, block: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of a resample: blocks of geometric length from anywhere, each going on at the beginning after the end."""
    lengths = rng.geometric(1 / block, int(2 * n / block) + 10)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), n)) + 1]
    if (short := n - int(lengths.sum())) > 0:
        lengths[-1] += short
    begin = np.cumsum(lengths) - lengths
    start = rng.integers(0, n, len(lengths))
    return (np.repeat(start - begin, lengths)[:n] + np.arange(n)) % n
