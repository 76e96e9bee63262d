"""Affinity: completely fair scheduling between functions, with a penalty for a foreign device."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.policies.placement import assign_devices, buckets, memory_shares
from sim.protocol import Action, Arrival, Costs, Event, Finished, Outcome, Run, Start, View, WorkerReady, WorkerStopped
from sim.settings import require

OK = Outcome.OK

_Heap = list[tuple[float, int, int]]  # key, order, function
_STEPS_PER_MS = 2**16


@dataclass
class Affinity(ExecutorPolicy):
    """CFS over functions; a device prefers its affine functions by ``penalty`` weights of virtual time.

    Each free executor, longest free first, takes the queued function with the least effective virtual time: vtime
    on an affine device, vtime + penalty * weight elsewhere; ties go to the function that was chosen longest ago.
    Its vtime then grows by its weight, the expected run time in ms. A function that gets queued again starts at the
    least vtime of the queued ones. Work-conserving: the penalty only ranks.

    Weights are multiples of 2**-16 ms, so that their sums are exact, and a lag of exactly ``penalty`` weights is a tie:
    the weights of the KaaS benchmarks are mean run times in ms, taken in single precision, whose sums are exact too.

    Three lazy heaps replace the search: per group of devices the affine functions by vtime, and over all functions
    by vtime + penalty * weight and by vtime. An affine function lies in the second too, but is beaten there by its
    own better entry in the first.
    """

    penalty: float = 10.0

    name: ClassVar[str] = "affinity"
    source: ClassVar[str] = "KaaS, affinity pool (Pemberton et al., arXiv 2212.08146, public code, July 2022)"

    def __post_init__(self) -> None:
        require(self.penalty >= 0, "penalty", self.penalty, "at least 0")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 longest; functions are ordered by number."""
        n = len(functions)
        self._weight = [max(round(costs.expected_s(f) * 1e3 * _STEPS_PER_MS), 1) / _STEPS_PER_MS for f in range(n)]
        self._vtime = [0.0] * n
        self._order = list(range(n))
        self._next_order = n
        self._queue: list[deque[int]] = [deque() for _ in range(n)]
        self._n_queued = 0
        self._base = 0.0
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(fleet.n_gpus))
        turns = assign_devices(fleet.n_gpus, memory_shares(fleet, functions, costs)) if functions else []
        self._stand(fleet)
        self._bucket_of_function, self._bucket_of_worker = buckets(fleet.n_gpus, n, turns)
        self._affine: list[_Heap] = [[] for _ in range(max(self._bucket_of_worker, default=0) + 1)]
        self._foreign: _Heap = []
        self._real: _Heap = []

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """At most one dispatch an event: either nothing was queued or no executor was free before it."""
        if type(event) is Arrival:
            function = event.function
            if self._free:  # nothing else is queued: the penalty has nobody to rank
                self._vtime[function] = self._base + self._weight[function]
                self._order[function] = self._next_order
                self._next_order += 1
                return (Run(event.invocation, self._free.popitem(last=False)[0]),)
            queue = self._queue[function]
            queue.append(event.invocation)
            self._n_queued += 1
            if len(queue) == 1:
                self._vtime[function] = self._base
                self._push(function)
        elif (type(event) is Finished and (event.outcome is OK or event.worker in view.workers)) or (
            type(event) is WorkerReady
        ):
            if self._n_queued:
                return (Run(self._take(event.worker), event.worker),)
            self._free[event.worker] = None
        else:
            if type(event) is WorkerStopped:
                self._free.pop(event.worker, None)
            return self._recover(event)
        return ()

    def _replace(self, device: int) -> Start:
        self._bucket_of_worker.append(self._bucket_of_worker[device])  # the first executors have their device's number
        return super()._replace(device)

    def _take(self, worker: int) -> int:
        """Choose the next function for an executor, charge it, and pop its oldest invocation."""
        order, real, foreign, affine = (
            self._order,
            self._real,
            self._foreign,
            self._affine[self._bucket_of_worker[worker]],
        )
        # An entry is out of date once its function was chosen, which renewed its order. Something is queued, so the
        # heaps of all functions have a valid entry.
        while order[real[0][2]] != real[0][1]:
            heappop(real)
        while order[foreign[0][2]] != foreign[0][1]:
            heappop(foreign)
        while affine and order[affine[0][2]] != affine[0][1]:
            heappop(affine)
        self._base = real[0][0]
        best = min(foreign[0], affine[0]) if affine else foreign[0]
        function = best[2]
        queue = self._queue[function]
        invocation = queue.popleft()
        self._n_queued -= 1
        self._vtime[function] += self._weight[function]
        order[function] = self._next_order
        self._next_order += 1
        if queue:
            self._push(function)
        return invocation

    def _push(self, function: int) -> None:
        vtime, order = self._vtime[function], self._order[function]
        heappush(self._real, (vtime, order, function))
        heappush(self._foreign, (vtime + self.penalty * self._weight[function], order, function))
        heappush(self._affine[self._bucket_of_function[function]], (vtime, order, function))
