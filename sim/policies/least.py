"""The least of numbers by place, of all or of the first few of them, in O(log n)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

_NONE = (inf, -1)


class Least:
    """Numbers by place, counted from 0, as a tree of minima: node i has the lesser of its children 2i and 2i + 1."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._n = 1
        while self._n < len(numbers):
            self._n *= 2
        leaves = [(number, place) for place, number in enumerate(numbers)]
        self._least: list[tuple[float, int]] = [_NONE] * self._n + leaves + [_NONE] * (self._n - len(leaves))
        for node in reversed(range(1, self._n)):
            self._least[node] = min(self._least[2 * node], self._least[2 * node + 1])

    def set(self, place: int, number: float) -> None:
        """A place has this number from now on."""
        least = self._least
        node = place + self._n
        if least[node][0] == number:
            return
        lesser = least[node] = (number, place)
        while node > 1:
            other = least[node ^ 1]
            if other < lesser:
                lesser = other
            node >>= 1
            if least[node] == lesser:
                return
            least[node] = lesser

    def find(self) -> tuple[float, int]:
        """The least number and its place, of equals the lowest; infinity and -1 where there is no place."""
        return self._least[1]

    def find_below(self, place: int) -> tuple[float, int]:
        """The same of the places before this one."""
        if place >= self._n:
            return self._least[1]
        found = _NONE
        node = place + self._n
        while node > 1:
            if node % 2:
                found = min(found, self._least[node - 1])
            node //= 2
        return found
