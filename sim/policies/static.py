"""Static: every function has workers of its own from the beginning, on GPUs that nobody else has."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind
from sim.errors import ScenarioError
from sim.policies.base import BasePolicy
from sim.policies.placement import assign_devices
from sim.protocol import (
    Action,
    Arrival,
    Costs,
    DeviceChanged,
    Event,
    Finished,
    Outcome,
    Run,
    Standing,
    Start,
    View,
    WorkerReady,
    WorkerStopped,
)
from sim.text import counted

OK = Outcome.OK


@dataclass
class Static(BasePolicy):
    """Workers of one function each, on whole GPUs, from beginning to end; no function gets another's.

    One that dies is replaced as soon as its GPU is there. Functions take GPUs in turn until every GPU has a worker;
    more functions than GPUs are refused. Invocations of a function wait in order of arrival for its workers, of which
    the most recently freed is taken.
    """

    name: ClassVar[str] = "static"
    workers: ClassVar[tuple[WorkerKind, ...]] = (WorkerKind.EXCLUSIVE,)
    source: ClassVar[str] = "KaaS, static pool (Pemberton et al., arXiv 2212.08146, public code)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All workers are free, the first of each function freed last. Raises ScenarioError when they don't fit."""
        shares = self._shares(fleet, functions, costs)
        turns = assign_devices(fleet.n_gpus, shares) if functions else []
        for turn, (_, used) in enumerate(turns):
            share = shares[turn % len(functions)]
            if used + share > 1:
                what, where = counted(len(functions), "function"), counted(fleet.n_gpus, "GPU")
                raise ScenarioError(
                    f"{self.name}: no room for {what} on {where}: {functions[turn % len(functions)].key} needs "
                    f"{100 * share:g}% of one, and the emptiest has {100 * (1 - used):g}% left"
                )
        n_on = Counter(device for device, _ in turns)
        self._workers: list[Standing] = []  # by number; those that replace others are added
        for turn, (device, _) in enumerate(turns):
            function = turn % len(functions)
            part_bytes = self._part_bytes(fleet, shares[function]) if n_on[device] > 1 else None
            self._workers.append(Standing(device, function, self._thread_share(n_on[device]), part_bytes))
        self._standing = list(self._workers)
        self._idle: list[dict[int, None]] = [{} for _ in functions]
        for number in reversed(range(len(self._standing))):
            self._idle[self._standing[number].function][number] = None
        self._lost: dict[int, list[Standing]] = {}  # by devices that have no slot
        self._queue: list[deque[int]] = [deque() for _ in functions]

    def standing(self, fleet: FleetSpec) -> Sequence[Standing]:
        """The workers that there are all along."""
        return self._standing

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """At most one dispatch an event."""
        if type(event) is Arrival:
            if self._idle[event.function]:
                return (Run(event.invocation, self._idle[event.function].popitem()[0]),)
            self._queue[event.function].append(event.invocation)
        elif (type(event) is Finished and (event.outcome is OK or event.worker in view.workers)) or (
            type(event) is WorkerReady
        ):
            function = self._workers[event.worker].function
            if self._queue[function]:
                return (Run(self._queue[function].popleft(), event.worker),)
            self._idle[function][event.worker] = None
        elif isinstance(event, WorkerStopped):
            worker = self._workers[event.worker]
            self._idle[worker.function].pop(event.worker, None)
            if worker.device not in self._lost:
                return self._replace([worker])
            self._lost[worker.device].append(worker)
        elif isinstance(event, DeviceChanged):
            if event.slots:
                return self._replace(self._lost.pop(event.device, []))
            self._lost[event.device] = []
        return ()

    def _replace(self, dead: Sequence[Standing]) -> Sequence[Action]:
        """Start others like those that died."""
        first = len(self._workers)
        self._workers += dead
        return [Start(number, *worker) for number, worker in enumerate(dead, first)]

    def _shares(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs) -> list[float]:
        """Part of a GPU that each function needs for itself."""
        return [1.0] * len(functions)

    def _part_bytes(self, fleet: FleetSpec, share: float) -> int | None:
        """Memory of a worker that has this part of a GPU."""
        return None

    def _thread_share(self, n_workers: int) -> float:
        """Part of the multiprocessors for each of so many workers of a GPU."""
        return 1.0
