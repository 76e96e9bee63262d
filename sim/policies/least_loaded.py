"""Least loaded: send each invocation, as it arrives, to the executor with the fewest invocations."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Outcome, Run, View, WorkerReady, WorkerStopped

OK = Outcome.OK


@dataclass
class LeastLoaded(ExecutorPolicy):
    """Join the shortest queue: fewest queued and running; ties go to the executor that has waited longest.

    A load changes by one at a time, so executors are kept in one ordered set per load and nothing is searched. What
    arrives while there is no executor goes to the first that is ready.
    """

    name: ClassVar[str] = "least-loaded"
    source: ClassVar[str] = "join-shortest-queue (Winston, J. Appl. Prob. 14, 1977); least loaded of dslab-faas"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are empty, device 0 has waited longest."""
        self._stand(fleet)
        self._load = dict.fromkeys(range(fleet.n_gpus), 0)  # of the executors that are ready
        self._held: deque[int] = deque()
        self._at_load: list[OrderedDict[int, None]] = [OrderedDict.fromkeys(range(fleet.n_gpus))]
        self._least = 0

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """An arrival is dispatched at once; a completion only lowers a load."""
        if type(event) is Arrival:
            if not self._load:
                self._held.append(event.invocation)
                return ()
            worker = next(iter(self._at_load[self._least]))
            self._move(worker, +1)
            return (Run(event.invocation, worker),)
        if type(event) is Finished:
            if event.outcome is OK or event.worker in self._load:
                self._move(event.worker, -1)
            return ()
        if type(event) is WorkerReady:
            return self._join(event.worker)
        if type(event) is WorkerStopped:
            self._lose(event.worker)
        return self._recover(event)

    def _join(self, worker: int) -> Sequence[Action]:
        """An executor is ready; it gets what was held."""
        held, self._held = self._held, deque()
        self._load[worker] = 0
        self._at_load[0][worker] = None
        self._least = 0
        for _ in held:
            self._move(worker, +1)
        return [Run(invocation, worker) for invocation in held]

    def _lose(self, worker: int) -> None:
        """An executor is gone."""
        load = self._load.pop(worker, None)
        if load is not None:
            del self._at_load[load][worker]
            while self._load and not self._at_load[self._least]:
                self._least += 1

    def _move(self, worker: int, step: int) -> None:
        load = self._load[worker]
        del self._at_load[load][worker]
        load += step
        self._load[worker] = load
        if load == len(self._at_load):
            self._at_load.append(OrderedDict())
        self._at_load[load][worker] = None
        if load < self._least:
            self._least = load
        elif not self._at_load[self._least]:
            self._least += 1
