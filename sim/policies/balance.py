"""Balance: one first-come-first-served queue for the whole fleet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Outcome, Run, View, WorkerReady, WorkerStopped

OK = Outcome.OK


@dataclass
class Balance(ExecutorPolicy):
    """Global FCFS queue; its head goes to the most recently freed executor. No affinity, no fairness."""

    name: ClassVar[str] = "balance"
    source: ClassVar[str] = "KaaS, Balance pool (Pemberton et al., arXiv 2212.08146, public code)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 freed last."""
        self._stand(fleet)
        self._free = dict.fromkeys(reversed(range(fleet.n_gpus)))
        self._queue: deque[int] = deque()

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """At most one dispatch an event: either the queue or the free list was empty before it."""
        if type(event) is Arrival:
            if self._free:
                return (Run(event.invocation, self._free.popitem()[0]),)
            self._queue.append(event.invocation)
        elif (type(event) is Finished and (event.outcome is OK or event.worker in view.workers)) or (
            type(event) is WorkerReady
        ):
            if self._queue:
                return (Run(self._queue.popleft(), event.worker),)
            self._free[event.worker] = None
        else:
            if type(event) is WorkerStopped:
                self._free.pop(event.worker, None)
            return self._recover(event)
        return ()
