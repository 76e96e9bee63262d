"""The simulated world: SimPy carries out the dispatcher's actions on a fleet of GPUs. Only this module imports simpy.

Durations are known when an invocation begins, so a worker needs no process: one reusable SimPy event per worker
and one for the arrivals are rescheduled, and an invocation costs two events (see docs/design/engine.md).
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from typing import Any

import numpy as np
import simpy
from simpy.core import StopSimulation

from sim.dispatcher import Dispatcher, Log
from sim.domain import FleetSpec, WorkerKind
from sim.errors import PolicyError
from sim.models.costs import CostModel
from sim.models.memory import HIT, BufferCache
from sim.models.startup import Ladder
from sim.protocol import (
    ARRIVAL,
    FINISHED,
    WORKER_CHANGED,
    Action,
    Arrival,
    Finished,
    Policy,
    Reject,
    Run,
    Start,
    WorkerReady,
    WorkerStopped,
)
from sim.recorder import Recorder
from sim.workload import Workload

_Callbacks = list[Callable[[simpy.Event], None]]
_Arriving = tuple[int, int, float, float, float]  # invocation, function, arrival, size, entry into the pool
_Queued = tuple[int, float, bool]  # invocation, end of its dispatch, cold
_Job = tuple[int, int, float, float, float, float]  # the first columns of recorder.ROW

ARRIVALS_IN_SLICE = 2_048
NAN = float("nan")


class _Clock(simpy.Environment):
    """SimPy's environment with absolute instants: now + (at - now) is not always at, which would undo ties."""

    @property
    def internals(self) -> tuple[list[Any], Iterator[int]]:
        """The queue of events and the numbers that keep their order."""
        return self._queue, self._eid

    def run_out(self) -> None:
        """``run()`` until no event is left, with ``step()`` written into its loop: 5 % fewer seconds a simulation."""
        queue = self._queue
        with suppress(StopSimulation):
            while queue:
                self._now, _, _, event = heappop(queue)
                callbacks = event.callbacks
                event.callbacks = None  # type: ignore[assignment]
                for callback in callbacks:
                    callback(event)
                if not event._ok and not event.defused:
                    raise event._value


class _Signal(simpy.Event):
    """An event that can be scheduled again and again, once at a time."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__(clock)
        self._ok = True
        self._value = None
        self._queue, self._numbers = clock.internals

    def fire(self, at_s: float, priority: int, callbacks: _Callbacks) -> None:
        """Call back at an instant. The list of callbacks is kept by the caller, for reuse."""
        self.callbacks = callbacks
        heappush(self._queue, (at_s, priority, next(self._numbers), self))


class _Link:
    """A host link in one direction: copies queue first come, first served."""

    __slots__ = ("free_at_s",)

    def __init__(self) -> None:
        self.free_at_s = 0.0

    def reserve(self, now_s: float, duration_s: float) -> tuple[float, float]:
        """Queue a copy that is ready now; returns how long it waits and when it ends."""
        waited_s = max(self.free_at_s - now_s, 0.0)
        self.free_at_s = max(now_s, self.free_at_s) + duration_s
        return waited_s, self.free_at_s


class _Device:
    """Ground truth about one GPU."""

    __slots__ = ("d2h", "fresh", "h2d", "number", "owner", "waiting")

    def __init__(self, number: int, h2d: _Link, d2h: _Link) -> None:
        self.number = number
        self.h2d = h2d
        self.d2h = d2h
        self.fresh = True
        self.owner: _Worker | None = None
        self.waiting: deque[_Worker] = deque()


class _Worker:
    """Ground truth about one worker. ``job`` is None when it is idle.

    Workers wait for devices by the million when a fleet is overloaded, so what only a worker on a device needs is
    made when it gets there.
    """

    __slots__ = (
        "cache", "device", "function", "job", "ladder", "modules", "number", "on_finish", "placement", "queue",
        "ready", "ready_at_s", "requested_at_s", "signal", "stopped_at_s", "stopping", "was_cold",
    )  # fmt: skip

    def __init__(self, number: int, device: _Device, function: int, requested_at_s: float) -> None:
        self.number = number
        self.device = device
        self.function = function
        self.requested_at_s = requested_at_s
        self.ready_at_s = self.stopped_at_s = NAN
        self.cache: BufferCache | None = None  # of a KaaS executor
        self.modules: set[int] | None = None  # graphs whose kernels the executor has loaded
        self.ladder: Ladder | None = None
        self.ready = self.stopping = False
        self.signal: _Signal
        self.on_finish: _Callbacks
        self.queue: deque[_Queued] | list[_Queued] = deque() if function < 0 else []  # a list is ten times smaller
        self.job: _Job | None = None
        self.placement = HIT
        self.was_cold = False


class Simulation:
    """One workload under one policy on one simulated fleet.

    per_kernel: give every kernel an event of its own, instead of one for the whole graph. log: see Dispatcher.
    ``interrupt()`` ends ``run()`` early. ``close()`` records what is left then.
    """

    def __init__(
        self,
        workload: Workload,
        policy: Policy,
        fleet: FleetSpec,
        costs: CostModel,
        recorder: Recorder,
        rng: np.random.Generator,
        *,
        per_kernel: bool = False,
        log: Log | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.interrupted = False
        self._clock = _Clock()
        self._costs = costs
        self._recorder = recorder
        self._rows, self._misses = recorder.rows, recorder.misses
        self._progress = progress
        self._per_kernel = per_kernel
        self._lumped = not per_kernel and fleet.gpus_per_link == 1
        self._dispatch_s = costs.dispatch_s
        self._dispatcher_free_at_s = 0.0
        self._waiting: dict[int, tuple[int, float, float]] = {}  # invocation -> function, arrival, size
        self._devices = _make_devices(fleet)
        self._workers: dict[int, _Worker] = {}
        self.dispatcher = Dispatcher(policy, fleet, workload.functions, costs, rng, log)
        self._report = self.dispatcher.report
        if policy.kind is WorkerKind.KAAS:
            for device in self._devices:
                self._stand_up(device)
        self._later_arrivals = self._slices(workload)
        self._arrivals: Iterator[_Arriving] = iter(())
        self._arriving: _Arriving
        self._arrival = _Signal(self._clock)
        self._on_arrival: _Callbacks = [self._arrive]

    def run(self) -> float:
        """Simulate until every invocation has ended; returns the instant of the last event in seconds."""
        self._await_arrival()
        collecting = gc.isenabled()
        gc.disable()  # the loop makes no cycles of objects; collections would look through all that waits
        try:
            self._clock.run_out()
        finally:
            if collecting:
                gc.enable()
        return float(self._clock.now)

    def interrupt(self) -> None:
        """End ``run()`` before the next event, with nothing half done; made to be called by a signal handler."""
        self.interrupted = True
        _Signal(self._clock).fire(self._clock.now, FINISHED - 1, [self._halt])

    def _halt(self, _: simpy.Event) -> None:
        raise StopSimulation(None)

    @property
    def n_unfinished(self) -> int:
        """Invocations that entered the pool and have not ended."""
        return len(self._waiting) + sum(worker.job is not None for worker in self._workers.values())

    @property
    def now_s(self) -> float:
        """The present instant."""
        return float(self._clock.now)

    def close(self) -> None:
        """Record what is still there: workers, and invocations as unfinished."""
        for worker in self._workers.values():
            self._record_worker(worker)
            if worker.job is not None:
                started_at_s = worker.job[3] if worker.job[3] <= self.now_s else NAN  # or still being dispatched
                self._recorder.ended(
                    *worker.job[:3], NAN, "unfinished", "", started_at_s=started_at_s, worker=worker.number
                )
        for number, (function, arrival_at_s, _) in self._waiting.items():
            self._recorder.ended(number, function, arrival_at_s, NAN, "unfinished", "")

    # Arrivals

    def _slices(self, workload: Workload) -> Iterator[Iterator[_Arriving]]:
        """The arrivals a few at a time, so that Python's numbers stay in the processor's cache."""
        for batch, entry_at_s in workload.by_pool_entry(self._costs.host_s):
            columns = (batch.invocation, batch.function, batch.arrival_at_s, batch.size, entry_at_s)
            for first in range(0, len(entry_at_s), ARRIVALS_IN_SLICE):
                rows = slice(first, first + ARRIVALS_IN_SLICE)
                yield zip(*(c[rows].tolist() for c in columns), strict=True)
            if self._progress is not None:
                self._progress(len(entry_at_s))

    def _await_arrival(self) -> None:
        arriving = next(self._arrivals, None)
        if arriving is None:
            self._arrivals = next(self._later_arrivals, self._arrivals)
            arriving = next(self._arrivals, None)
        if arriving is not None:
            self._arriving = arriving
            self._arrival.fire(arriving[4], ARRIVAL, self._on_arrival)

    def _arrive(self, _: simpy.Event) -> None:
        invocation, function, arrival_at_s, size, now_s = self._arriving
        self._waiting[invocation] = (function, arrival_at_s, size)
        actions = self._report(now_s, Arrival(invocation, function))
        if actions:
            self._carry_out(now_s, actions)
        self._await_arrival()

    # Actions

    def _carry_out(self, now_s: float, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Run):
                worker = self._workers[action.worker]
                begin_at_s = now_s
                if self._dispatch_s:  # one serial stage for the whole fleet, first come, first served
                    begin_at_s = max(now_s, self._dispatcher_free_at_s) + self._dispatch_s
                    self._dispatcher_free_at_s = begin_at_s
                if worker.ready and worker.job is None:
                    self._begin(worker, action.invocation, begin_at_s, False)
                else:
                    worker.queue.append((action.invocation, begin_at_s, not worker.ready))
            elif isinstance(action, Start):
                device = self._devices[action.device]
                started = self._add_worker(action.worker, device, action.function, now_s)
                device.waiting.append(started)
                if device.owner is None:
                    self._occupy(device, now_s)
            elif isinstance(action, Reject):
                function, arrival_at_s, _ = self._waiting.pop(action.invocation)
                self._recorder.ended(action.invocation, function, arrival_at_s, now_s, "rejected", action.reason)
            else:
                self._stop(self._workers[action.worker], now_s)

    # Invocations

    def _begin(self, worker: _Worker, invocation: int, at_s: float, cold: bool) -> None:
        """The device turns to an invocation at ``at_s``, now or when its dispatch is done."""
        function, arrival_at_s, size = self._waiting.pop(invocation)
        costs = self._costs
        load_s = costs.input_s[function]
        cache = worker.cache
        if cache is not None:
            placement = cache.request(function, costs.buffers[function], costs.scratch_bytes[function])
            if placement is None:  # CostModel has checked that each fits
                raise PolicyError(f"invocation {invocation} does not fit on device {worker.device.number}")
            if placement is not HIT and worker.modules is not None:
                new_modules = costs.graph_of[function] not in worker.modules
                worker.modules.add(costs.graph_of[function])
                load_s += costs.load_s(function, placement, new_modules)
            worker.placement = placement
        worker.was_cold = cold
        run_s = costs.run_s[function] * size
        worker.job = (invocation, function, arrival_at_s, at_s, load_s, run_s)
        if self._lumped:
            worker.signal.fire(at_s + load_s + run_s + costs.store_s[function], FINISHED, worker.on_finish)
        else:
            self._clock.process(self._step_through(worker, worker.job))

    def _finish(self, worker: _Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        job = worker.job
        assert job is not None
        rows = self._rows
        placement = worker.placement
        if placement is not HIT or worker.was_cold:
            n_evicted = sum(last - first for _, first, last in placement.evictions)
            self._misses += (len(rows), worker.was_cold, placement.load_bytes, n_evicted)
        rows += job
        rows += (now_s, worker.number)
        if len(rows) >= self._recorder.limit:
            self._recorder.flush()
        worker.job = None
        if worker.queue or worker.stopping:
            self._go_on(worker, now_s)
        actions = self._report(now_s, Finished(job[0], worker.number))
        if actions:
            self._carry_out(now_s, actions)

    def _go_on(self, worker: _Worker, now_s: float) -> None:
        """An idle worker turns to its queue, or leaves when it is empty and it was told to stop."""
        if worker.queue:
            queue = worker.queue
            invocation, dispatched_at_s, cold = queue.popleft() if isinstance(queue, deque) else queue.pop(0)
            self._begin(worker, invocation, max(now_s, dispatched_at_s), cold)
        elif worker.stopping:
            worker.signal.fire(now_s, WORKER_CHANGED, [partial(self._leave, worker)])

    def _step_through(self, worker: _Worker, job: _Job) -> Generator[simpy.Event, Any, None]:
        """An invocation with an event for each copy and, if asked for, each kernel: links may be shared."""
        device, costs = worker.device, self._costs
        invocation, function, arrival_at_s, at_s, load_s, run_s = job
        yield self._at(at_s)
        waited_s, loaded_at_s = device.h2d.reserve(self._clock.now, load_s)
        worker.job = (invocation, function, arrival_at_s, at_s, waited_s + load_s, run_s)
        yield self._at(loaded_at_s)
        ends_s = costs.kernel_ends_s(function, run_s) if self._per_kernel else [run_s]
        for end_s in ends_s:
            yield self._at(loaded_at_s + end_s)
        _, end_at_s = device.d2h.reserve(self._clock.now, costs.store_s[function])
        worker.signal.fire(end_at_s, FINISHED, worker.on_finish)

    def _at(self, at_s: float) -> simpy.Event:
        event = _Signal(self._clock)
        event.fire(at_s, FINISHED, [])
        return event

    # Workers

    def _add_worker(self, number: int, device: _Device, function: int, now_s: float) -> _Worker:
        worker = self._workers[number] = _Worker(number, device, function, now_s)
        self._recorder.worker_device.append(device.number)
        return worker

    def _stand_up(self, device: _Device) -> None:
        """A KaaS executor that is ready before the run."""
        worker = self._add_worker(device.number, device, -1, 0.0)
        self._put_on_device(worker)
        worker.modules = set()
        worker.cache = BufferCache(self._costs.cache_bytes, keep_headroom=self._costs.keeps_headroom)
        worker.ready = True
        worker.ready_at_s = 0.0

    def _put_on_device(self, worker: _Worker) -> None:
        worker.device.owner = worker
        worker.signal = _Signal(self._clock)
        worker.on_finish = [partial(self._finish, worker)]

    def _occupy(self, device: _Device, now_s: float) -> None:
        """The next waiting worker takes the device and climbs its ladder."""
        if not device.waiting:
            return
        worker = device.waiting.popleft()
        self._put_on_device(worker)
        worker.ladder = ladder = self._costs.ladders[worker.function].on(device.fresh)
        device.fresh = False
        context_at_s = now_s + ladder.before_constants_s
        if self._lumped:
            ready_at_s = context_at_s + ladder.constants + ladder.first_run
            worker.signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])
        else:
            self._clock.process(self._climb(worker, ladder, context_at_s))

    def _climb(self, worker: _Worker, ladder: Ladder, context_at_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._at(context_at_s)
        waited_s, loaded_at_s = worker.device.h2d.reserve(self._clock.now, ladder.constants)
        worker.ladder = ladder._replace(constants=waited_s + ladder.constants)
        worker.signal.fire(loaded_at_s + ladder.first_run, WORKER_CHANGED, [partial(self._get_ready, worker)])

    def _get_ready(self, worker: _Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker.ready = True
        worker.ready_at_s = now_s
        self._go_on(worker, now_s)
        self._carry_out(now_s, self._report(now_s, WorkerReady(worker.number)))

    def _stop(self, worker: _Worker, now_s: float) -> None:
        worker.stopping = True
        if worker.ready and worker.job is None:
            self._go_on(worker, now_s)
        elif not worker.queue and worker.device.owner is not worker:
            worker.device.waiting.remove(worker)
            _Signal(self._clock).fire(now_s, WORKER_CHANGED, [partial(self._leave, worker)])

    def _leave(self, worker: _Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker.stopped_at_s = now_s
        self._record_worker(self._workers.pop(worker.number))
        if worker.device.owner is worker:
            worker.device.owner = None
            self._occupy(worker.device, now_s)
        self._carry_out(now_s, self._report(now_s, WorkerStopped(worker.number)))

    def _record_worker(self, worker: _Worker) -> None:
        kind = WorkerKind.KAAS if worker.function < 0 else WorkerKind.EXCLUSIVE
        loaded = worker.ladder is not None and worker.ready
        self._recorder.worker(
            worker.number,
            kind,
            worker.function,
            (worker.requested_at_s, worker.ready_at_s, worker.stopped_at_s),
            worker.ladder,
            self._costs.constants_bytes[worker.function] if loaded else 0,
        )


def _make_devices(fleet: FleetSpec) -> list[_Device]:
    """Devices in nodes; ``gpus_per_link`` neighbours of a node share their links."""
    devices = []
    for number in range(fleet.n_gpus):
        place = number % fleet.gpus_per_node
        if place % fleet.gpus_per_link == 0:
            h2d, d2h = _Link(), _Link()
        devices.append(_Device(number, h2d, d2h))
    return devices
