"""Least loaded: send each invocation, as it arrives, to the executor with the fewest invocations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.base import BasePolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Run, View


@dataclass
class LeastLoaded(BasePolicy):
    """Join the shortest queue: fewest queued and running; ties go to the executor that has waited longest.

    A load changes by one at a time, so executors are kept in one ordered set per load and nothing is searched.
    """

    name: ClassVar[str] = "least-loaded"
    source: ClassVar[str] = "join-shortest-queue (Winston, J. Appl. Prob. 14, 1977); least loaded of dslab-faas"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are empty, device 0 has waited longest."""
        self._load = [0] * fleet.n_gpus
        self._at_load: list[OrderedDict[int, None]] = [OrderedDict.fromkeys(range(fleet.n_gpus))]
        self._least = 0

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """An arrival is dispatched at once; a completion only lowers a load."""
        if type(event) is Arrival:
            worker = next(iter(self._at_load[self._least]))
            self._move(worker, +1)
            return (Run(event.invocation, worker),)
        if type(event) is Finished:
            self._move(event.worker, -1)
        return ()

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
