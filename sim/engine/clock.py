"""SimPy as the engine uses it: absolute instants, and events that can be used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

import simpy
from simpy.core import StopSimulation

Callbacks = list[Callable[[simpy.Event], None]]


class Clock(simpy.Environment):
    """SimPy's environment with absolute instants: now + (at - now) is not always at, which would undo ties."""

    _until_s = inf

    @property
    def internals(self) -> tuple[list[Any], Iterator[int]]:
        """The queue of events and the numbers that keep their order."""
        return self._queue, self._eid

    def call(self, at_s: float, priority: int, callback: Callable[[simpy.Event], None]) -> None:
        """Call back at an instant."""
        event = _Call()
        event.callbacks = [callback]
        heappush(self._queue, (at_s, priority, next(self._eid), event))  # type: ignore[misc]

    def at(self, at_s: float, priority: int) -> Signal:
        """An event at an instant, for a process to wait for."""
        event = Signal(self)
        event.fire(at_s, priority, [])
        return event

    def pass_until(self, at_s: float) -> None:
        """Let time pass without events."""
        self._now = max(self._now, at_s)

    def run_out(self) -> None:
        """``run()`` until no event is left, with ``step()`` written into its loop: 5 % fewer seconds a simulation."""
        queue = self._queue
        with suppress(StopSimulation):
            while queue:
                self._now, _, _, event = heappop(queue)
                callbacks = event.callbacks
                event.callbacks = None  # type: ignore[assignment]
                for callback in callbacks:
                    callback(event)
                if not event._ok and not event.defused:
                    raise event._value

    def run_before(self, at_s: float, priority: int) -> bool:
        """``run_out()`` of what comes before an instant, and a priority there, or before what is announced meanwhile;
        returns False when it was halted."""
        queue = self._queue
        self._until_s = at_s
        try:
            while queue and queue[0] < (self._until_s, priority):
                self.step()
        except StopSimulation:
            return False
        return True

    def announce(self, at_s: float) -> None:
        """Something happens at an instant that is not in the queue."""
        if at_s < self._until_s:
            self._until_s = at_s

    @property
    def is_empty(self) -> bool:
        """Whether no event is left."""
        return not self._queue

    def cancel(self, event: Signal) -> None:
        """Take an event out of the queue, if it is there; it costs the length of the queue."""
        queue = self._queue
        queue[:] = [entry for entry in queue if entry[3] is not event]
        heapify(queue)

    @staticmethod
    def halt(_: simpy.Event) -> None:
        """A callback that ends ``run_out()``."""
        raise StopSimulation(None)


class _Call:
    """The least that the loop takes for an event: nobody can wait for it, but it is made sooner."""

    __slots__ = ("callbacks",)
    _ok = True
    callbacks: Callbacks


class Signal(simpy.Event):
    """An event that can be scheduled again and again, once at a time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._ok = True
        self._value = None
        self._queue, self._numbers = clock.internals

    def fire(self, at_s: float, priority: int, callbacks: Callbacks) -> None:
        """Call back at an instant. The list of callbacks is kept by the caller, for reuse."""
        self.callbacks = callbacks
        heappush(self._queue, (at_s, priority, next(self._numbers), self))
