"""MQFQ: fair queueing between functions in which those that hold a warm GPU may run ahead, up to a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.policies.held import Held
from sim.policies.least import Least
from sim.policies.loads import Loads
from sim.protocol import Action, Arrival, Costs, Event, Finished, Outcome, Run, View, WorkerReady, WorkerStopped
from sim.settings import require

OK = Outcome.OK
_UNKNOWN = 0.1  # service of a function that nothing was measured of, as a part of the window


class Flows(ExecutorPolicy):
    """The flows and tokens of MQFQ: a flow is the queue of a function, and an executor has d tokens.

    Each invocation gets a start tag as it arrives, the greater of virtual time and the flow's finish tag, and the
    flow's finish tag becomes the start tag plus the function's service: ``service``, or the mean of what was measured,
    or a tenth of the window while nothing was. Tags are never corrected. A flow's start tag is that of its head, or its
    finish tag when it is empty. Virtual time is the least start tag of the flows that aren't empty, and stays when all
    are. A flow is throttled while its start tag is more than the window ahead of virtual time. The flow with the least
    start tag never is, so no token idles while something waits.

    A token goes to the executor that has the fewest invocations, of several the one that has waited longest; then a
    flow that is neither empty nor throttled is chosen for it (``_choose``).
    """

    overrun: float
    service: float
    d: int

    def __post_init__(self) -> None:
        require(0 <= self.overrun < inf, "overrun", self.overrun, "at least 0 and finite")
        require(0 <= self.service < inf, "service", self.service, "at least 0 and finite")
        require(self.d >= 1, "d", self.d, "at least 1")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All flows are empty, virtual time is 0, and all tokens are free."""
        self._stand(fleet)
        n = len(functions)
        self._queue: list[deque[tuple[float, int]]] = [deque() for _ in range(n)]  # (start tag, invocation)
        self._waiting: dict[int, None] = {}  # flows that aren't empty
        self._start, self._finish = [0.0] * n, [0.0] * n
        self._starts = Least([inf] * n)  # of the flows that aren't empty
        self._virtual = 0.0
        self._in_flight = [0] * n
        self._measured_s, self._n_measured = [0.0] * n, [0] * n
        self._given: dict[int, tuple[int, float]] = {}  # invocation -> (function, when it was given away)
        self._ended_s: dict[int, float] = {}  # when an executor was done with something for the last time
        self._loads = Loads()
        for worker in range(fleet.n_gpus):
            self._loads.join(worker)
            self._ended_s[worker] = 0.0

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Whatever frees tokens or fills flows: as long as there are both, one is given away."""
        if type(event) is Arrival:
            if not self._waiting and self._ended_s:
                load, worker = self._loads.least()
                if load < self.d:
                    return (self._pass_through(now_s, event, worker),)
            self._queue_up(event.function, event.invocation)
            return ()
        if type(event) is Finished:
            self._end(now_s, event)
        elif type(event) is WorkerReady:
            self._loads.join(event.worker)
            self._ended_s[event.worker] = now_s
        else:
            if type(event) is WorkerStopped and self._ended_s.pop(event.worker, None) is not None:
                self._loads.lose(event.worker)
                self._lose(event.worker)
            return self._recover(event)
        return self._give(now_s) if self._waiting else ()

    def _end(self, now_s: float, event: Finished) -> None:
        """An executor is done with an invocation, or it was lost with its executor."""
        function, given_s = self._given.pop(event.invocation)
        self._in_flight[function] -= 1
        if event.worker in self._ended_s:
            self._loads.move(event.worker, -1)
            if event.outcome is OK:
                self._measured_s[function] += now_s - max(given_s, self._ended_s[event.worker])
                self._n_measured[function] += 1
            self._ended_s[event.worker] = now_s
        self._note(function)

    def _pass_through(self, now_s: float, event: Arrival, worker: int) -> Run:
        """An arrival that finds all flows empty is the least there is, and leaves its flow empty again."""
        function = event.function
        self._virtual = max(self._virtual, self._finish[function])
        self._start[function] = self._finish[function] = self._virtual + self._service_s(function)
        return self._begin(now_s, function, event.invocation, worker)

    def _queue_up(self, function: int, invocation: int) -> None:
        start = max(self._virtual, self._finish[function])
        self._finish[function] = start + self._service_s(function)
        queue = self._queue[function]
        queue.append((start, invocation))
        if len(queue) == 1:
            self._waiting[function] = None
            self._start[function] = start
            self._starts.set(function, start)
            self._virtual = self._starts.find()[0]
        self._note(function)

    def _give(self, now_s: float) -> Sequence[Action]:
        actions: list[Action] = []
        while self._waiting and self._ended_s:
            load, worker = self._loads.least()
            if load >= self.d:
                break
            function = self._choose(worker)
            queue = self._queue[function]
            invocation = queue.popleft()[1]
            if queue:
                self._start[function] = queue[0][0]
                self._starts.set(function, queue[0][0])
            else:
                del self._waiting[function]
                self._start[function] = self._finish[function]
                self._starts.set(function, inf)
            if self._waiting:
                self._virtual = self._starts.find()[0]
            actions.append(self._begin(now_s, function, invocation, worker))
        return actions

    def _begin(self, now_s: float, function: int, invocation: int, worker: int) -> Run:
        """An executor is given an invocation, which has left its flow."""
        self._in_flight[function] += 1
        self._given[invocation] = (function, now_s)
        self._loads.move(worker, +1)
        self._note(function)
        return Run(invocation, worker)

    def _service_s(self, function: int) -> float:
        if self.service > 0:
            return self.service
        n = self._n_measured[function]
        return self._measured_s[function] / n if n else _UNKNOWN * self.overrun

    def _may_run(self, function: int) -> bool:
        """Whether a flow is neither empty nor throttled."""
        return bool(self._queue[function]) and self._start[function] - self._virtual <= self.overrun

    def _choose(self, worker: int) -> int:
        """The flow that gets a token of an executor."""
        raise NotImplementedError

    def _note(self, function: int) -> None:
        """A flow has changed: its queue, its tags, or what it has in flight."""

    def _lose(self, worker: int) -> None:
        """An executor is gone."""


@dataclass
class Mqfq(Flows):
    """Fair queueing between functions; of those within a window of virtual time, one that is warm there goes first.

    overrun: the window, in seconds of service. service: seconds that each invocation counts for; 0: the measured mean
    of its function. d: invocations that an executor is given at once, of which it runs one. choice: ``warm`` takes the
    least start tag of the flows that the executor is believed to hold, else the least of all; ``least`` the least of
    all; ``same`` the flow that was chosen last while it may run, else the least. Ties go to the lower function. held:
    functions that an executor is believed to hold at most. Between two functions that both always wait, what is begun
    of either, in seconds of service, differs by at most 2 overrun + both services in any interval.

    Weights are 1, and memory is left to the executors; both are parts of the published system.
    """

    overrun: float = 10.0
    service: float = 0.0
    d: int = 1
    choice: Literal["warm", "least", "same"] = "warm"
    held: int = 32

    name: ClassVar[str] = "mqfq"
    source: ClassVar[str] = "MQFQ (Hedayati et al., ATC 2019) for GPU functions (Fuerst et al., arXiv 2507.08954, code)"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.held >= 1, "held", self.held, "at least 1")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Executors hold nothing."""
        super().reset(fleet, functions, costs, rng)
        self._held = Held(fleet, functions, self.held)
        self._last = -1

    def _choose(self, worker: int) -> int:
        function = self._starts.find()[1]
        if self.choice == "same":
            if self._last >= 0 and self._may_run(self._last):
                return self._last
        elif self.choice == "warm":
            start = self._start
            warm = [(start[f], f) for f in self._held.among(worker, self._waiting) if self._may_run(f)]
            if warm:
                return min(warm)[1]
        return function

    def _begin(self, now_s: float, function: int, invocation: int, worker: int) -> Run:
        self._last = function
        if self.choice == "warm":
            self._held.use(worker, self._device_of[worker], function)
        return super()._begin(now_s, function, invocation, worker)

    def _lose(self, worker: int) -> None:
        self._held.lose(worker)
