"""Least loaded: send each invocation, as it arrives, to the executor with the fewest invocations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.early import EarlyBinding
from sim.policies.loads import Loads
from sim.protocol import Costs


@dataclass
class LeastLoaded(EarlyBinding):
    """Join the shortest queue: fewest queued and running; ties go to the executor that has waited longest."""

    name: ClassVar[str] = "least-loaded"
    source: ClassVar[str] = "join-shortest-queue (Winston, J. Appl. Prob. 14, 1977); least loaded of dslab-faas"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are empty, device 0 has waited longest."""
        self._loads = Loads()
        super().reset(fleet, functions, costs, rng)

    def _choose(self, now_s: float, function: int) -> int:
        _, worker = self._loads.least()
        self._loads.move(worker, +1)
        return worker

    def _join(self, worker: int) -> None:
        self._loads.join(worker)

    def _lose(self, worker: int) -> None:
        self._loads.lose(worker)

    def _end(self, now_s: float, worker: int) -> None:
        self._loads.move(worker, -1)
