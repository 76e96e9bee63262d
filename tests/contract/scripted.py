"""The scripted world: the smallest thing that can carry out a dispatcher's actions. No SimPy, no cost model.

Every invocation takes the seconds that the script says, on any worker; a start takes ``start_s``, a stop nothing.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count

from sim.dispatcher import Dispatcher
from sim.domain import DeviceSpec, FleetSpec, Function, KernelGraph
from sim.protocol import (
    ANY_DEVICE,
    ARRIVAL,
    FINISHED,
    WORKER_CHANGED,
    Action,
    Arrival,
    Event,
    Finished,
    Policy,
    Reject,
    Run,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
)
from sim.streams import Stream, generator

FLEET_MEMORY_BYTES = 16 * 10**9


def functions(n: int) -> list[Function]:
    """Functions that share an empty graph."""
    graph = KernelGraph("none", (), ())
    return [Function(i, f"f{i}", graph) for i in range(n)]


class FixedCosts:
    """Expected durations by function, and memory (1 byte where it isn't given)."""

    def __init__(self, expected_s: list[float], memory_bytes: list[int] | None = None) -> None:
        self._expected_s = expected_s
        self._memory_bytes = memory_bytes or [1] * len(expected_s)

    def expected_s(self, function: int) -> float:
        return self._expected_s[function]

    def memory_bytes(self, function: int) -> int:
        return self._memory_bytes[function]


class ScriptedWorld:
    """Runs a script [(arrival_at_s, function, run_s), ...] and keeps a log of (now_s, event, actions).

    ``ended`` maps invocations to (status, instant); ``ran_on`` to their worker.
    """

    def __init__(
        self,
        policy: Policy,
        n_gpus: int,
        script: list[tuple[float, int, float]],
        n_functions: int,
        start_s: float = 0.5,
    ) -> None:
        self.log: list[tuple[float, Event, list[Action]]] = []
        self.ended: dict[int, tuple[str, float]] = {}
        self.ran_on: dict[int, int] = {}
        self.script = script
        self.n_gpus = n_gpus
        self.start_s = start_s
        fleet = FleetSpec(DeviceSpec("scripted", FLEET_MEMORY_BYTES), n_gpus)
        self.dispatcher = Dispatcher(
            policy,
            fleet,
            functions(n_functions),
            FixedCosts([1.0] * n_functions),
            generator(0, Stream.POLICY),
            log=lambda now_s, event, actions: self.log.append((now_s, event, list(actions))),
        )
        self._events: list[tuple[float, int, int, Event]] = []
        self._number = count()
        self._device: dict[int, int] = {w: s.device for w, s in enumerate(self.dispatcher.standing)}
        self._queues: dict[int, deque[int]] = {w: deque() for w in self._device}
        self._ready = set(self._device)
        self._busy: set[int] = set()
        self._stopping: set[int] = set()
        self._on: dict[int, set[int]] = {
            d: {w for w, device in self._device.items() if device == d} for d in range(n_gpus)
        }
        self._lines: dict[int, deque[int]] = {d: deque() for d in (ANY_DEVICE, *range(n_gpus))}

    def run(self) -> ScriptedWorld:
        for number, (at_s, function, _) in enumerate(self.script):
            heappush(self._events, (at_s, ARRIVAL, next(self._number), Arrival(number, function)))
        while self._events:
            now_s, _, _, event = heappop(self._events)
            if isinstance(event, Finished):
                self._busy.discard(event.worker)
                self.ended[event.invocation] = ("completed", now_s)
                self._go_on(event.worker, now_s)
            elif isinstance(event, WorkerReady):
                self._ready.add(event.worker)
                self._go_on(event.worker, now_s)
            elif isinstance(event, WorkerStopped):
                device = self._device.get(event.worker)
                if device is not None:
                    self._on[device].remove(event.worker)
                    self._occupy(device, now_s)
            for action in self.dispatcher.report(now_s, event):
                self._carry_out(action, now_s)
            self.dispatcher.check()
        return self

    def _post(self, at_s: float, priority: int, event: Event) -> None:
        heappush(self._events, (at_s, priority, next(self._number), event))

    def _carry_out(self, action: Action, now_s: float) -> None:
        if isinstance(action, Run):
            self.ran_on[action.invocation] = action.worker
            self._queues[action.worker].append(action.invocation)
            self._go_on(action.worker, now_s)
        elif isinstance(action, Start):
            self._queues[action.worker] = deque()
            self._lines[action.device].append(action.worker)
            for device in range(self.n_gpus) if action.device == ANY_DEVICE else [action.device]:
                self._occupy(device, now_s)
        elif isinstance(action, Stop):
            self._stopping.add(action.worker)
            for line in self._lines.values():
                if action.worker in line and not self._queues[action.worker]:
                    line.remove(action.worker)
            if action.worker in self._ready or action.worker not in self._device:
                self._go_on(action.worker, now_s)
        elif isinstance(action, Reject):
            self.ended[action.invocation] = ("rejected", now_s)

    def _occupy(self, device: int, now_s: float) -> None:
        line = self._lines[device] or self._lines[ANY_DEVICE]
        if line and not self._on[device]:
            worker = line.popleft()
            self._on[device].add(worker)
            self._device[worker] = device
            self._post(now_s + self.start_s, WORKER_CHANGED, WorkerReady(worker, device))

    def _go_on(self, worker: int, now_s: float) -> None:
        if worker in self._busy:
            return
        if self._queues[worker]:
            if worker in self._ready:
                invocation = self._queues[worker].popleft()
                self._busy.add(worker)
                self._post(now_s + self.script[invocation][2], FINISHED, Finished(invocation, worker))
        elif worker in self._stopping:
            self._post(now_s, WORKER_CHANGED, WorkerStopped(worker))
