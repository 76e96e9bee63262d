"""Late binding: one queue for all executors; an invocation is bound when an executor is free to begin it."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Outcome, Run, View, WorkerReady, WorkerStopped

OK = Outcome.OK


class CentralQueue(ExecutorPolicy):
    """Subclasses order the queue: ``_put`` takes an arrival in, ``_take`` says what an executor gets next.

    No executor is free while something is queued. What arrives goes to the most recently freed one.
    """

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 freed last."""
        self._stand(fleet)
        self._free = dict.fromkeys(reversed(range(fleet.n_gpus)))
        self._n_queued = 0

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """At most one dispatch an event: either the queue or the free list was empty before it."""
        if type(event) is Arrival:
            self._put(now_s, event)
            if self._free:
                worker = self._free.popitem()[0]
                return (Run(self._take(now_s, worker), worker),)
            self._n_queued += 1
            return ()
        if type(event) is Finished:
            self._end(now_s, event)
            if event.outcome is OK or event.worker in view.workers:
                return self._serve(now_s, event.worker)
        elif type(event) is WorkerReady:
            return self._serve(now_s, event.worker)
        elif type(event) is WorkerStopped:
            self._free.pop(event.worker, None)
        return self._recover(event)

    def _serve(self, now_s: float, worker: int) -> Sequence[Action]:
        """An executor is free."""
        if self._n_queued:
            self._n_queued -= 1
            return (Run(self._take(now_s, worker), worker),)
        self._free[worker] = None
        return ()

    def _put(self, now_s: float, event: Arrival) -> None:
        """An invocation is queued."""
        raise NotImplementedError

    def _take(self, now_s: float, worker: int) -> int:
        """The next invocation for an executor, which leaves the queue; there is one."""
        raise NotImplementedError

    def _end(self, now_s: float, event: Finished) -> None:
        """An executor is done with an invocation, or it was lost with its executor."""


class RankedQueue(CentralQueue):
    """A central queue in order of a rank that an invocation gets as it arrives; ties go to what arrived first."""

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Nothing is queued."""
        super().reset(fleet, functions, costs, rng)
        self._expected_s = [costs.expected_s(f) for f in range(len(functions))]
        self._heap: list[tuple[float, int, int]] = []  # (rank, turn, invocation)
        self._turn = 0

    def _put(self, now_s: float, event: Arrival) -> None:
        heappush(self._heap, (self._rank(now_s, event), self._turn, event.invocation))
        self._turn += 1

    def _take(self, now_s: float, worker: int) -> int:
        return heappop(self._heap)[2]

    def _rank(self, now_s: float, event: Arrival) -> float:
        """The lowest goes first; any unit."""
        raise NotImplementedError
