"""Paella's order: the shortest first, unless a function has been passed over too often."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.central import CentralQueue
from sim.protocol import Arrival, Costs
from sim.settings import require

_ONE = 2**30  # steps of a deficit, so that its sums are exact


@dataclass
class Paella(CentralQueue):
    """Shortest expected duration first, but that function first whose deficit is the largest, once it is large enough.

    Of m functions with something queued, each has 1/m added to its deficit whenever one is chosen, and the chosen one
    has 1 taken off; one with nothing queued any more has none. threshold: from this deficit on a function goes first,
    of several that with the largest. 0 serves functions in turn, and 1e6, the default of the published scheduler, is
    shortest first; ours is that of iluvatar. Ties go to the lower function. Deficits are counted in 2**-30.

    The order is Paella's, at whole invocations, as iluvatar has it; Paella chooses among kernels, and knows which fit.
    """

    threshold: float = 25.0

    name: ClassVar[str] = "paella"
    source: ClassVar[str] = "Paella (Ng, Demoulin and Liu, SOSP 2023, public code); threshold of iluvatar-faas"

    def __post_init__(self) -> None:
        require(self.threshold >= 0, "threshold", self.threshold, "at least 0")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Nothing is queued, and there are no deficits."""
        super().reset(fleet, functions, costs, rng)
        n = len(functions)
        self._expected_s = [costs.expected_s(f) for f in range(n)]
        self._queue: list[deque[int]] = [deque() for _ in range(n)]
        self._n_active = 0  # functions with something queued
        self._added = 0  # to the deficit of whoever has been active all along
        self._lead = [0] * n  # deficit less what was added
        self._shortest: list[tuple[float, int]] = []  # heap of (expected, function); some have nothing queued any more
        self._listed = [False] * n  # whether it is in there
        self._poorest: list[tuple[int, int]] = []  # heap of (minus lead, function); some are out of date

    def _put(self, now_s: float, event: Arrival) -> None:
        function = event.function
        queue = self._queue[function]
        queue.append(event.invocation)
        if len(queue) == 1:
            self._n_active += 1
            self._lead[function] = -self._added
            if not self._listed[function]:
                self._listed[function] = True
                heappush(self._shortest, (self._expected_s[function], function))
            heappush(self._poorest, (self._added, function))

    def _take(self, now_s: float, worker: int) -> int:
        lead, poorest = self._find_poorest()
        function = poorest if self._added - lead >= self.threshold * _ONE else self._find_shortest()
        self._added += _ONE // self._n_active
        self._lead[function] -= _ONE
        queue = self._queue[function]
        invocation = queue.popleft()
        if queue:
            heappush(self._poorest, (-self._lead[function], function))
        else:
            self._n_active -= 1
        return invocation

    def _find_shortest(self) -> int:
        """The function with the shortest expected duration of those that have something queued."""
        heap, queues = self._shortest, self._queue
        while not queues[heap[0][1]]:
            self._listed[heappop(heap)[1]] = False
        return heap[0][1]

    def _find_poorest(self) -> tuple[int, int]:
        """The function with the largest deficit, after what was added when that would be none."""
        heap, queues, lead = self._poorest, self._queue, self._lead
        while not queues[heap[0][1]] or heap[0][0] != -lead[heap[0][1]]:
            heappop(heap)
        return heap[0]
