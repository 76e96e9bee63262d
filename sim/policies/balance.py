"""Balance: one first-come-first-served queue for the whole fleet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.base import BasePolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Run, View


@dataclass
class Balance(BasePolicy):
    """Global FCFS queue; its head goes to the most recently freed executor. No affinity, no fairness."""

    name: ClassVar[str] = "balance"
    source: ClassVar[str] = "KaaS, Balance pool (Pemberton et al., arXiv 2212.08146, public code)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 freed last."""
        self._free = list(range(fleet.n_gpus))[::-1]
        self._queue: deque[int] = deque()

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """At most one dispatch an event: either the queue or the free list was empty before it."""
        if type(event) is Arrival:
            if self._free:
                return (Run(event.invocation, self._free.pop()),)
            self._queue.append(event.invocation)
        elif type(event) is Finished:
            if self._queue:
                return (Run(self._queue.popleft(), event.worker),)
            self._free.append(event.worker)
        return ()
