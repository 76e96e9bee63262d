"""The smallest size that meets a goal, by bisection: what is not yet certain of it is bracketed as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """Whether a size meets a goal: by its estimate, and by all of the estimate's interval."""

    FAILS = 0
    FAILS_BY_ESTIMATE = 1  # the interval has values that meet it
    MEETS_BY_ESTIMATE = 2  # the interval has values that fail
    MEETS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """smallest: the least size that meets the goal by its estimate. low, high: the least that may meet it, and the
    least that surely does; None where no size up to the greatest does. odd: sizes above ``smallest`` that fail all the
    same.
    """

    smallest: int | None
    low: int | None
    high: int | None
    odd: tuple[int, ...]


def search(judge: Callable[[int], Verdict], least: int, most: int) -> Found:
    """Sizes from ``least`` to ``most`` are tried: doubled until one surely meets the goal, then by bisection.

    A larger size is taken to be no worse than a smaller one; where one that was tried is, ``odd`` has it. Each size is
    judged once.
    """
    tried: dict[int, Verdict] = {}

    def reaches(size: int, wanted: Verdict) -> bool:
        if size not in tried:
            tried[size] = judge(size)
        return tried[size] >= wanted

    def least_that(wanted: Verdict) -> int | None:
        below, size = least - 1, least
        while not reaches(size, wanted):
            if size == most:
                return None
            below, size = size, min(2 * size, most)
        while size - below > 1:
            middle = (below + size) // 2
            below, size = (below, middle) if reaches(middle, wanted) else (middle, size)
        return size

    wanted = (Verdict.MEETS_BY_ESTIMATE, Verdict.FAILS_BY_ESTIMATE, Verdict.MEETS)
    smallest, low, high = (least_that(verdict) for verdict in wanted)
    odd = [n for n, verdict in tried.items() if smallest is not None and n > smallest and verdict < wanted[0]]
    return Found(smallest, low, high, tuple(sorted(odd)))
