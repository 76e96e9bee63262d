"""When to stop: whether replications are enough for a precision, and how many would be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.statistics.interval import CONFIDENCE, Floats, Interval, t_interval, t_quantile

LEAST = 10  # replications before which the variance is not known well enough to stop on it
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Stopping:
    """reached: whether to stop. n_needed: replications that would be enough, if these are typical; None for one."""

    interval: Interval
    reached: bool
    n_needed: int | None


def precise(values: Floats, relative: float, confidence: float = CONFIDENCE) -> Stopping:
    """Whether the half width of the t interval is at most ``relative`` (in (0, 1)) times the true mean.

    Law and Kelton, section 9.4.1: stop when half width / |mean| <= relative / (1 + relative), which bounds the error
    against the true mean by ``relative``; not before ``LEAST`` replications, since early intervals are short by luck.
    """
    found = t_interval(values, confidence)
    if not found.known:
        return Stopping(found, False, None)
    target = relative / (1 + relative) * abs(found.estimate)
    enough = found.half_width <= target
    if enough:
        return Stopping(found, found.n >= LEAST, max(found.n, LEAST))
    if target == 0:
        return Stopping(found, False, None)
    deviation = found.half_width / t_quantile(confidence, found.n - 1) * math.sqrt(found.n)
    return Stopping(found, False, max(LEAST, _needed(deviation / target, confidence)))


def _needed(ratio: float, confidence: float) -> int:
    """The least n with t(n-1) ratio / sqrt(n) <= 1, by bisection."""
    low, high = 2, _MOST
    while low < high:
        n = (low + high) // 2
        low, high = (low, n) if t_quantile(confidence, n - 1) * ratio <= math.sqrt(n) else (n + 1, high)
    return low
