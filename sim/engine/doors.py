"""The way of requests into the pool and out of it: clients, a frontend or none, and what waits for a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import simpy

from sim.engine.arrivals import Arrivals
from sim.engine.clock import Clock
from sim.engine.frontend import Frontend
from sim.engine.hardware import NAN, NEVER, Entry, Tries
from sim.engine.patience import Patience
from sim.models.variation import Variation
from sim.protocol import ARRIVAL, Action, Arrival, Event
from sim.records.recorder import Recorder
from sim.seam import Inputs
from sim.streams import Stream, generator

CLIENT_LEFT = "its client left"


class Doors:
    """waiting: invocations on their way to a worker. tries: of those that were tried before. replied_at_s: the last
    reply, which may come after the last event.

    leave: what ``leave_pool`` is where replies take time or set off arrivals, else None. report, carry_out: tell the
    policy, and carry out its answer. progress: see ``sim.engine.arrivals``.
    """

    def __init__(
        self,
        clock: Clock,
        inputs: Inputs,
        recorder: Recorder,
        *,
        report: Callable[[float, Event], Sequence[Action]],
        carry_out: Callable[[float, Sequence[Action]], None],
        progress: Callable[[int], None] | None,
    ) -> None:
        workload, costs, seed = inputs.workload, inputs.costs, inputs.seed
        self._clock = clock
        self._recorder = recorder
        self._report, self._carry_out = report, carry_out
        self._slo_s = inputs.slo_s
        self._n_arrived = 0
        self.replied_at_s = 0.0
        self.waiting: dict[int, Entry] = {}
        self.tries: dict[int, Tries] = {}
        self._frontend: Frontend | None = None
        if costs.frontend is not None:
            stream = generator(seed, Stream.SERVICE)
            self._frontend = Frontend(clock, costs.frontend, costs, stream, admitted=self._let_in, enter=self._enter)
        door_s = 0.0 if self._frontend is None else self._frontend.transport_s
        self._is_closed = workload.loop is not None  # replies set off arrivals
        straight = self._frontend is None and not self._is_closed
        self.leave: Callable[[float, int, float], float] | None = None if straight else self.leave_pool
        variation = Variation(costs.spread, generator(seed, Stream.RUN_TIME))
        self._factor = variation.factor
        admit = self._admit_varied if variation.varies else self._admit
        self._arrivals = Arrivals(clock, workload, door_s, admit, progress)
        self.patience: Patience | None = None
        if inputs.clients is not None:
            self.patience = Patience(
                clock, inputs.clients, door_s, self.waiting, self.tries, left=self._reply, again=self._knock
            )

    def open(self) -> None:
        """Wait for the first arrival."""
        self._arrivals.await_next()

    @property
    def n_inside(self) -> int:
        """Invocations that arrived, have not ended, and no worker runs."""
        return len(self.waiting) - (0 if self.patience is None else len(self.patience.gone_at_s))

    def limits(self, now_s: float) -> list[str]:
        """What of the frontend has limited the run until now, in sentences."""
        return [] if self._frontend is None else self._frontend.limits(now_s)

    def close(self) -> None:
        """Record what still waits: as unfinished, but for what clients left for good."""
        for invocation, entry in self.waiting.items():
            left_at_s = None if self.patience is None else self.patience.gone_at_s.get(invocation)
            attempt = self.tries.get(invocation, NEVER).attempt
            if left_at_s is not None:
                self._recorder.ended(invocation, *entry[:4], left_at_s, "failed", CLIENT_LEFT, attempt=attempt)
            else:
                self._recorder.ended(invocation, *entry[:4], NAN, "unfinished", "", attempt=attempt)

    # In

    def _admit(self, function: int, arrival_at_s: float, size: float) -> None:
        """An invocation stands at the door; without a frontend that is the pool's."""
        now_s = self._clock._now
        invocation = self._n_arrived
        self._n_arrived = invocation + 1
        frontend = self._frontend
        inside_s = now_s if frontend is None else NAN
        self.waiting[invocation] = (function, arrival_at_s, inside_s, inside_s, size)
        if self.patience is not None:
            self.patience.arrive(now_s, invocation)
        if frontend is None:
            due_at_s = inf if self._slo_s is None else arrival_at_s + self._slo_s[function]
            actions = self._report(now_s, Arrival(invocation, function, due_at_s))
            if actions:
                self._carry_out(now_s, actions)
        else:
            frontend.arrive(now_s, invocation, function)

    def _admit_varied(self, function: int, arrival_at_s: float, size: float) -> None:
        """As ``_admit``, where invocations of a graph differ: each has its factor when it comes."""
        self._admit(function, arrival_at_s, size * self._factor(function))

    def _let_in(self, now_s: float, invocation: int) -> None:
        """The frontend has let an invocation in."""
        function, arrival_at_s, _, _, size = self.waiting[invocation]
        self.waiting[invocation] = (function, arrival_at_s, now_s, NAN, size)

    def _enter(self, now_s: float, invocation: int, function: int) -> None:
        """An invocation enters the pool."""
        _, arrival_at_s, admitted_at_s, _, size = self.waiting[invocation]
        self.waiting[invocation] = (function, arrival_at_s, admitted_at_s, now_s, size)
        due_at_s = inf if self._slo_s is None else arrival_at_s + self._slo_s[function]
        actions = self._report(now_s, Arrival(invocation, function, due_at_s))
        if actions:
            self._carry_out(now_s, actions)

    def enter_again(self, invocation: int, _: simpy.Event) -> None:
        """What was lost after it had entered the pool is there again."""
        self._enter(self._clock.now, invocation, self.waiting[invocation][0])

    # Out

    def leave_pool(self, now_s: float, function: int, post_s: float) -> float:
        """The pool is done with an invocation; returns when its client has the reply, after a host stage."""
        replied_at_s = now_s if self._frontend is None else self._frontend.leave(now_s, post_s)
        if replied_at_s > self.replied_at_s:
            self.replied_at_s = replied_at_s
        if self._is_closed:
            self._arrivals.reply(replied_at_s, function)
        return replied_at_s

    def end(
        self, now_s: float, invocation: int, status: str, reason: str, started_at_s: float = NAN, worker: int = -1
    ) -> None:
        """An invocation that waits ends without being completed."""
        entry, attempt = self.waiting.pop(invocation), self.tries.pop(invocation, NEVER).attempt
        ended_at_s = self.leave_pool(now_s, entry[0], 0.0)
        self._recorder.ended(
            invocation, *entry[:4], ended_at_s, status, reason,
            started_at_s=started_at_s, worker=worker, attempt=attempt,
        )  # fmt: skip

    # Clients who leave

    def is_missing(self, invocation: int) -> bool:
        """Whether the client of a request is not there."""
        return self.patience is not None and self.patience.is_missing(invocation)

    def find_missing(self, now_s: float, missing: Sequence[int]) -> None:
        """A worker was given requests whose clients were missing; some may have come back before this is known."""
        for invocation in missing:
            if not self.is_missing(invocation):
                self._clock.call(now_s, ARRIVAL, partial(self._come_back, invocation))
            self.let_go_of(now_s, invocation)

    def let_go_of(self, now_s: float, invocation: int) -> None:
        """The platform drops the request of a client that is missing, who may ask again."""
        assert self.patience is not None
        left_at_s = self.patience.drop(invocation)
        if self._frontend is not None:
            self._frontend.leave(now_s, 0.0)
        if left_at_s is not None:
            entry, attempt = self.waiting.pop(invocation), self.tries.pop(invocation, NEVER).attempt
            self._recorder.ended(invocation, *entry[:4], left_at_s, "failed", CLIENT_LEFT, attempt=attempt)

    def _reply(self, now_s: float, invocation: int) -> None:
        """A client has left for good, and goes on with what comes next."""
        self._arrivals.reply(now_s, self.waiting[invocation][0])

    def _come_back(self, invocation: int, _: simpy.Event) -> None:
        self._knock(self._clock.now, invocation)

    def _knock(self, now_s: float, invocation: int) -> None:
        """A client asks again, at the door."""
        function = self.waiting[invocation][0]
        if self._frontend is None:
            self._let_in(now_s, invocation)
            self._enter(now_s, invocation, function)
        else:
            self._frontend.arrive(now_s, invocation, function)
