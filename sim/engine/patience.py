"""Clients who leave when their requests have waited too long, and ask again.

A policy is not told: whoever is given a request whose client is gone finds that out, and is done with it at once. A
client that asks again finds the request that it left where it was, as long as nobody has found out; else it is a
new one. One that runs is waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import simpy

from sim.engine.clock import Clock
from sim.engine.hardware import NEVER, Entry, Tries
from sim.models.clients import ClientSettings
from sim.protocol import ARRIVAL


class Patience:
    """Watches what waits. door_s: from the clients to the door. waiting, tries: see ``sim.engine.serving.Serving``.

    left: called with (instant, invocation) when its client leaves for good. again: with (instant, invocation) when it
    stands at the door again.
    """

    def __init__(
        self,
        clock: Clock,
        settings: ClientSettings,
        door_s: float,
        waiting: dict[int, Entry],
        tries: dict[int, Tries],
        *,
        left: Callable[[float, int], None],
        again: Callable[[float, int], None],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._door_s = door_s
        self._waiting = waiting
        self._tries = tries
        self._left, self._again = left, again
        self._line: deque[tuple[float, int, int]] = deque()  # when patience ends, invocation, retries of its client
        self.gone_at_s: dict[int, float] = {}  # when clients left for good whose requests are still there
        self.away: dict[int, bool] = {}  # clients who will ask again -> whether their requests are still there

    @property
    def next_at_s(self) -> float:
        """When the patience of somebody may end; infinite if nobody waits."""
        return self._line[0][0] if self._line else float("inf")

    @property
    def gives_hope(self) -> bool:
        """Whether somebody may leave who waits."""
        return bool(self._line)

    def arrive(self, now_s: float, invocation: int) -> None:
        """A request is at the door: its client waits from when it was sent."""
        n_retries = self._tries.get(invocation, NEVER).by_client
        until_s = now_s - self._door_s + self._settings.timeout_s
        self._line.append((until_s, invocation, n_retries))
        self._clock.announce(until_s)

    def is_missing(self, invocation: int) -> bool:
        """Whether the client of a request is not there."""
        return invocation in self.gone_at_s or invocation in self.away

    def drop(self, invocation: int) -> float | None:
        """The request of a client that is missing is there no more; returns when it left for good, else None."""
        if invocation in self.away:
            self.away[invocation] = False
        return self.gone_at_s.pop(invocation, None)

    def go_on(self, *, idle: bool) -> None:
        """The patience of the first in line ends."""
        at_s, invocation, n_retries = self._line.popleft()
        tries = self._tries.get(invocation, NEVER)
        if invocation not in self._waiting or tries.by_client != n_retries:
            return
        self._clock.pass_until(at_s)
        now_s = self._clock.now
        if n_retries < self._settings.retries:
            self.away[invocation] = True
            back_at_s = now_s + self._settings.away_s(n_retries) + self._door_s
            self._clock.call(back_at_s, ARRIVAL, partial(self._return, invocation))
        else:
            self.gone_at_s[invocation] = now_s
            self._left(now_s, invocation)

    def _return(self, invocation: int, _: simpy.Event) -> None:
        tries = self._tries.get(invocation, NEVER)
        self._tries[invocation] = tries._replace(by_client=tries.by_client + 1)
        self.arrive(self._clock.now, invocation)
        if not self.away.pop(invocation):
            self._again(self._clock.now, invocation)
