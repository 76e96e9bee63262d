"""Power of d choices: the shorter queue of a few that are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.early import EarlyBinding
from sim.protocol import Costs
from sim.settings import require

_DRAWS = 4096  # random numbers that are drawn at once


def uniform(rng: np.random.Generator) -> Iterator[float]:
    """Random numbers from 0 to 1, drawn in blocks."""
    while True:
        yield from rng.random(_DRAWS).tolist()


@dataclass
class PowerOfD(EarlyBinding):
    """Of ``d`` different executors that are drawn, an arrival joins that with the fewest queued and running.

    d: how many are drawn, at most all that are ready; 1 is a random split, as many as there are is join the shortest
    queue with random ties. Ties go to the one that was drawn first, so they are uniform. Who was drawn already is drawn
    again.
    """

    d: int = 2

    name: ClassVar[str] = "power-of-d"
    source: ClassVar[str] = "Mitzenmacher, IEEE TPDS 12(10), 2001; Vvedenskaya et al., Probl. Inf. Transm. 32, 1996"

    def __post_init__(self) -> None:
        require(self.d >= 1, "d", self.d, "at least 1")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are empty."""
        self._uniform = uniform(rng)
        self._workers: list[int] = []
        self._load: dict[int, int] = {}
        super().reset(fleet, functions, costs, rng)

    def _choose(self, now_s: float, function: int) -> int:
        workers, load = self._workers, self._load
        n = len(workers)
        left = min(self.d, n)
        drawn: dict[int, int] = {}  # executor -> its load, in order of drawing
        while left:
            worker = workers[int(next(self._uniform) * n)]
            if worker not in drawn:
                drawn[worker] = load[worker]
                left -= 1
        chosen = min(drawn, key=drawn.__getitem__)
        load[chosen] += 1
        return chosen

    def _join(self, worker: int) -> None:
        self._workers.append(worker)
        self._load[worker] = 0

    def _lose(self, worker: int) -> None:
        self._workers.remove(worker)  # linear in executors, which seldom die
        del self._load[worker]

    def _end(self, now_s: float, worker: int) -> None:
        self._load[worker] -= 1
