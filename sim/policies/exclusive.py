"""Exclusive: every worker belongs to one function; workers are killed and created to follow demand."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind
from sim.policies.base import BasePolicy
from sim.protocol import (
    ANY_DEVICE,
    Action,
    Arrival,
    Costs,
    DeviceChanged,
    Event,
    Finished,
    Run,
    Start,
    Stop,
    View,
    WorkerStopped,
)


@dataclass
class Exclusive(BasePolicy):
    """One worker a GPU, each of one function; a function without a worker takes one from the largest function.

    Waiting invocations are scanned in order of arrival at every event. For each: run on an idle worker of its
    function, the most recently freed; else, while a GPU has no worker, start one; else, if its function has no
    worker or more than one fewer than the largest function (ties: the one robbed longest ago), stop one of the
    largest's workers (the last that got idle, else the last that got work, which it first finishes) and start one of
    its own; else wait. A started worker takes the first GPU that is free, as Ray has it, not that of its victim. More
    functions than GPUs make nearly every invocation a cold start.

    The scan is not literal: an invocation can only move when its function has an idle worker or may rob, and
    that depends on the function's number of workers alone, so waiting functions are kept in heaps by that number.
    """

    name: ClassVar[str] = "exclusive"
    workers: ClassVar[tuple[WorkerKind, ...]] = (WorkerKind.EXCLUSIVE,)
    source: ClassVar[str] = "KaaS, exclusive pool (Pemberton et al., arXiv 2212.08146, public code)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """No workers yet; functions are ordered by number."""
        n = len(functions)
        self._n_devices = fleet.n_gpus  # that have a slot
        self._n_on_the_whole = fleet.n_gpus
        self._down: set[int] = set()  # those that have none
        self._n_workers = 0  # not stopped; falls only when one dies, since a robbed worker is replaced
        self._next_worker = 0
        self._owner: dict[int, int] = {}  # of the workers that are not stopped
        self._busy: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(n)]
        self._idle: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(n)]
        self._size = [0] * n
        self._order = list(range(n))
        self._next_order = n
        self._n_of_size = [n]
        self._of_size: list[list[tuple[int, int]]] = [[]]  # heaps of (order, function), some out of date
        self._largest = 0
        self._queue: list[deque[tuple[int, int]]] = [deque() for _ in range(n)]  # (turn, invocation)
        self._next_turn = 0
        self._waiting: dict[int, list[tuple[int, int]]] = {}  # size -> heap of (turn of head, function), ditto

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Scan, with the arrived invocation last or the freed worker idle."""
        actions: list[Action] = []
        if type(event) is Arrival:
            function = event.function
            self._scan(actions, -1)
            queue = self._queue[function]
            queue.append((self._next_turn, event.invocation))
            self._next_turn += 1
            if len(queue) == 1 and not self._serve(function, actions):
                self._wait(function)
        elif type(event) is Finished:
            owner = self._owner.get(event.worker, -1)  # what a stopped worker finished frees nothing
            if owner >= 0:
                del self._busy[owner][event.worker]
                self._idle[owner][event.worker] = None
            self._scan(actions, owner)
            if self._n_workers > self._n_devices and owner >= 0:
                self._shed(owner, actions)
        elif isinstance(event, WorkerStopped):
            owner = self._owner.pop(event.worker, -1)
            if owner >= 0:  # it died
                (self._busy if event.worker in self._busy[owner] else self._idle)[owner].pop(event.worker)
                self._n_workers -= 1
                self._resize(owner, -1)
                self._wait(owner)
                self._scan(actions, -1)
            if self._n_workers > self._n_devices:
                self._shed(next((f for f, idle in enumerate(self._idle) if idle), -1), actions)
        elif isinstance(event, DeviceChanged):
            (self._down.discard if event.slots else self._down.add)(event.device)
            self._n_devices = self._n_on_the_whole - len(self._down)
            self._scan(actions, -1)
        return actions

    def _scan(self, actions: list[Action], freed: int) -> None:
        """Serve waiting invocations in order of arrival; ``freed`` is the only function that may have idle workers."""
        turn, passed = -1, []
        while True:
            best = (self._next_turn, -1)
            for size in [s for s in self._waiting if self._n_workers < self._n_devices or self._may_rob(s)]:
                heap = self._waiting[size]
                while heap and not (self._is_current(size, heap[0]) and heap[0][0] > turn):
                    entry = heappop(heap)
                    if self._is_current(size, entry):
                        passed.append(entry[1])
                if heap:
                    best = min(best, heap[0])
                else:
                    del self._waiting[size]
            if freed >= 0 and self._idle[freed] and self._queue[freed] and self._queue[freed][0][0] > turn:
                best = min(best, (self._queue[freed][0][0], freed))
            turn, function = best
            if function < 0:
                break
            self._serve(function, actions)
            self._wait(function)
        for function in passed:
            self._wait(function)

    def _serve(self, function: int, actions: list[Action]) -> bool:
        """Run the head of a function's queue if the rules find it a worker."""
        if self._idle[function]:
            worker = self._idle[function].popitem()[0]
        elif self._n_workers < self._n_devices:
            worker = self._start(function, actions)
            self._n_workers += 1
        elif self._may_rob(self._size[function]):
            self._rob(actions)
            worker = self._start(function, actions)
        else:
            return False
        self._busy[function][worker] = None
        actions.append(Run(self._queue[function].popleft()[1], worker))
        return True

    def _start(self, function: int, actions: list[Action]) -> int:
        worker = self._next_worker
        self._next_worker += 1
        self._owner[worker] = function
        self._resize(function, +1)
        actions.append(Start(worker, ANY_DEVICE, function))
        return worker

    def _rob(self, actions: list[Action]) -> None:
        """Stop a worker of the largest function."""
        heap = self._of_size[self._largest]
        while not (self._size[heap[0][1]] == self._largest and self._order[heap[0][1]] == heap[0][0]):
            heappop(heap)
        victim = heap[0][1]
        worker = (self._idle[victim] or self._busy[victim]).popitem()[0]
        del self._owner[worker]
        self._order[victim] = self._next_order
        self._next_order += 1
        self._resize(victim, -1)
        self._wait(victim)
        actions.append(Stop(worker))

    def _shed(self, function: int, actions: list[Action]) -> None:
        """There are more workers than GPUs, since one is lost: an idle one makes room for one that waits."""
        if function >= 0 and self._idle[function]:
            worker = self._idle[function].popitem()[0]
            del self._owner[worker]
            self._n_workers -= 1
            self._resize(function, -1)
            self._wait(function)
            actions.append(Stop(worker))

    def _may_rob(self, size: int) -> bool:
        return self._n_workers >= self._n_devices > 0 and (size == 0 or size + 1 < self._largest)

    def _resize(self, function: int, step: int) -> None:
        size = self._size[function]
        self._n_of_size[size] -= 1
        size += step
        self._size[function] = size
        if size == len(self._of_size):
            self._of_size.append([])
            self._n_of_size.append(0)
        self._n_of_size[size] += 1
        heappush(self._of_size[size], (self._order[function], function))
        if size > self._largest:
            self._largest = size
        elif not self._n_of_size[self._largest]:
            self._largest -= 1

    def _wait(self, function: int) -> None:
        """List a function with waiting invocations under its present size."""
        if self._queue[function]:
            heap = self._waiting.setdefault(self._size[function], [])
            heappush(heap, (self._queue[function][0][0], function))

    def _is_current(self, size: int, entry: tuple[int, int]) -> bool:
        turn, function = entry
        queue = self._queue[function]
        return self._size[function] == size and bool(queue) and queue[0][0] == turn
