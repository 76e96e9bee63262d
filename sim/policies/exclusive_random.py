"""Exclusive with random victims: an earlier form of the exclusive pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappush
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.exclusive import Exclusive
from sim.protocol import Action, Costs


@dataclass
class ExclusiveRandom(Exclusive):
    """As ``exclusive``, but the victim is drawn among the largest functions, and any smaller one may rob it.

    A function with one worker fewer than the largest may take one, and the two then trade places: with 3 clients
    on 4 GPUs, one of which has two workers, nearly every invocation is a cold start.
    """

    name: ClassVar[str] = "exclusive-random"
    source: ClassVar[str] = "KaaS, exclusive pool before 2022 (UCB EECS-2022-86)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """No workers yet."""
        super().reset(fleet, functions, costs, rng)
        self._rng = rng
        self._alike = [list(range(len(functions)))]  # functions by their number of workers
        self._slot = list(range(len(functions)))  # of each in its list

    def _may_rob(self, size: int) -> bool:
        return self._n_workers >= self._n_devices > 0 and size < self._largest

    def _rob(self, actions: list[Action]) -> None:
        """Put the drawn function first in the line of the largest."""
        alike = self._alike[self._largest]
        victim = alike[int(self._rng.integers(len(alike)))]
        self._order[victim] = -1
        heappush(self._of_size[self._largest], (-1, victim))
        super()._rob(actions)

    def _resize(self, function: int, step: int) -> None:
        alike, slot = self._alike[self._size[function]], self._slot[function]
        last = alike.pop()
        if last != function:
            alike[slot] = last
            self._slot[last] = slot
        super()._resize(function, step)
        if self._size[function] == len(self._alike):
            self._alike.append([])
        self._slot[function] = len(self._alike[self._size[function]])
        self._alike[self._size[function]].append(function)
