"""Round robin: executors get invocations in turn, as they arrive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.early import EarlyBinding
from sim.protocol import Costs


@dataclass
class RoundRobin(EarlyBinding):
    """Executors take turns in order of their devices, whatever they have; one that is replaced gets the last turn."""

    name: ClassVar[str] = "round-robin"
    source: ClassVar[str] = "turns without a look at loads; the default of many load balancers"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Device 0 has the first turn."""
        self._turns: OrderedDict[int, None] = OrderedDict()
        super().reset(fleet, functions, costs, rng)

    def _choose(self, now_s: float, function: int) -> int:
        worker = next(iter(self._turns))
        self._turns.move_to_end(worker)
        return worker

    def _join(self, worker: int) -> None:
        self._turns[worker] = None

    def _lose(self, worker: int) -> None:
        del self._turns[worker]
