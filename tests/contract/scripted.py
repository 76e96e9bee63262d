"""The scripted world: the smallest thing that can carry out a dispatcher's actions. No SimPy, no cost model.

Every invocation takes the seconds that the script says, on any worker; n of a batch take (n + 1) / 2 times those of the
longest; workers on a device take turns. A start takes ``start_s``, a stop nothing. Timers, workers with a part of a
device, latest starts and batches are here in words of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf

from sim.dispatcher import Dispatcher
from sim.domain import Buffer, DeviceSpec, FleetSpec, Function, KernelGraph, Role
from sim.protocol import (
    ANY_DEVICE,
    ARRIVAL,
    FINISHED,
    WOKE,
    WORKER_CHANGED,
    Action,
    Arrival,
    Event,
    Finished,
    Outcome,
    Policy,
    Reject,
    Run,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from sim.streams import Stream, generator

FLEET_MEMORY_BYTES = 16 * 10**9


def functions(n: int) -> list[Function]:
    """Functions that share a graph without kernels, whose constants are as large as those of a ``ListTrace``."""
    graph = KernelGraph("none", (), (Buffer("c", 1000, Role.CONSTANT),))
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

    expected_s: of each function, 1 where it isn't given. due_at_s: deadline of each invocation, if any has one. served:
    the functions, if they are others than those without anything.
    ``ended`` maps invocations to (status, instant); ``ran_on`` to their worker.
    """

    def __init__(
        self,
        policy: Policy,
        n_gpus: int,
        script: list[tuple[float, int, float]],
        n_functions: int,
        start_s: float = 0.5,
        expected_s: Sequence[float] = (),
        due_at_s: Sequence[float] = (),
        served: Sequence[Function] = (),
    ) -> None:
        self.log: list[tuple[float, Event, list[Action]]] = []
        self.ended: dict[int, tuple[str, float]] = {}
        self.ran_on: dict[int, int] = {}
        self.script = script
        self.n_gpus = n_gpus
        self.start_s = start_s
        self.due_at_s = due_at_s
        fleet = FleetSpec(DeviceSpec("scripted", FLEET_MEMORY_BYTES), n_gpus)
        self.dispatcher = Dispatcher(
            policy,
            fleet,
            served or functions(n_functions),
            FixedCosts(list(expected_s) or [1.0] * n_functions),
            generator(0, Stream.POLICY),
            log=lambda now_s, event, actions: self.log.append((now_s, event, list(actions))),
        )
        self._events: list[tuple[float, int, int, Event]] = []
        self._number = count()
        standing = self.dispatcher.standing
        self._device: dict[int, int] = {w: s.device for w, s in enumerate(standing)}  # of those that wait for none
        self._takes: dict[int, int | None] = {w: s.memory_bytes for w, s in enumerate(standing)}
        self._queues: dict[int, deque[Run]] = {w: deque() for w in self._device}
        self._ready = set(self._device)
        self._busy: set[int] = set()
        self._stopping: set[int] = set()
        self._line: list[tuple[int, int]] = []  # (worker, which device it waits for)
        self._free_at_s = [0.0] * n_gpus  # when all have had their turns that run
        self._timers: dict[str, tuple[float, int]] = {}  # tag -> instant, number of the event

    def run(self) -> ScriptedWorld:
        for number, (at_s, function, _) in enumerate(self.script):
            due_at_s = self.due_at_s[number] if self.due_at_s else inf
            self._post(at_s, ARRIVAL, Arrival(number, function, due_at_s))
        while self._events:
            now_s, _, number, event = heappop(self._events)
            if isinstance(event, Finished) and event.outcome == Outcome.OK:
                self._busy.discard(event.worker)
                for invocation in (event.invocation, *event.others):
                    self.ended[invocation] = ("completed", now_s)
                self._go_on(event.worker, now_s)
            elif isinstance(event, WorkerReady):
                self._ready.add(event.worker)
                self._go_on(event.worker, now_s)
            elif isinstance(event, WorkerStopped) and self._device.pop(event.worker, None) is not None:
                self._settle(now_s)
            elif isinstance(event, Woke):
                if self._timers.get(event.tag) != (now_s, number):
                    continue  # it was set anew, or taken back
                del self._timers[event.tag]
            for action in self.dispatcher.report(now_s, event):
                self._carry_out(action, now_s)
            self.dispatcher.check()
        return self

    def _post(self, at_s: float, priority: int, event: Event) -> int:
        number = next(self._number)
        heappush(self._events, (at_s, priority, number, event))
        return number

    def _carry_out(self, action: Action, now_s: float) -> None:
        if isinstance(action, Run):
            self.ran_on[action.invocation] = action.worker
            self._queues[action.worker].append(action)
            self._go_on(action.worker, now_s)
        elif isinstance(action, Start):
            self._queues[action.worker] = deque()
            self._takes[action.worker] = action.memory_bytes
            self._line.append((action.worker, action.device))
            self._settle(now_s)
        elif isinstance(action, Stop):
            self._stopping.add(action.worker)
            if not self._queues[action.worker]:
                self._line = [waiting for waiting in self._line if waiting[0] != action.worker]
                self._settle(now_s)
            if action.worker in self._ready or action.worker not in self._device:
                self._go_on(action.worker, now_s)
        elif isinstance(action, Reject):
            self.ended[action.invocation] = ("rejected", now_s)
        elif isinstance(action, Wake):
            self._timers.pop(action.tag, None)
            if action.at_s < inf:
                at_s = max(action.at_s, now_s)
                self._timers[action.tag] = (at_s, self._post(at_s, WOKE, Woke(action.tag)))

    def _settle(self, now_s: float) -> None:
        """Room goes to the first in the line of a device, and where there is no line to the first that wants any."""
        while (found := self._next()) is not None:
            (worker, _), device = found
            self._line.remove(found[0])
            self._device[worker] = device
            self._post(now_s + self.start_s, WORKER_CHANGED, WorkerReady(worker, device))

    def _next(self) -> tuple[tuple[int, int], int] | None:
        anyone = [waiting for waiting in self._line if waiting[1] == ANY_DEVICE]
        for device in range(self.n_gpus):
            line = [waiting for waiting in self._line if waiting[1] == device] or anyone
            if line and self._fits(line[0][0], device):
                return line[0], device
        return None

    def _fits(self, worker: int, device: int) -> bool:
        """Whole devices are for one alone, but for those that stand there from the beginning."""
        takes = [self._takes[other] for other, on in self._device.items() if on == device]
        wants = self._takes[worker]
        if wants is None or None in takes:
            return not takes
        return sum(takes) + wants <= FLEET_MEMORY_BYTES

    def _go_on(self, worker: int, now_s: float) -> None:
        queue = self._queues[worker]
        while worker in self._ready and worker not in self._busy and queue:
            order = queue.popleft()
            batch = (order.invocation, *order.others)
            if order.latest_s < now_s:
                self._post(now_s, FINISHED, Finished(order.invocation, worker, Outcome.LATE, order.others))
                continue
            self._busy.add(worker)
            run_s = max(self.script[invocation][2] for invocation in batch) * (len(batch) + 1) / 2
            device = self._device[worker]
            self._free_at_s[device] = max(self._free_at_s[device], now_s) + run_s
            self._post(self._free_at_s[device], FINISHED, Finished(order.invocation, worker, others=order.others))
        if worker in self._stopping and worker not in self._busy and not queue:
            self._post(now_s, WORKER_CHANGED, WorkerStopped(worker))
