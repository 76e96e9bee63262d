"""Shortest remaining processing time, with preemption at the boundaries between kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.policies.least import Least
from sim.protocol import (
    Action,
    Arrival,
    Costs,
    Event,
    Finished,
    Need,
    Outcome,
    Preempt,
    Run,
    View,
    WorkerReady,
    WorkerStopped,
)
from sim.settings import require

_Heap = list[tuple[float, int, int]]  # (rank, turn, invocation)


@dataclass
class ShortestRemaining(ExecutorPolicy):
    """Shortest expected remaining time first; what arrives preempts the running one with the most left, if it has less.

    Of several that have most left the lower device's is preempted. What was preempted goes on where it was only on its
    own executor, so that it has its remaining time there, and its whole time elsewhere. What takes longer than expected
    has less and less left. Ties go to what arrived first.

    ageing: seconds of remaining time that a second since arrival counts for; with 0 long ones can starve. All age
    alike, so it is added once, as they arrive.

    What waits has to be compared with what runs only as it arrives: from then on the running ones only get shorter.
    """

    ageing: float = 0.0

    name: ClassVar[str] = "srpt"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.EXECUTORS, Need.PREEMPTION})
    source: ClassVar[str] = "SRPT (Schrage, Operations Research 16(3), 1968; Schrage and Miller, ibid. 14(4), 1966)"

    def __post_init__(self) -> None:
        require(self.ageing >= 0, "ageing", self.ageing, "at least 0")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 freed last."""
        self._stand(fleet)
        self._expected_s = [costs.expected_s(f) for f in range(len(functions))]
        self._free = dict.fromkeys(reversed(range(fleet.n_gpus)))
        self._turn = 0
        self._bonus: dict[int, float] = {}  # invocation -> what its age adds to its rank, of those that aren't over
        self._waiting: dict[int, tuple[int, int, int]] = {}  # invocation -> (turn, function, where it was preempted)
        self._anew: _Heap = []  # what waits, at its whole time; some is out of date
        self._resumed: dict[int, _Heap] = {}  # by executor: what was preempted there, at its remaining time, ditto
        self._running: dict[
            int, tuple[int, int, int, float]
        ] = {}  # by executor: (invocation, turn, function, rank at 0 s)
        self._on = list(range(fleet.n_gpus))  # the executor of each device that began something last
        self._most = Least([inf] * fleet.n_gpus)  # of running ones that aren't being preempted, negative ranks at 0 s

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """An arrival begins, preempts or waits; whoever is free takes the shortest."""
        if type(event) is Arrival:
            return self._arrive(now_s, event)
        if type(event) is Finished:
            run = self._running.pop(event.worker, None)
            if event.outcome is Outcome.PREEMPTED and run is not None:
                invocation, turn, function, rank = run
                self._wait(invocation, turn, function, event.worker)
                own = self._resumed.setdefault(event.worker, [])
                heappush(own, (rank - now_s, turn, invocation))
            else:
                self._bonus.pop(event.invocation, None)
            if event.outcome is Outcome.OK or event.worker in view.workers:
                return self._serve(now_s, event.worker)
        elif type(event) is WorkerReady:
            return self._serve(now_s, event.worker)
        elif type(event) is WorkerStopped:
            self._free.pop(event.worker, None)
            self._running.pop(event.worker, None)
            self._resumed.pop(event.worker, None)
            self._most.set(self._device_of[event.worker], inf)
        return self._recover(event)

    def _arrive(self, now_s: float, event: Arrival) -> Sequence[Action]:
        self._bonus[event.invocation] = self.ageing * now_s
        self._turn += 1
        self._wait(event.invocation, self._turn, event.function, -1)
        if self._free:
            return self._serve(now_s, self._free.popitem()[0])
        most, device = self._most.find()
        if self._expected_s[event.function] + self.ageing * now_s < -most - now_s:
            self._most.set(device, inf)
            return (Preempt(self._on[device]),)
        return ()

    def _wait(self, invocation: int, turn: int, function: int, where: int) -> None:
        self._waiting[invocation] = (turn, function, where)
        heappush(self._anew, (self._expected_s[function] + self._bonus[invocation], turn, invocation))

    def _serve(self, now_s: float, worker: int) -> Sequence[Action]:
        """An executor is free."""
        tops = (self._top(self._anew), self._top(self._resumed.get(worker, []), worker))
        best = min(filter(None, tops), default=None)
        device = self._device_of[worker]
        if best is None:
            self._free[worker] = None
            self._most.set(device, inf)
            return ()
        rank, turn, invocation = best
        function = self._waiting.pop(invocation)[1]
        self._running[worker] = (invocation, turn, function, now_s + rank)
        self._on[device] = worker
        self._most.set(device, -(now_s + rank))
        return (Run(invocation, worker),)

    def _top(self, heap: _Heap, where: int | None = None) -> tuple[float, int, int] | None:
        """The first of a heap that still waits, and was preempted there last, if that is asked."""
        while heap:
            _, turn, invocation = heap[0]
            is_so = self._waiting.get(invocation)
            if is_so is not None and is_so[0] == turn and where in (None, is_so[2]):
                return heap[0]
            heappop(heap)
        return None
