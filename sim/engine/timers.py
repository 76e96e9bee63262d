"""The timers of a policy: a tag each, which may be set again before it rings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import simpy

from sim.engine.clock import Clock
from sim.protocol import WOKE, Wake


class Timers:
    """wake: called with (instant, tag) when a timer rings.

    A timer that is set to a later instant costs no event of its own: that of the earlier instant finds out.
    """

    def __init__(self, clock: Clock, wake: Callable[[float, str], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._at_s: dict[str, float] = {}  # when it is to ring; infinite ones are not there
        self._next_s: dict[str, float] = {}  # when an event looks at it, at the latest

    def set(self, now_s: float, order: Wake) -> None:
        """Set a timer, or set it anew; one for an instant that is over rings now."""
        if order.at_s == inf:
            self._at_s.pop(order.tag, None)
            return
        at_s = self._at_s[order.tag] = max(order.at_s, now_s)
        if at_s < self._next_s.get(order.tag, inf):
            self._expect(order.tag, at_s)

    def _expect(self, tag: str, at_s: float) -> None:
        self._next_s[tag] = at_s
        self._clock.call(at_s, WOKE, partial(self._ring, tag, at_s))

    def _ring(self, tag: str, at_s: float, _: simpy.Event) -> None:
        if self._next_s.get(tag) != at_s:
            return  # it was set to an earlier instant meanwhile
        del self._next_s[tag]
        wanted_s = self._at_s.get(tag, inf)
        if wanted_s > at_s:
            if wanted_s < inf:
                self._expect(tag, wanted_s)
            return
        del self._at_s[tag]
        self._wake(at_s, tag)
