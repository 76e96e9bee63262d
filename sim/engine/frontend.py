"""The simulated way between clients and pool: transport, gate, host stages, server (see ``sim.models.frontend``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import simpy

from sim.engine.clock import Clock
from sim.models.calibration import FrontendFacts
from sim.models.costs import CostModel
from sim.models.frontend import Cores, Gate, Server
from sim.protocol import ARRIVAL


class Frontend:
    """Moves requests from the server's door into the pool, and replies back to clients.

    admitted: called with (instant, invocation) when the gate lets an invocation in. enter: called with (instant,
    invocation, function) when it enters the pool.
    """

    def __init__(
        self,
        clock: Clock,
        facts: FrontendFacts,
        costs: CostModel,
        rng: np.random.Generator,
        *,
        admitted: Callable[[float, int], None],
        enter: Callable[[float, int, int], None],
    ) -> None:
        self.transport_s = facts.transport_s
        self._clock = clock
        self._pre_s: list[float] = costs.pre_s.tolist()
        self._gate = Gate(facts.max_outstanding, facts.resume_frac)
        self._outside: deque[tuple[int, int]] = deque()
        self._cores = Cores(facts.cores)
        self._server = Server(facts.server_s.of(costs.kind), rng)
        self._admitted = admitted
        self._enter = enter

    def arrive(self, now_s: float, invocation: int, function: int) -> None:
        """A request stands at the server's door."""
        if not self._outside and self._gate.enter(now_s):
            self._prepare(now_s, invocation, function)
        else:
            self._outside.append((invocation, function))

    def leave(self, now_s: float, post_s: float) -> float:
        """The pool is done with a request; returns when its client has the reply, after a host stage of ``post_s``."""
        self._gate.leave(now_s)
        if self._outside and self._gate.is_open:  # the policy hears of what enters then after what it hears of now
            self._clock.call(now_s, ARRIVAL, self._let_in)
        return self._cores.reserve(now_s, post_s) + self.transport_s

    def limits(self, now_s: float) -> list[str]:
        """What of the frontend has limited the run until now, in sentences."""
        found = (stage.limit(now_s) for stage in (self._gate, self._server, self._cores))
        return [f"the frontend limits this run, not the policy: {limit}" for limit in found if limit]

    def _let_in(self, _: simpy.Event) -> None:
        now_s = self._clock._now
        while self._outside and self._gate.enter(now_s):
            self._prepare(now_s, *self._outside.popleft())

    def _prepare(self, now_s: float, invocation: int, function: int) -> None:
        self._admitted(now_s, invocation)
        ready_at_s = self._cores.reserve(now_s, self._pre_s[function])
        if ready_at_s > now_s:
            self._clock.call(ready_at_s, ARRIVAL, lambda _: self._pass(ready_at_s, invocation, function))
        else:
            self._pass(now_s, invocation, function)

    def _pass(self, now_s: float, invocation: int, function: int) -> None:
        turn_at_s = self._server.turn_at_s(now_s)
        if turn_at_s > now_s:
            self._clock.call(turn_at_s, ARRIVAL, lambda _: self._enter(turn_at_s, invocation, function))
        else:
            self._enter(now_s, invocation, function)
