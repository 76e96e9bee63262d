"""Consistent hashing with bounded loads: functions have homes on a ring, and leave them when they are full."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil, inf
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.early import EarlyBinding
from sim.protocol import Costs
from sim.settings import require


def place(text: str) -> int:
    """A place on the ring, of 2**64, that is the same everywhere."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass
class BoundedHashing(EarlyBinding):
    """An arrival goes to the first executor on the ring from its function's place on that has room.

    Of m invocations that are queued and running, the arrival included, on n executors, each executor has at most
    ceil(load * m / n). load: above 1; the less, the more even and the farther from home. nodes: places of each device
    on the ring. The walk is of O(1 / (load - 1)**2) expected steps, however many executors there are. Functions are
    placed by their keys, devices by their numbers.
    """

    load: float = 1.25
    nodes: int = 3

    name: ClassVar[str] = "ch-bl"
    source: ClassVar[str] = "Mirrokni, Thorup and Zadimoghaddam, Consistent hashing with bounded loads, SODA 2018"

    def __post_init__(self) -> None:
        require(1 < self.load < inf, "load", self.load, "above 1 and finite")
        require(self.nodes >= 1, "nodes", self.nodes, "at least 1")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are empty."""
        self._place = [place(f"function {f.key}") for f in functions]
        self._load: dict[int, int] = {}
        self._n_given = 0
        self._ring: list[tuple[int, int]] = []  # (place, executor); empty when it is out of date
        self._home: dict[int, int] = {}  # of functions that came: where the walk begins
        super().reset(fleet, functions, costs, rng)

    def _choose(self, now_s: float, function: int) -> int:
        if not self._ring:
            self._draw_ring()
        ring, load = self._ring, self._load
        at = self._home.get(function)
        if at is None:
            at = self._home[function] = bisect_right(ring, (self._place[function], -1))
        self._n_given += 1
        most = ceil(self.load * self._n_given / len(load))
        at %= len(ring)
        while load[ring[at][1]] >= most:
            at = (at + 1) % len(ring)
        worker = ring[at][1]
        load[worker] += 1
        return worker

    def _draw_ring(self) -> None:
        self._home.clear()
        self._ring = sorted(
            (place(f"device {self._device_of[worker]} {node}"), worker)
            for worker in self._load
            for node in range(self.nodes)
        )

    def _join(self, worker: int) -> None:
        self._load[worker] = 0
        self._ring = []

    def _lose(self, worker: int) -> None:
        self._n_given -= self._load.pop(worker)
        self._ring = []

    def _end(self, now_s: float, worker: int) -> None:
        self._load[worker] -= 1
        self._n_given -= 1
