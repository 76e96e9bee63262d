"""Least work: send each invocation, as it arrives, to the executor that is expected to be done first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.early import EarlyBinding
from sim.policies.least import Least
from sim.protocol import Costs


@dataclass
class LeastWork(EarlyBinding):
    """Join the least work: what is left of the running one, and the queued, by expected durations.

    Of a running one that takes longer than expected nothing is left. Ties go to the lower device. With exact
    expectations each invocation begins when it would begin in one queue for all (Kiefer and Wolfowitz, 1955).

    Work falls alike on all executors whose running one is not overdue, so these keep their order; overdue and idle ones
    keep their work. So there is an index of either kind, and a heap that tells who gets overdue when.
    """

    name: ClassVar[str] = "least-work"
    source: ClassVar[str] = "join the least workload (Kiefer and Wolfowitz, Trans. AMS 78, 1955)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are idle."""
        n = fleet.n_gpus
        self._expected_s = [costs.expected_s(f) for f in range(len(functions))]
        self._on: list[int] = [-1] * n  # the executor of each device
        self._given_s: list[deque[float]] = [deque() for _ in range(n)]  # expected durations, the running one first
        self._queued_s = [0.0] * n  # expected durations of those behind the running one
        self._due_s = [-inf] * n  # when the running one is expected to end
        self._moving = Least([inf] * n)  # the instant at which the work will be done, of those not overdue
        self._still = Least([inf] * n)  # the work of the others
        self._overdue: list[tuple[float, int]] = []  # heap of (when, device), some out of date
        super().reset(fleet, functions, costs, rng)

    def _choose(self, now_s: float, function: int) -> int:
        while self._overdue and self._overdue[0][0] <= now_s:
            due_s, device = heappop(self._overdue)
            if self._due_s[device] == due_s and self._on[device] >= 0:
                self._show(now_s, device)
        done_s, moving = self._moving.find()
        work_s, still = self._still.find()
        device = min((done_s - now_s, moving), (work_s, still))[1]
        expected_s = self._expected_s[function]
        self._given_s[device].append(expected_s)
        if len(self._given_s[device]) == 1:
            self._begin(now_s, device)
        else:
            self._queued_s[device] += expected_s
        self._show(now_s, device)
        return self._on[device]

    def _join(self, worker: int) -> None:
        device = self._device_of[worker]
        self._on[device] = worker
        self._given_s[device].clear()
        self._queued_s[device] = 0.0
        self._due_s[device] = -inf
        self._show(0.0, device)

    def _lose(self, worker: int) -> None:
        device = self._device_of[worker]
        self._on[device] = -1
        self._moving.set(device, inf)
        self._still.set(device, inf)

    def _end(self, now_s: float, worker: int) -> None:
        device = self._device_of[worker]
        given_s = self._given_s[device]
        given_s.popleft()
        if given_s:
            self._queued_s[device] = self._queued_s[device] - given_s[0] if len(given_s) > 1 else 0.0
            self._begin(now_s, device)
        else:
            self._due_s[device] = -inf
        self._show(now_s, device)

    def _begin(self, now_s: float, device: int) -> None:
        """The first of what a device was given begins."""
        self._due_s[device] = due_s = now_s + self._given_s[device][0]
        heappush(self._overdue, (due_s, device))

    def _show(self, now_s: float, device: int) -> None:
        """Bring the indices up to date."""
        due_s, queued_s = self._due_s[device], self._queued_s[device]
        moves = due_s > now_s
        self._moving.set(device, due_s + queued_s if moves else inf)
        self._still.set(device, inf if moves else queued_s)
