"""The timers of a policy: a tag each, which may be set again before it rings."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

import simpy

from sim.engine.clock import Clock
from sim.protocol import WOKE, Wake

_Instant = tuple[float, int]  # when, and the number of the order that set it: those of one time ring in this order


class Timers:
    """wake: called with (instant, tag) when a timer rings.

    A timer that is set to a later instant costs nothing until the earlier one has come.
    """

    def __init__(self, clock: Clock, wake: Callable[[float, str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._numbers = count()
        self._wanted: dict[str, _Instant] = {}  # when it is to ring; infinite ones are not there
        self._looked_at: dict[str, _Instant] = {}  # its entry in the heap, not after that; other entries are stale
        self._heap: list[tuple[float, int, str]] = []
        self._next_s = inf  # when an event looks at the heap

    def set(self, now_s: float, order: Wake) -> None:
        """Set a timer, or set it anew; one for an instant that is over rings now."""
        tag = order.tag
        if order.at_s == inf:
            self._wanted.pop(tag, None)
            return
        wanted = self._wanted[tag] = (max(order.at_s, now_s), next(self._numbers))
        if tag not in self._looked_at or wanted < self._looked_at[tag]:
            self._look(tag, wanted)
            self._expect()

    def _look(self, tag: str, at: _Instant) -> None:
        self._looked_at[tag] = at
        heappush(self._heap, (*at, tag))

    def _expect(self) -> None:
        at_s = self._heap[0][0] if self._heap else inf
        if at_s < self._next_s:
            self._next_s = at_s
            self._clock.call(at_s, WOKE, self._ring)

    def _ring(self, _: simpy.Event) -> None:
        """The first timer rings whose instant has come; the next may have to wait for what this sets off."""
        now_s = self._clock.now
        if self._next_s != now_s:
            return  # it was expected before something earlier was
        self._next_s = inf
        rings: str | None = None
        while rings is None and self._heap and self._heap[0][0] == now_s:
            at_s, number, tag = heappop(self._heap)
            at = (at_s, number)
            if self._looked_at.get(tag) != at:
                continue
            del self._looked_at[tag]
            wanted = self._wanted.get(tag)
            if wanted == at:
                rings = tag
            elif wanted is not None:
                self._look(tag, wanted)
        self._expect()
        if rings is not None:
            del self._wanted[rings]
            self._wake(now_s, rings)
