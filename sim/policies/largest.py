"""The k largest of things by a number, while the numbers change."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Largest:
    """Keeps the ``k`` things with the largest numbers, of equals the lower things; O(log n) for a change.

    moved: called with (thing, whether it is one of them now) when that changes.
    """

    def __init__(self, k: int, moved: Callable[[int, bool], None]) -> None:
        self._k = k
        self._moved = moved
        self._number: dict[int, float] = {}
        self._in: set[int] = set()
        self._worst: list[tuple[float, int]] = []  # heap of (number, -thing) of those that are in, some out of date
        self._best: list[tuple[float, int]] = []  # heap of (-number, thing) of the others, ditto

    def __contains__(self, thing: int) -> bool:
        return thing in self._in

    def put(self, thing: int, number: float) -> None:
        """A thing has this number from now on."""
        before = self._number.get(thing)
        if before != number:
            self._number[thing] = number
            self._enter(thing)
            if thing not in self._in or before is None or number < before:
                self._settle()

    def drop(self, thing: int) -> None:
        """A thing has no number any more."""
        if self._number.pop(thing, None) is not None and thing in self._in:
            self._in.discard(thing)
            self._moved(thing, False)
            self._settle()

    def _enter(self, thing: int) -> None:
        number = self._number[thing]
        if thing in self._in:
            heappush(self._worst, (number, -thing))
        else:
            heappush(self._best, (-number, thing))

    def _settle(self) -> None:
        """Fill up, then let better ones in for worse ones."""
        while (best := self._top(self._best, -1)) is not None:
            if len(self._in) >= self._k:
                worst = self._top(self._worst, 1)
                assert worst is not None
                if (-self._number[best], best) > (-self._number[worst], worst):
                    return
                self._in.discard(worst)
                self._enter(worst)
                self._moved(worst, False)
            self._in.add(best)
            self._enter(best)
            self._moved(best, True)

    def _top(self, heap: list[tuple[float, int]], sign: int) -> int | None:
        """The thing at the top of a heap, once what is out of date there is gone."""
        while heap:
            number, thing = heap[0][0] * sign, -heap[0][1] * sign
            if self._number.get(thing) == number and (thing in self._in) is (sign == 1):
                return thing
            heappop(heap)
        return None
