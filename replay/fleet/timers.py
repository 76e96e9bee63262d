"""The timers of a policy in real time: which is the next to ring, and when.

The rules are those of the simulator: the same tag again sets another instant, and those of one instant ring in the
order in which they were set.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from sim.protocol import Wake


class Timers:
    """There is no clock here: a driver asks when the next one is due, and lets it ring."""

    def __init__(self) -> None:
        self._numbers = count()
        self._set: dict[str, tuple[float, int]] = {}  # when it is to ring, and as the how-manieth it was set
        self._heap: list[tuple[float, int, str]] = []  # with some that were set anew or taken back

    def set(self, now_s: float, order: Wake) -> None:
        """Set a timer, or set it anew; one for an instant that is over rings now, one for infinity never."""
        self._set.pop(order.tag, None)
        if order.at_s < inf:
            at_s, number = self._set[order.tag] = max(order.at_s, now_s), next(self._numbers)
            heappush(self._heap, (at_s, number, order.tag))
        if len(self._heap) > 2 * len(self._set):  # at least every second entry was for nothing
            self._heap = [(*entry, tag) for tag, entry in self._set.items()]
            heapify(self._heap)

    @property
    def next_s(self) -> float:
        """When the next timer rings; infinite when none is set."""
        while self._heap and not self._is_current(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def ring(self) -> str:
        """The next timer rings: its tag. There must be one."""
        assert self.next_s < inf
        tag = heappop(self._heap)[2]
        del self._set[tag]
        return tag

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        return self._set.get(entry[2]) == entry[:2]
