"""Where requests come from: a trace, read lazily, and clients who send the next one when they have a reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import simpy

from sim.engine.clock import Callbacks, Clock, Signal
from sim.errors import PolicyError
from sim.protocol import ARRIVAL
from sim.workload import Workload

_Arriving = tuple[int, float, float]  # function, arrival, size

IN_SLICE = 2_048
REPLIES_AT_ONCE = 100_000  # no fleet completes so many at one instant


class Arrivals:
    """The arrivals of a workload, each at the door ``door_s`` after it was sent. One event, which holds the next.

    admit: called with (function, arrival_at_s, size) at that instant. progress: with the number of arrivals that were
    read since its last call.
    """

    def __init__(
        self,
        clock: Clock,
        workload: Workload,
        door_s: float,
        admit: Callable[[int, float, float], None],
        progress: Callable[[int], None] | None,
    ) -> None:
        self._clock = clock
        self._door_s = door_s
        self._admit = admit
        self._progress = progress
        self._loop = workload.loop
        if self._loop is not None:
            self._loop.reset()
        self._coming: Iterator[_Arriving] = chain.from_iterable(self._slices(workload))
        self._next: _Arriving
        self._signal = Signal(clock)
        self._on_signal: Callbacks = [self._arrive]
        self._replied_at_s = 0.0
        self._n_replies = 0  # at that instant

    def await_next(self) -> None:
        """Wait for the next arrival; from there on, each waits for the one after it."""
        arriving = next(self._coming, None)
        if arriving is not None:
            self._next = arriving
            self._signal.fire(arriving[1] + self._door_s, ARRIVAL, self._on_signal)

    def reply(self, at_s: float, function: int) -> None:
        """A client will have a reply at an instant, which may set off further arrivals."""
        if self._loop is not None:
            self._clock.call(at_s, ARRIVAL, partial(self._receive, at_s, function))

    def _slices(self, workload: Workload) -> Iterator[Iterator[_Arriving]]:
        """The arrivals a few at a time, so that Python's numbers stay in the processor's cache."""
        for batch in workload.batches():
            columns = (batch.function, batch.arrival_at_s, batch.size)
            n = len(batch.function)
            for first in range(0, n, IN_SLICE):
                rows = slice(first, first + IN_SLICE)
                yield zip(*(c[rows].tolist() for c in columns), strict=True)
            if self._progress is not None:
                self._progress(n)

    def _arrive(self, _: simpy.Event) -> None:
        function, arrival_at_s, size = self._next
        self._admit(function, arrival_at_s, size)
        self.await_next()

    def _receive(self, now_s: float, function: int, _: simpy.Event) -> None:
        assert self._loop is not None
        self._n_replies = self._n_replies + 1 if now_s == self._replied_at_s else 1
        self._replied_at_s = now_s
        if self._n_replies > REPLIES_AT_ONCE:
            raise PolicyError(
                f"time stands still at {now_s} s, after {REPLIES_AT_ONCE:,} replies: requests are rejected, or done, "
                "at the instant at which they come, and their clients send the next ones at once"
            )
        for at_s, following in self._loop.again(now_s, function):
            self._clock.call(at_s + self._door_s, ARRIVAL, partial(self._arrive_again, following, at_s))
            if self._progress is not None:
                self._progress(1)

    def _arrive_again(self, function: int, arrival_at_s: float, _: simpy.Event) -> None:
        self._admit(function, arrival_at_s, 1.0)
