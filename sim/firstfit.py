"""Where something fits first: room by number, searched in O(log n)."""

from __future__ import annotations

from collections.abc import Sequence

CLOSED = -1  # the room where nothing fits


class FirstFit:
    """Room in numbered places, as a tree of maxima: node i has the larger of its children 2i and 2i + 1."""

    def __init__(self, room: Sequence[int]) -> None:
        self._n = 1
        while self._n < len(room):
            self._n *= 2
        self._most = [CLOSED] * self._n + [*room] + [CLOSED] * (self._n - len(room))
        for node in reversed(range(1, self._n)):
            self._most[node] = max(self._most[2 * node], self._most[2 * node + 1])

    def set(self, place: int, room: int) -> None:
        """A place, counted from 0, has another room than before."""
        most = self._most
        node = place + self._n
        if most[node] == room:
            return
        most[node] = room
        node //= 2
        while node:
            left, right = most[2 * node], most[2 * node + 1]
            larger = left if left > right else right
            if most[node] == larger:
                break
            most[node] = larger
            node //= 2

    def find(self, need: int) -> int | None:
        """The lowest place with room for ``need``, at least 0; None when there is none."""
        most = self._most
        if most[1] < need:
            return None
        node = 1
        while node < self._n:
            node *= 2
            if most[node] < need:
                node += 1
        return node - self._n
