"""Early binding: an invocation is given to an executor as it arrives, and waits there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.executors import ExecutorPolicy
from sim.protocol import Action, Arrival, Costs, Event, Finished, Run, View, WorkerReady, WorkerStopped


class EarlyBinding(ExecutorPolicy):
    """Subclasses choose an executor for each arrival (``_choose``), and hear what they need to know for it: which are
    ready (``_join``), which are gone (``_lose``) and when one is done with something (``_end``).

    What arrives while no executor is ready waits, and is given away in order of arrival when one is.
    """

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are ready and empty, joined in order of their devices."""
        self._stand(fleet)
        self._ready = set(range(fleet.n_gpus))
        self._held: deque[tuple[int, int]] = deque()  # (invocation, function)
        for worker in range(fleet.n_gpus):
            self._join(worker)

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """An arrival is dispatched at once."""
        if type(event) is Arrival:
            if not self._ready:
                self._held.append((event.invocation, event.function))
                return ()
            return (Run(event.invocation, self._choose(now_s, event.function)),)
        if type(event) is Finished:
            if event.worker in self._ready:
                self._end(now_s, event.worker)
            return ()
        if type(event) is WorkerReady:
            self._ready.add(event.worker)
            self._join(event.worker)
            held, self._held = self._held, deque()
            return [Run(invocation, self._choose(now_s, function)) for invocation, function in held]
        if type(event) is WorkerStopped and event.worker in self._ready:
            self._ready.discard(event.worker)
            self._lose(event.worker)
        return self._recover(event)

    def _choose(self, now_s: float, function: int) -> int:
        """The executor for an invocation of this function, which it is given; some executor is ready."""
        raise NotImplementedError

    def _join(self, worker: int) -> None:
        """An executor is ready, and empty."""

    def _lose(self, worker: int) -> None:
        """An executor that was ready is gone, with all that it was given."""

    def _end(self, now_s: float, worker: int) -> None:
        """An executor is done with the oldest of what it was given."""
