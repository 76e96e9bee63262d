"""LALB and O3: invocations go where their function's constants are, out of order if need be."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function, Role
from sim.policies.executors import ExecutorPolicy
from sim.policies.held import Held
from sim.protocol import Action, Arrival, Costs, Event, Finished, Run, View, WorkerReady, WorkerStopped
from sim.settings import require


@dataclass
class LocalityAware(ExecutorPolicy):
    """A free executor takes the first invocation whose function it holds; else the first, unless that had better wait.

    *Out of order*: a free executor takes the first queued invocation whose function it is believed to hold, as long as
    the head of the queue was passed over fewer than ``skips`` times. *Else the head*: if its function was last given to
    an executor that is busy and still holds it, and is expected to be done in less time than a load takes, it joins
    that one's own queue, and the next head is looked at; else the free executor loads it. An arrival that finds
    executors free goes to one that holds its function, the lowest device of several, else as a head does, to the one
    that has been free longest.

    skips: how often an invocation is passed over at most; 0: never out of order. bandwidth: bytes/s at which constants
    are expected to be loaded. held: functions that an executor is believed to hold at most. The published rule is known
    from its abstract, and these three are ours or unverified.

    Only the head has to be counted: whoever passes over another passes over the head, too.
    """

    skips: int = 25
    bandwidth: float = 12e9
    held: int = 32

    name: ClassVar[str] = "lalb"
    source: ClassVar[str] = "LALB and O3 (GPU-enabled Function-as-a-Service, arXiv 2303.05601), from its abstract"

    def __post_init__(self) -> None:
        require(self.skips >= 0, "skips", self.skips, "at least 0")
        require(0 < self.bandwidth < inf, "bandwidth", self.bandwidth, "above 0 and finite")
        require(self.held >= 1, "held", self.held, "at least 1")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """All executors are free, device 0 longest; they hold nothing."""
        self._stand(fleet)
        n = len(functions)
        self._expected_s = [costs.expected_s(f) for f in range(n)]
        self._load_s = [f.graph.bytes_of(Role.CONSTANT) / self.bandwidth for f in functions]
        self._held = Held(fleet, functions, self.held)
        self._holders = [0] * n  # a bit for each device that holds the function
        self._last = [-1] * n  # the device that it was given to last
        self._on = list(range(fleet.n_gpus))  # the executor of each device; -1: none is ready
        self._free = OrderedDict.fromkeys(range(fleet.n_gpus))  # devices
        self._free_bits = 2**fleet.n_gpus - 1
        self._given_s: list[deque[float]] = [deque() for _ in range(fleet.n_gpus)]  # expected, the running one first
        self._done_s = [0.0] * fleet.n_gpus  # when all that a device was given is expected to be done
        self._queue: list[deque[tuple[int, int]]] = [deque() for _ in range(n)]  # (turn, invocation)
        self._waiting: dict[int, None] = {}  # functions with something queued
        self._line: deque[tuple[int, int]] = deque()  # (turn, function) in order of arrival; some were taken already
        self._turn = 0
        self._ahead: list[int] = []  # heap of the turns that were taken out of order, those before the head left out

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """An arrival is placed, or queued when none is free; whoever is free takes from the queue."""
        if type(event) is Arrival:
            return self._arrive(now_s, event.function, event.invocation)
        if type(event) is Finished:
            device = self._device_of[event.worker]
            if self._on[device] != event.worker:
                return ()
            given_s = self._given_s[device]
            given_s.popleft()
            if given_s:
                self._done_s[device] = now_s + sum(given_s)
                return ()
            return self._serve(now_s, device)
        if type(event) is WorkerReady:
            device = self._device_of[event.worker]
            self._on[device] = event.worker
            return self._serve(now_s, device)
        if type(event) is WorkerStopped:
            self._lose(event.worker)
        return self._recover(event)

    def _arrive(self, now_s: float, function: int, invocation: int) -> Sequence[Action]:
        if self._free:
            device = self._waited_for(now_s, function)
            warm = self._holders[function] & self._free_bits
            if warm:
                device = (warm & -warm).bit_length() - 1
            elif device < 0:
                device = next(iter(self._free))
            return (self._give(now_s, device, function, invocation),)
        queue = self._queue[function]
        queue.append((self._turn, invocation))
        self._line.append((self._turn, function))
        self._waiting[function] = None
        self._turn += 1
        return ()

    def _serve(self, now_s: float, device: int) -> Sequence[Action]:
        """A device is free: heads join others' queues until it has got something, or nothing is queued."""
        actions: list[Action] = []
        while self._waiting:
            turn, head = self._head()
            if len(self._ahead) < self.skips and (warm := self._first_held(device)) >= 0:
                if self._queue[warm][0][0] > turn:
                    heappush(self._ahead, self._queue[warm][0][0])
                return [*actions, self._give(now_s, device, warm, self._pop(warm))]
            other = -1 if self._holders[head] >> device & 1 else self._waited_for(now_s, head)
            actions.append(self._give(now_s, device if other < 0 else other, head, self._pop(head)))
            if other < 0:
                return actions
        self._free[device] = None
        self._free_bits |= 1 << device
        return actions

    def _head(self) -> tuple[int, int]:
        """(Turn, function) of what has been queued longest."""
        while True:
            turn, function = self._line[0]
            queue = self._queue[function]
            if queue and queue[0][0] == turn:
                break
            self._line.popleft()
        while self._ahead and self._ahead[0] < turn:
            heappop(self._ahead)
        return turn, function

    def _first_held(self, device: int) -> int:
        """The function that a device holds of which something has been queued longest; -1: none."""
        held = self._held.among(self._on[device], self._waiting)
        return min(((self._queue[f][0][0], f) for f in held), default=(-1, -1))[1]

    def _waited_for(self, now_s: float, function: int) -> int:
        """The busy device that holds a function and is done before it would be loaded elsewhere; -1: none."""
        last = self._last[function]
        busy = last >= 0 and self._holders[function] & ~self._free_bits & (1 << last)
        return last if busy and max(self._done_s[last] - now_s, 0.0) < self._load_s[function] else -1

    def _pop(self, function: int) -> int:
        queue = self._queue[function]
        invocation = queue.popleft()[1]
        if not queue:
            del self._waiting[function]
        return invocation

    def _give(self, now_s: float, device: int, function: int, invocation: int) -> Run:
        """A device gets an invocation."""
        worker = self._on[device]
        if device in self._free:
            del self._free[device]
            self._free_bits &= ~(1 << device)
        load_s = 0.0 if self._holders[function] >> device & 1 else self._load_s[function]
        expected_s = load_s + self._expected_s[function]
        given_s = self._given_s[device]
        self._done_s[device] = (max(self._done_s[device], now_s) if given_s else now_s) + expected_s
        given_s.append(expected_s)
        self._last[function] = device
        self._holders[function] |= 1 << device
        for gone in self._held.use(worker, device, function):
            self._holders[gone] &= ~(1 << device)
        return Run(invocation, worker)

    def _lose(self, worker: int) -> None:
        """An executor is gone."""
        device = self._device_of[worker]
        if self._on[device] == worker:
            self._on[device] = -1
            self._free.pop(device, None)
            self._free_bits &= ~(1 << device)
            self._given_s[device].clear()
            for function in self._held.lose(worker):
                self._holders[function] &= ~(1 << device)
