"""Keep-alive: processes of one function that share GPUs by memory, and stay warm until a timer ends them."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar, Literal

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind
from sim.errors import ScenarioError
from sim.policies.base import BasePolicy
from sim.policies.least import Least
from sim.policies.ledger import Ledger
from sim.protocol import (
    Action,
    Arrival,
    Costs,
    DeviceChanged,
    Event,
    Finished,
    Need,
    Run,
    Start,
    Stop,
    View,
    Wake,
    Woke,
    WorkerStopped,
)
from sim.settings import require

_EXPIRY = "expiry"  # the tag of the only timer: of the worker that may expire next


@dataclass
class KeepAlive(BasePolicy):
    """Processes of one function that share GPUs by memory, each warm until ``ttl`` seconds after its last completion.

    An invocation runs on a warm worker of its function that has nothing to do. Where there is none, a worker is
    started for it, which it does not leave again: on the GPU with the most free memory; else on the GPU of the worker
    that is idle longest, if the idle ones there take enough, or else where most memory is free or idle, and of the
    workers there those that are idle longest are stopped until it fits. Where that is not enough it waits.

    A worker that gets free takes what waits longest of its own function. When nothing does, it is idle, and what waits
    longest of other functions is served if there is enough memory for it now, then the next. So nobody waits beside
    an idle worker of its function, or for memory that nobody uses. But who is overloaded keeps its workers, and a large
    function may be overtaken by small ones.

    ttl: seconds that an idle worker stays. At its very end it is still found warm. reuse: of several warm workers, the
    one that got free most recently or longest ago. restart: what the seconds of ``ttl`` count from, the worker's last
    completion or the instant when it was last given an invocation; a busy worker never ends. concurrency:
    invocations that a worker runs at once; one that is still starting takes as many.
    """

    ttl: float = 600.0
    reuse: Literal["recent", "oldest"] = "recent"
    restart: Literal["completion", "arrival"] = "completion"
    concurrency: int = 1

    name: ClassVar[str] = "keepalive"
    workers: ClassVar[tuple[WorkerKind, ...]] = (WorkerKind.EXCLUSIVE,)
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TIMERS, Need.SHARED_DEVICES})
    source: ClassVar[str] = "fixed keep-alive (Shahrad et al., Serverless in the Wild, ATC 2020, section 2 and 5)"

    def __post_init__(self) -> None:
        require(self.ttl >= 0, "ttl", self.ttl, "a number of seconds, at least 0")
        require(self.concurrency >= 1, "concurrency", self.concurrency, "at least 1")
        if self.concurrency > 1:
            self.needs = self.needs | {Need.CONCURRENCY}  # type: ignore[misc]

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """No workers yet. Raises ScenarioError when a function's worker is larger than every GPU."""
        sizes = [node.device.memory_bytes for node in fleet.nodes for _ in range(node.n_gpus)]
        self._bytes = [costs.memory_bytes(f.id) for f in functions]
        for function, n_bytes in zip(functions, self._bytes, strict=True):
            if n_bytes > max(sizes):
                raise ScenarioError(
                    f"{self.name}: a worker of {function.key} takes {n_bytes:,} B; a GPU has {max(sizes):,} B"
                )
        self._memory = Ledger(sizes)
        for number, node in enumerate(fleet.nodes):
            for device in fleet.gpus_of(number) if node.standby else ():
                self._memory.close(device)
        self._slots_of = {device: [device] for device in range(fleet.n_gpus)}
        self._n_started = 0
        self._workers: dict[int, _Worker] = {}  # those that are not gone
        self._free: list[OrderedDict[int, None]] = [OrderedDict() for _ in functions]  # with room for an invocation
        self._idle: OrderedDict[int, None] = OrderedDict()  # without any, longest first
        self._idle_on: defaultdict[int, OrderedDict[int, None]] = defaultdict(OrderedDict)  # the same of each slot
        self._expiries: list[tuple[float, int]] = []  # heap of (not before, worker)
        self._wake_at_s = inf
        self._queue: list[deque[tuple[int, int]]] = [deque() for _ in functions]  # (turn, invocation)
        self._n_arrived = 0
        by_size = sorted(range(len(functions)), key=self._bytes.__getitem__)
        self._function_of_rank = by_size
        self._bytes_of_rank = [self._bytes[function] for function in by_size]
        self._rank = {function: rank for rank, function in enumerate(by_size)}
        self._waiting = Least([inf] * len(functions))  # turn of the head of each queue, by rank
        self._n_waiting = 0

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Serve what can be served, oldest first; end workers whose time has come."""
        actions: list[Action] = []
        if type(event) is Arrival:
            function = event.function
            if self._queue[function] or not self._serve(now_s, function, event.invocation, actions):
                self._wait(function, event.invocation)
        elif type(event) is Finished:
            worker = self._workers.get(event.worker)
            if worker is not None:  # else it died before
                self._finish(now_s, worker, actions)
        elif type(event) is Woke:
            self._expire(now_s, actions)
        elif type(event) is WorkerStopped:
            self._forget(self._workers.pop(event.worker))
            self._serve_waiting(now_s, actions)
        elif type(event) is DeviceChanged:
            for number in self._slots_of[event.device]:
                self._memory.close(number)
            self._slots_of[event.device] = [slot.number for slot in event.slots]
            for slot in event.slots:
                self._memory.open(slot.number, slot.memory_bytes)
            self._serve_waiting(now_s, actions)
        return actions

    # What waits

    def _wait(self, function: int, invocation: int) -> None:
        self._n_arrived += 1
        self._n_waiting += 1
        queue = self._queue[function]
        queue.append((self._n_arrived, invocation))
        if len(queue) == 1:
            self._waiting.set(self._rank[function], self._n_arrived)

    def _next(self, function: int) -> int:
        """The invocation of a function that waits longest, which now waits no more."""
        queue = self._queue[function]
        invocation = queue.popleft()[1]
        self._n_waiting -= 1
        self._waiting.set(self._rank[function], queue[0][0] if queue else inf)
        return invocation

    def _serve_waiting(self, now_s: float, actions: list[Action]) -> None:
        """Memory got free or idle: start workers for what waits, in order of arrival, as long as one fits."""
        while self._n_waiting:
            n_fit = bisect_right(self._bytes_of_rank, self._memory.idlest[0])
            turn, rank = self._waiting.find_below(n_fit)
            if turn == inf:
                return
            function = self._function_of_rank[rank]
            self._serve(now_s, function, self._next(function), actions)
            while self._queue[function] and self._free[function]:  # a worker that was started has room for more
                self._serve(now_s, function, self._next(function), actions)

    def _serve(self, now_s: float, function: int, invocation: int, actions: list[Action]) -> bool:
        """Run an invocation if there is a free worker of its function, or room to start one."""
        free = self._free[function]
        if free:
            worker = self._workers[next(reversed(free) if self.reuse == "recent" else iter(free))]
            if not worker.n_given:
                del self._idle[worker.number]
                del self._idle_on[worker.slot][worker.number]
                self._memory.work(worker.slot, self._bytes[function])
        else:
            slot = self._make_room(self._bytes[function], actions)
            if slot < 0:
                return False
            worker = self._start(function, slot, actions)
        worker.n_given += 1
        if worker.n_given == self.concurrency:
            del free[worker.number]
        self._run(now_s, worker, invocation, actions)
        return True

    def _run(self, now_s: float, worker: _Worker, invocation: int, actions: list[Action]) -> None:
        if self.restart == "arrival":
            worker.expires_at_s = now_s + self.ttl
        actions.append(Run(invocation, worker.number))

    def _make_room(self, n_bytes: int, actions: list[Action]) -> int:
        """The slot where a worker can be started, after some that are idle there were stopped; -1 if there is none."""
        memory = self._memory
        slot = memory.emptiest(n_bytes)
        if slot is not None:
            return slot
        most_bytes, slot = memory.idlest
        if most_bytes < n_bytes:
            return -1
        longest = self._workers[next(iter(self._idle))].slot if self._idle else slot
        if memory.idle_bytes(longest) >= n_bytes:
            slot = longest
        while memory.lacks(slot, n_bytes):
            self._stop(self._workers[next(iter(self._idle_on[slot]))], actions)
        return slot

    # Workers

    def _start(self, function: int, slot: int, actions: list[Action]) -> _Worker:
        worker = self._workers[self._n_started] = _Worker(self._n_started, function, slot)
        self._n_started += 1
        self._free[function][worker.number] = None
        n_bytes = self._bytes[function]
        self._memory.start(slot, n_bytes)
        actions.append(Start(worker.number, slot, function, memory_bytes=n_bytes, concurrency=self.concurrency))
        return worker

    def _finish(self, now_s: float, worker: _Worker, actions: list[Action]) -> None:
        number, function = worker.number, worker.function
        if self._queue[function]:
            self._run(now_s, worker, self._next(function), actions)
            return
        free = self._free[function]
        free[number] = None
        free.move_to_end(number)
        worker.n_given -= 1
        if self.restart == "completion":
            worker.expires_at_s = now_s + self.ttl
        if worker.n_given:
            return
        self._idle[number] = self._idle_on[worker.slot][number] = None
        self._memory.rest(worker.slot, self._bytes[function])
        self._serve_waiting(now_s, actions)
        if not worker.timed and not worker.stopped:
            worker.timed = True
            heappush(self._expiries, (worker.expires_at_s, number))
            self._wake(actions)

    def _expire(self, now_s: float, actions: list[Action]) -> None:
        """End the idle workers whose time has come. Those that have got more since are looked at again when it is up,
        those that have work when they have none."""
        self._wake_at_s = inf
        while self._expiries and self._expiries[0][0] <= now_s:
            worker = self._workers.get(heappop(self._expiries)[1])
            if worker is None or worker.stopped:
                continue
            worker.timed = not worker.n_given and worker.expires_at_s > now_s
            if worker.timed:
                heappush(self._expiries, (worker.expires_at_s, worker.number))
            elif not worker.n_given:
                self._stop(worker, actions)
        self._wake(actions)

    def _wake(self, actions: list[Action]) -> None:
        if self._expiries and self._expiries[0][0] < self._wake_at_s:
            self._wake_at_s = self._expiries[0][0]
            actions.append(Wake(_EXPIRY, self._wake_at_s))

    def _stop(self, worker: _Worker, actions: list[Action]) -> None:
        """Tell an idle worker to stop."""
        self._leave_idle(worker)
        worker.stopped = True
        self._memory.stop(worker.slot, self._bytes[worker.function])
        actions.append(Stop(worker.number))

    def _leave_idle(self, worker: _Worker) -> None:
        del self._idle[worker.number]
        del self._idle_on[worker.slot][worker.number]
        del self._free[worker.function][worker.number]

    def _forget(self, worker: _Worker) -> None:
        """A worker is gone, which may not have been told to stop."""
        n_bytes = self._bytes[worker.function]
        if not worker.stopped:
            if worker.n_given:
                self._free[worker.function].pop(worker.number, None)
                self._memory.rest(worker.slot, n_bytes)
            else:
                self._leave_idle(worker)
            self._memory.stop(worker.slot, n_bytes)
        self._memory.leave(worker.slot, n_bytes)


class _Worker:
    """A worker with ``n_given`` invocations. timed: whether it is among the expiries. stopped: it was told to stop."""

    __slots__ = ("expires_at_s", "function", "n_given", "number", "slot", "stopped", "timed")

    def __init__(self, number: int, function: int, slot: int) -> None:
        self.number, self.function, self.slot = number, function, slot
        self.n_given = 0
        self.expires_at_s = inf
        self.timed = self.stopped = False
