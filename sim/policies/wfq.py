"""Weighted fair queueing between functions, by start tags."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.central import CentralQueue
from sim.protocol import Arrival, Costs, Finished
from sim.settings import require


@dataclass
class WeightedFair(CentralQueue):
    """Start-time fair queueing of functions on all executors, SFQ(D): shares of GPU time in proportion to weights.

    An invocation's start tag is the finish tag of the one of its function before it, at least the virtual time; its
    finish tag is the start tag plus expected seconds / weight. The least start tag goes first, ties to the lower
    function. Virtual time is the start tag of what was begun last, and, when all is done, the greatest finish tag of
    what was begun. Between two functions that both always wait, on D executors, completed seconds / weight differ by at
    most (D + 1) (l_i / w_i + l_j / w_j) in any interval, where l is a function's expected seconds.

    favoured: how many functions, the first of the trace, have the weight ``weight``; the others have 1.
    """

    favoured: int = 0
    weight: float = 1.0

    name: ClassVar[str] = "wfq"
    source: ClassVar[str] = "SFQ (Goyal, Vin and Cheng, SIGCOMM 1996); SFQ(D) (Jin, Chase and Kaur, SIGMETRICS 2004)"

    def __post_init__(self) -> None:
        require(self.favoured >= 0, "favoured", self.favoured, "at least 0")
        require(0 < self.weight < float("inf"), "weight", self.weight, "above 0 and finite")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Nothing is queued; virtual time is 0."""
        super().reset(fleet, functions, costs, rng)
        n = len(functions)
        self._length = [costs.expected_s(f) / (self.weight if f < self.favoured else 1.0) for f in range(n)]
        self._queue: list[deque[tuple[float, int]]] = [deque() for _ in range(n)]  # (start tag, invocation)
        self._finish = [0.0] * n  # finish tag of the last that arrived
        self._heads: list[tuple[float, int]] = []  # heap of (start tag of the head, function)
        self._virtual = 0.0
        self._greatest = 0.0  # finish tag of what was begun
        self._n_running = 0

    def _put(self, now_s: float, event: Arrival) -> None:
        function = event.function
        start = max(self._virtual, self._finish[function])
        self._finish[function] = start + self._length[function]
        queue = self._queue[function]
        queue.append((start, event.invocation))
        if len(queue) == 1:
            heappush(self._heads, (start, function))

    def _take(self, now_s: float, worker: int) -> int:
        self._virtual, function = heappop(self._heads)
        queue = self._queue[function]
        _, invocation = queue.popleft()
        if queue:
            heappush(self._heads, (queue[0][0], function))
        self._greatest = max(self._greatest, self._virtual + self._length[function])
        self._n_running += 1
        return invocation

    def _end(self, now_s: float, event: Finished) -> None:
        self._n_running -= 1
        if not self._n_running and not self._n_queued:
            self._virtual = self._greatest
