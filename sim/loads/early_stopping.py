"""MLPerf's early stopping: what a percentile may be said to be after so many queries (inference rules, appendix).

A run has shown that a share p of all queries is on time when, were that share just p, as few late ones as were seen
would come with a probability of 1 % at most (99 % confidence, no tolerance). The rules write that probability as the
regularised incomplete beta function I(p; h, t + 1) of h queries on time and t late ones. For whole numbers it is the
binomial tail P(at most t of h + t are late), which is summed here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, takewhile
from math import exp, lgamma, log

_DOUBT = 0.01


def queries_needed(n_late: int, percentile: float) -> int:
    """n(t): the least number of queries of which ``n_late`` may be late. At .99: 459, 662, 838 for 0, 1, 2."""
    enough = n_late + 1
    while not _shown(enough, n_late, percentile):
        enough *= 2
    return bisect_left(range(enough), True, enough // 2, key=lambda n: _shown(n, n_late, percentile))


def late_allowed(n_queries: int, percentile: float) -> int:
    """The most of so many queries that may be late: the largest t with n(t) <= n_queries. -1: too few queries."""
    at_most = accumulate(_probabilities(n_queries, percentile))
    return sum(1 for _ in takewhile(lambda p: p <= _DOUBT, at_most)) - 1


def _shown(n_queries: int, n_late: int, percentile: float) -> bool:
    return late_allowed(n_queries, percentile) >= n_late


def _probabilities(n: int, percentile: float) -> Iterator[float]:
    """P(exactly t of n queries are late), for t = 0, 1, ..., n, when each is on time with probability ``percentile``.

    From logarithms, as n! and the powers are far outside of the range of floating point.
    """
    for t in range(n + 1):
        ways = lgamma(n + 1) - lgamma(t + 1) - lgamma(n - t + 1)
        yield exp(ways + t * log(1 - percentile) + (n - t) * log(percentile))
