"""How much of the beginning of a run to leave out: a suggestion."""

from __future__ import annotations

import numpy as np

from analysis.statistics.interval import Floats

_SIZE = 5  # of the batches in MSER-5


def mser5(values: Floats) -> int | None:
    """How many values to leave out at the beginning, by MSER-5; None where the run is too short to tell.

    Of the means z of each 5 neighbours those from d on are kept, where d makes sum (z(i) - mean)^2 / (k - d)^2 least:
    what is left out costs precision, what is kept of the warm-up costs more. White, An Effective Truncation Heuristic
    for Bias Reduction in Simulation Output, Simulation 69(6), 1997; White, Cobb and Spratt, A Comparison of Five
    Steady-State Truncation Heuristics for Simulation, WSC 2000. A least in the second half means that the run is too
    short, and there is no answer.
    """
    k = len(values) // _SIZE
    if k < 2 * _SIZE:
        return None
    z = values[: k * _SIZE].reshape(k, _SIZE).mean(axis=1)
    z = z - z.mean()  # sums of squares that are small beside those of their mean would round away
    left = k - np.arange(k)
    sums, squares = np.cumsum(z[::-1])[::-1], np.cumsum(z[::-1] ** 2)[::-1]
    error = np.maximum(squares - sums**2 / left, 0) / left**2
    d = int(np.argmin(error[: k - _SIZE]))  # the last few are alike by chance
    return None if d > k // 2 else d * _SIZE
