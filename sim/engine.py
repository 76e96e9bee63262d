"""The simulated world: SimPy carries out the dispatcher's actions on a fleet of GPUs.

Durations are known when an invocation begins, so a worker needs no process: one reusable SimPy event per worker
and one for the arrivals are rescheduled, and an invocation costs two events (see docs/design/engine.md). Where links
or multiprocessors are shared, it is a process that steps through copies and kernels.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any

import numpy as np
import simpy

from sim.clock import Callbacks, Clock, Signal
from sim.dispatcher import Dispatcher, Log
from sim.domain import FleetSpec, WorkerKind
from sim.errors import PolicyError
from sim.frontend import Frontend
from sim.hardware import NAN, Compute, Device, Job, Worker, make_devices
from sim.models.costs import CostModel
from sim.models.memory import HIT, BufferCache
from sim.models.startup import Ladder
from sim.protocol import (
    ANY_DEVICE,
    ARRIVAL,
    FINISHED,
    WORKER_CHANGED,
    Action,
    Arrival,
    Finished,
    Policy,
    Reject,
    Run,
    Standing,
    Start,
    WorkerReady,
    WorkerStopped,
    share_devices,
)
from sim.recorder import Recorder
from sim.workload import Workload

_Arriving = tuple[int, float, float]  # function, arrival, size

ARRIVALS_IN_SLICE = 2_048


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
        self._clock = Clock()
        self._costs = costs
        self._recorder = recorder
        self._rows, self._misses = recorder.rows, recorder.misses
        self._progress = progress
        self._per_kernel = per_kernel
        self._dispatch_s = costs.dispatch_s
        self._n_arrived = 0
        # Invocations on their way to a worker -> function, arrival, entry into the pool (NaN before), size.
        self._waiting: dict[int, tuple[int, float, float, float]] = {}
        self._devices = make_devices(fleet)
        self._workers: dict[int, Worker] = {}
        self.dispatcher = Dispatcher(policy, fleet, workload.functions, costs, rng, log)
        self._report = self.dispatcher.report
        self._line: deque[Worker] = deque()  # for any device
        self._free = list(range(fleet.n_gpus))  # heap of devices that nobody has; some that were taken meanwhile
        standing = self.dispatcher.standing
        shared = share_devices(standing)
        self._lumped = not per_kernel and fleet.gpus_per_link == 1 and not shared
        for number, worker in enumerate(standing):
            self._stand_up(number, worker, shared)
        self._loop = workload.loop
        self._frontend: Frontend | None = None
        if costs.frontend is not None:
            stream = rng.spawn(1)[0]
            self._frontend = Frontend(self._clock, costs.frontend, costs, stream, self._enter)
        self._straight = self._frontend is None and self._loop is None  # a completed invocation has no way back
        self._door_s = 0.0 if self._frontend is None else self._frontend.transport_s
        if self._loop is not None:
            self._loop.reset()
        self._later_arrivals = self._slices(workload)
        self._arrivals: Iterator[_Arriving] = iter(())
        self._arriving: _Arriving
        self._arrival = Signal(self._clock)
        self._on_arrival: Callbacks = [self._arrive]

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
        self._clock.call(self._clock.now, FINISHED - 1, Clock.halt)

    @property
    def n_unfinished(self) -> int:
        """Invocations that arrived and have not ended."""
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
                started_at_s = worker.job[4] if worker.job[4] <= self.now_s else NAN  # or still being dispatched
                self._recorder.ended(
                    *worker.job[:4], NAN, "unfinished", "", started_at_s=started_at_s, worker=worker.number
                )
        for number, (function, arrival_at_s, queued_at_s, _) in self._waiting.items():
            self._recorder.ended(number, function, arrival_at_s, queued_at_s, NAN, "unfinished", "")

    # Arrivals

    def _slices(self, workload: Workload) -> Iterator[Iterator[_Arriving]]:
        """The arrivals a few at a time, so that Python's numbers stay in the processor's cache."""
        for batch in workload.batches():
            columns = (batch.function, batch.arrival_at_s, batch.size)
            n = len(batch.function)
            for first in range(0, n, ARRIVALS_IN_SLICE):
                rows = slice(first, first + ARRIVALS_IN_SLICE)
                yield zip(*(c[rows].tolist() for c in columns), strict=True)
            if self._progress is not None:
                self._progress(n)

    def _await_arrival(self) -> None:
        arriving = next(self._arrivals, None)
        if arriving is None:
            self._arrivals = next(self._later_arrivals, self._arrivals)
            arriving = next(self._arrivals, None)
        if arriving is not None:
            self._arriving = arriving
            self._arrival.fire(arriving[1] + self._door_s, ARRIVAL, self._on_arrival)

    def _arrive(self, _: simpy.Event) -> None:
        self._admit(*self._arriving)
        self._await_arrival()

    def _arrive_again(self, function: int, arrival_at_s: float, _: simpy.Event) -> None:
        self._admit(function, arrival_at_s, 1.0)

    def _admit(self, function: int, arrival_at_s: float, size: float) -> None:
        """An invocation stands at the door; without a frontend that is the pool's."""
        now_s = self._clock._now
        invocation = self._n_arrived
        self._n_arrived = invocation + 1
        if self._frontend is None:
            self._waiting[invocation] = (function, arrival_at_s, now_s, size)
            actions = self._report(now_s, Arrival(invocation, function))
            if actions:
                self._carry_out(now_s, actions)
        else:
            self._waiting[invocation] = (function, arrival_at_s, NAN, size)
            self._frontend.arrive(now_s, invocation, function)

    def _enter(self, now_s: float, invocation: int, function: int) -> None:
        """An invocation enters the pool."""
        _, arrival_at_s, _, size = self._waiting[invocation]
        self._waiting[invocation] = (function, arrival_at_s, now_s, size)
        actions = self._report(now_s, Arrival(invocation, function))
        if actions:
            self._carry_out(now_s, actions)

    def _leave_pool(self, now_s: float, function: int) -> float:
        """The pool is done with an invocation; returns when its client has the reply, which may set off arrivals."""
        replied_at_s = now_s if self._frontend is None else self._frontend.leave(now_s, function)
        if self._loop is not None:
            self._clock.call(replied_at_s, ARRIVAL, partial(self._reply, replied_at_s, function))
        return replied_at_s

    def _reply(self, now_s: float, function: int, _: simpy.Event) -> None:
        assert self._loop is not None
        for at_s, next_function in self._loop.again(now_s, function):
            self._clock.call(at_s + self._door_s, ARRIVAL, partial(self._arrive_again, next_function, at_s))
            if self._progress is not None:
                self._progress(1)

    # Actions

    def _carry_out(self, now_s: float, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Run):
                worker = self._workers[action.worker]
                begin_at_s = now_s + self._dispatch_s
                if worker.ready and worker.job is None:
                    self._begin(worker, action.invocation, begin_at_s, False)
                else:
                    worker.queue.append((action.invocation, begin_at_s, not worker.ready))
            elif isinstance(action, Start):
                self._start(action, now_s)
            elif isinstance(action, Reject):
                function, arrival_at_s, queued_at_s, _ = self._waiting.pop(action.invocation)
                ended_at_s = self._leave_pool(now_s, function)
                self._recorder.ended(
                    action.invocation, function, arrival_at_s, queued_at_s, ended_at_s, "rejected", action.reason
                )
            else:
                self._stop(self._workers[action.worker], now_s)

    # Invocations

    def _begin(self, worker: Worker, invocation: int, at_s: float, cold: bool) -> None:
        """The device turns to an invocation at ``at_s``, now or when its dispatch is done."""
        function, arrival_at_s, queued_at_s, size = self._waiting.pop(invocation)
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
        worker.job = (invocation, function, arrival_at_s, queued_at_s, at_s, load_s, run_s)
        if self._lumped:
            worker.signal.fire(at_s + load_s + run_s + costs.store_s[function], FINISHED, worker.on_finish)
        else:
            self._clock.process(self._step_through(worker, worker.job))

    def _finish(self, worker: Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        job = worker.job
        assert job is not None
        rows = self._rows
        placement = worker.placement
        if placement is not HIT or worker.was_cold:
            n_evicted = sum(last - first for _, first, last in placement.evictions)
            self._misses += (len(rows), worker.was_cold, placement.load_bytes, n_evicted)
        rows += job
        rows += (now_s if self._straight else self._leave_pool(now_s, job[1]), worker.number)
        if len(rows) >= self._recorder.limit:
            self._recorder.flush()
        worker.job = None
        if worker.queue or worker.stopping:
            self._go_on(worker, now_s)
        actions = self._report(now_s, Finished(job[0], worker.number))
        if actions:
            self._carry_out(now_s, actions)

    def _go_on(self, worker: Worker, now_s: float) -> None:
        """An idle worker turns to its queue, or leaves when it is empty and it was told to stop."""
        if worker.queue:
            queue = worker.queue
            invocation, dispatched_at_s, cold = queue.popleft() if isinstance(queue, deque) else queue.pop(0)
            self._begin(worker, invocation, max(now_s, dispatched_at_s), cold)
        elif worker.stopping:
            worker.signal.fire(now_s, WORKER_CHANGED, [partial(self._leave, worker)])

    def _step_through(self, worker: Worker, job: Job) -> Generator[simpy.Event, Any, None]:
        """An invocation with an event for each copy and, if asked for, each kernel: links may be shared."""
        device, costs = worker.device, self._costs
        invocation, function, arrival_at_s, queued_at_s, started_at_s, load_s, run_s = job
        yield self._at(started_at_s)
        waited_s, loaded_at_s = device.h2d.reserve(self._clock.now, load_s)
        load_s += waited_s
        worker.job = (invocation, function, arrival_at_s, queued_at_s, started_at_s, load_s, run_s)
        yield self._at(loaded_at_s)
        ends_s = costs.kernel_ends_s(function, run_s) if self._per_kernel else [run_s]
        shared = worker.shared
        if shared is None:
            for end_s in ends_s:
                yield self._at(loaded_at_s + end_s)
        else:
            assert device.compute is not None
            for begin_s, end_s in zip([0.0, *ends_s], ends_s, strict=False):
                work_s = (end_s - begin_s) * shared.run_frac
                yield device.compute.run(worker.number, work_s, shared.sm_frac, shared.bandwidth_frac)
            run_s = self._clock.now - loaded_at_s
            worker.job = (invocation, function, arrival_at_s, queued_at_s, started_at_s, load_s, run_s)
        _, end_at_s = device.d2h.reserve(self._clock.now, costs.store_s[function])
        worker.signal.fire(end_at_s, FINISHED, worker.on_finish)

    def _at(self, at_s: float) -> simpy.Event:
        event = Signal(self._clock)
        event.fire(at_s, FINISHED, [])
        return event

    # Workers

    def _add_worker(self, number: int, function: int, now_s: float) -> Worker:
        worker = self._workers[number] = Worker(number, function, now_s)
        self._recorder.worker_device.append(-1)
        return worker

    def _stand_up(self, number: int, standing: Standing, shared: bool) -> None:
        """A worker that is ready before the run."""
        device = self._devices[standing.device]
        worker = self._add_worker(number, standing.function, 0.0)
        self._put_on_device(worker, device)
        if shared:
            worker.shared = self._costs.under_share(standing.function, standing.share)
            device.compute = device.compute or Compute(self._clock)
        if standing.function < 0:
            worker.modules = set()
            worker.cache = BufferCache(self._costs.cache_bytes, keep_headroom=self._costs.keeps_headroom)
        worker.ready = True
        worker.ready_at_s = 0.0

    def _put_on_device(self, worker: Worker, device: Device) -> None:
        worker.line = None
        worker.device = device
        device.n_workers += 1
        self._recorder.worker_device[worker.number] = device.number
        worker.signal = Signal(self._clock)
        worker.on_finish = [partial(self._finish, worker)]

    def _start(self, order: Start, now_s: float) -> None:
        worker = self._add_worker(order.worker, order.function, now_s)
        worker.line = self._line if order.device == ANY_DEVICE else self._devices[order.device].line
        worker.line.append(worker)
        if order.device != ANY_DEVICE:
            self._occupy(self._devices[order.device], now_s)
        while worker.line is not None and order.device == ANY_DEVICE and self._free:
            self._occupy(self._devices[heappop(self._free)], now_s)

    def _occupy(self, device: Device, now_s: float) -> None:
        """The next worker takes a device that nobody has, and climbs its ladder; first those that want no other."""
        if device.n_workers:
            return
        line = device.line or self._line
        if not line:
            heappush(self._free, device.number)
            return
        worker = line.popleft()
        self._put_on_device(worker, device)
        worker.ladder = ladder = self._costs.ladders[worker.function].on(device.fresh)
        device.fresh = False
        context_at_s = now_s + ladder.before_constants_s
        if self._lumped:
            ready_at_s = context_at_s + ladder.constants + ladder.first_run
            worker.signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])
        else:
            self._clock.process(self._climb(worker, ladder, context_at_s))

    def _climb(self, worker: Worker, ladder: Ladder, context_at_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._at(context_at_s)
        waited_s, loaded_at_s = worker.device.h2d.reserve(self._clock.now, ladder.constants)
        worker.ladder = ladder._replace(constants=waited_s + ladder.constants)
        worker.signal.fire(loaded_at_s + ladder.first_run, WORKER_CHANGED, [partial(self._get_ready, worker)])

    def _get_ready(self, worker: Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker.ready = True
        worker.ready_at_s = now_s
        self._go_on(worker, now_s)
        self._carry_out(now_s, self._report(now_s, WorkerReady(worker.number)))

    def _stop(self, worker: Worker, now_s: float) -> None:
        worker.stopping = True
        if worker.ready and worker.job is None:
            self._go_on(worker, now_s)
        elif not worker.queue and worker.line is not None:
            worker.line.remove(worker)
            self._clock.call(now_s, WORKER_CHANGED, partial(self._leave, worker))

    def _leave(self, worker: Worker, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker.stopped_at_s = now_s
        self._record_worker(self._workers.pop(worker.number))
        if worker.line is None:
            worker.device.n_workers -= 1
            self._occupy(worker.device, now_s)
        self._carry_out(now_s, self._report(now_s, WorkerStopped(worker.number)))

    def _record_worker(self, worker: Worker) -> None:
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
