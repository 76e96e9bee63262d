"""Several tests at once: Holm's step-down correction."""

from __future__ import annotations

import numpy as np

from analysis.statistics.interval import Floats


def holm(p: Floats) -> Floats:
    """Adjusted p of a family of tests: the k-th smallest of m, from 0, times m - k, but not below those before it.

    To reject where it is at most alpha keeps the chance of any wrong rejection at most alpha, whatever the tests have
    to do with each other. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics 6(2), 1979. NaN is no test, and stays.
    """
    adjusted = np.full(len(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    m = len(order)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (m - np.arange(m))))
    return adjusted
