"""The simulated world: SimPy carries out the dispatcher's actions on a fleet of GPUs.

Durations are known when an invocation begins, so a worker needs no process: one reusable SimPy event per worker
and one for the arrivals are rescheduled, and an invocation costs two events (see docs/design/engine.md). Where links
or multiprocessors are shared, it is a process that steps through copies and kernels.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from typing import Any

import simpy

from sim.dispatcher import Dispatcher, Log
from sim.engine.arrivals import Arrivals
from sim.engine.clock import Clock
from sim.engine.fleet import SimFleet
from sim.engine.frontend import Frontend
from sim.engine.hardware import NAN, SimWorker
from sim.errors import PolicyError
from sim.models.memory import HIT
from sim.protocol import (
    FINISHED,
    Action,
    Arrival,
    Finished,
    Reject,
    Run,
    Start,
    WorkerReady,
    WorkerStopped,
)
from sim.records.recorder import Recorder
from sim.records.rows import Rows
from sim.seam import Inputs, Interrupting, Outcome
from sim.streams import Stream, generator


def simulate(
    inputs: Inputs,
    recorder: Recorder,
    log: Log | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    interrupting: Interrupting | None = None,
) -> Outcome:
    """Simulate with SimPy; see ``sim.seam.Engine``."""
    simulation = Simulation(inputs, recorder, log, progress)
    failure: Exception | SystemExit | None = None
    try:
        with interrupting(simulation.interrupt) if interrupting is not None else nullcontext():
            simulation.run()
    except OSError:  # nothing can be written, not even what was completed
        raise
    except (Exception, SystemExit) as raised:
        failure = raised
    simulation.close()
    return Outcome(
        simulation.now_s, simulation.n_unfinished, simulation.interrupted, tuple(simulation.limits()), failure
    )


class Simulation:
    """One workload under one policy on one simulated fleet; for log and progress see ``sim.seam.Engine``.

    ``interrupt()`` ends ``run()`` early. ``close()`` records what is left then.
    """

    def __init__(
        self, inputs: Inputs, recorder: Recorder, log: Log | None, progress: Callable[[int], None] | None
    ) -> None:
        self.interrupted = False
        workload, costs, seed = inputs.workload, inputs.costs, inputs.seed
        self._clock = Clock()
        self._costs = costs
        self._graph_of: list[int] = costs.graph_of.tolist()
        self._scratch_bytes: list[int] = costs.scratch_bytes.tolist()
        self._buffers = costs.buffers
        self._dispatch_s: list[float] = costs.dispatch_s.tolist()
        self._input_s: list[float] = costs.input_s.tolist()
        self._run_s: list[float] = costs.run_s.tolist()
        self._store_s: list[float] = costs.store_s.tolist()
        self._post_s: list[float] = costs.post_s.tolist()
        self._recorder = recorder
        self._rows = Rows(recorder.completed)
        self._completed, self._missed, self._limit = self._rows.completed, self._rows.missed, self._rows.limit
        self._per_kernel = inputs.per_kernel
        self._n_arrived = 0
        self._replied_at_s = 0.0  # the last reply, which may come after the last event
        # Invocations on their way to a worker -> function, arrival, admission, entry into the pool (NaN before), size.
        self._waiting: dict[int, tuple[int, float, float, float, float]] = {}
        self.dispatcher = Dispatcher(
            inputs.policy, inputs.fleet, workload.functions, costs, generator(seed, Stream.POLICY), log
        )
        self._report = self.dispatcher.report
        self._fleet = SimFleet(
            self._clock,
            inputs.fleet,
            costs,
            recorder,
            self.dispatcher.standing,
            per_kernel=inputs.per_kernel,
            on_finish=self._finish,
            on_ready=self._get_ready,
            on_gone=self._leave,
        )
        self._workers = self._fleet.workers
        self._lumped = self._fleet.lumped
        self._frontend: Frontend | None = None
        if costs.frontend is not None:
            stream = generator(seed, Stream.SERVICE)
            self._frontend = Frontend(
                self._clock, costs.frontend, costs, stream, admitted=self._let_in, enter=self._enter
            )
        self._straight = self._frontend is None and workload.loop is None  # a completed invocation has no way back
        door_s = 0.0 if self._frontend is None else self._frontend.transport_s
        self._arrivals = Arrivals(self._clock, workload, door_s, self._admit, progress)

    def run(self) -> float:
        """Simulate until every invocation has ended; returns the instant of the last reply or event in seconds."""
        self._arrivals.await_next()
        collecting = gc.isenabled()
        gc.disable()  # the loop makes no cycles of objects; collections would look through all that waits
        try:
            self._clock.run_out()
        finally:
            self._clock.pass_until(self._replied_at_s)
            if collecting:
                gc.enable()
        return self.now_s

    def interrupt(self) -> None:
        """End ``run()`` before the next event, with nothing half done; made to be called by a signal handler."""
        self.interrupted = True
        self._clock.call(self._clock.now, FINISHED - 1, Clock.halt)

    @property
    def n_unfinished(self) -> int:
        """Invocations that arrived and have not ended."""
        return len(self._waiting) + sum(worker.service.invocation >= 0 for worker in self._workers.values())

    @property
    def now_s(self) -> float:
        """The present instant."""
        return float(self._clock.now)

    def limits(self) -> list[str]:
        """What has limited the run that is neither the policy nor a GPU, in sentences."""
        return [] if self._frontend is None else self._frontend.limits(self.now_s)

    def close(self) -> None:
        """Record what is still there: workers, and invocations as unfinished."""
        self._rows.flush()
        for worker in self._workers.values():
            self._fleet.record(worker)
            service = worker.service
            if service.invocation >= 0:
                before = (service.arrival_at_s, service.admitted_at_s, service.queued_at_s)
                begun = service.started_at_s <= self.now_s  # or it is still being dispatched
                self._recorder.ended(
                    service.invocation, service.function, *before, NAN, "unfinished", "",
                    started_at_s=service.started_at_s if begun else NAN,
                    worker=worker.number,
                )  # fmt: skip
        for number, waiting in self._waiting.items():
            self._recorder.ended(number, *waiting[:4], NAN, "unfinished", "")

    # Before and after the pool

    def _admit(self, function: int, arrival_at_s: float, size: float) -> None:
        """An invocation stands at the door; without a frontend that is the pool's."""
        now_s = self._clock._now
        invocation = self._n_arrived
        self._n_arrived = invocation + 1
        if self._frontend is None:
            self._waiting[invocation] = (function, arrival_at_s, now_s, now_s, size)
            actions = self._report(now_s, Arrival(invocation, function))
            if actions:
                self._carry_out(now_s, actions)
        else:
            self._waiting[invocation] = (function, arrival_at_s, NAN, NAN, size)
            self._frontend.arrive(now_s, invocation, function)

    def _let_in(self, now_s: float, invocation: int) -> None:
        """The frontend has let an invocation in."""
        function, arrival_at_s, _, _, size = self._waiting[invocation]
        self._waiting[invocation] = (function, arrival_at_s, now_s, NAN, size)

    def _enter(self, now_s: float, invocation: int, function: int) -> None:
        """An invocation enters the pool."""
        _, arrival_at_s, admitted_at_s, _, size = self._waiting[invocation]
        self._waiting[invocation] = (function, arrival_at_s, admitted_at_s, now_s, size)
        actions = self._report(now_s, Arrival(invocation, function))
        if actions:
            self._carry_out(now_s, actions)

    def _leave_pool(self, now_s: float, function: int, post_s: float) -> float:
        """The pool is done with an invocation; returns when its client has the reply, after a host stage."""
        replied_at_s = now_s if self._frontend is None else self._frontend.leave(now_s, post_s)
        if replied_at_s > self._replied_at_s:
            self._replied_at_s = replied_at_s
        self._arrivals.reply(replied_at_s, function)
        return replied_at_s

    # Actions

    def _carry_out(self, now_s: float, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Run:
                worker = self._workers[action.worker]
                if worker.ready and worker.service.invocation < 0:
                    self._begin(worker, action.invocation, now_s, now_s, False)
                else:
                    worker.queue.append((action.invocation, now_s, not worker.ready))
            elif isinstance(action, Start):
                self._fleet.start(now_s, action)
            elif isinstance(action, Reject):
                waiting = self._waiting.pop(action.invocation)
                ended_at_s = self._leave_pool(now_s, waiting[0], 0.0)
                self._recorder.ended(action.invocation, *waiting[:4], ended_at_s, "rejected", action.reason)
            else:
                self._fleet.stop(now_s, self._workers[action.worker])

    # Invocations

    def _begin(self, worker: SimWorker, invocation: int, ordered_at_s: float, now_s: float, cold: bool) -> None:
        """The device turns to an invocation, now or when its dispatch is done, and is idle until then."""
        service = worker.service
        function, service.arrival_at_s, service.admitted_at_s, service.queued_at_s, size = self._waiting.pop(invocation)
        at_s = ordered_at_s + self._dispatch_s[function]
        if at_s < now_s:
            at_s = now_s
        load_s = self._input_s[function]
        cache = worker.cache
        if cache is not None:
            placement = cache.request(function, self._buffers[function], self._scratch_bytes[function])
            if placement is None:  # CostModel has checked that each fits
                raise PolicyError(f"invocation {invocation} does not fit on device {worker.device.number}")
            if placement is not HIT and worker.modules is not None:
                graph = self._graph_of[function]
                new_modules = graph not in worker.modules
                worker.modules.add(graph)
                load_s += self._costs.load_s(function, placement, new_modules)
            service.placement = placement
        run_s = self._run_s[function] * size
        service.invocation = invocation
        service.function = function
        service.dispatch_s = at_s - now_s
        service.started_at_s = at_s
        service.load_s = load_s
        service.run_s = run_s
        service.cold = cold
        if self._lumped:
            worker.signal.fire(at_s + load_s + run_s + self._store_s[function], FINISHED, worker.on_finish)
        else:
            self._clock.process(self._step_through(worker))

    def _finish(self, worker: SimWorker, _: simpy.Event) -> None:
        now_s = self._clock._now
        service = worker.service
        invocation, function = service.invocation, service.function
        completed = self._completed
        placement = service.placement
        if placement is not HIT or service.cold:
            n_evicted = sum(last - first for _, first, last in placement.evictions)
            self._missed += (len(completed), service.cold, placement.load_bytes, n_evicted)
        replied_at_s = now_s if self._straight else self._leave_pool(now_s, function, self._post_s[function])
        completed += (
            invocation, function, service.arrival_at_s, service.admitted_at_s, service.queued_at_s, service.dispatch_s,
            service.started_at_s, service.load_s, service.run_s, replied_at_s, worker.number,
        )  # fmt: skip
        if len(completed) >= self._limit:
            self._rows.flush()
        service.invocation = -1
        worker.idle_at_s = now_s
        if worker.queue or worker.stopping:
            self._go_on(now_s, worker)
        actions = self._report(now_s, Finished(invocation, worker.number))
        if actions:
            self._carry_out(now_s, actions)

    def _go_on(self, now_s: float, worker: SimWorker) -> None:
        """An idle worker turns to its queue; when it is empty, the worker may have to leave."""
        if worker.queue:
            queue = worker.queue
            invocation, ordered_at_s, cold = queue.popleft() if isinstance(queue, deque) else queue.pop(0)
            self._begin(worker, invocation, ordered_at_s, now_s, cold)
        elif worker.stopping:
            self._fleet.let_go(now_s, worker)

    def _step_through(self, worker: SimWorker) -> Generator[simpy.Event, Any, None]:
        """An invocation with an event for each copy and, if asked for, each kernel: links may be shared."""
        device, service = worker.device, worker.service
        yield self._clock.at(service.started_at_s, FINISHED)
        waited_s, loaded_at_s = device.h2d.reserve(self._clock.now, service.load_s)
        service.load_s += waited_s
        yield self._clock.at(loaded_at_s, FINISHED)
        ends_s = self._costs.kernel_ends_s(service.function, service.run_s) if self._per_kernel else [service.run_s]
        shared = worker.shared
        if shared is None:
            for end_s in ends_s:
                yield self._clock.at(loaded_at_s + end_s, FINISHED)
        else:
            assert device.compute is not None
            for begin_s, end_s in zip([0.0, *ends_s], ends_s, strict=False):
                work_s = (end_s - begin_s) * shared.run_frac
                yield device.compute.run(worker.number, work_s, shared.sm_frac, shared.bandwidth_frac)
            service.run_s = self._clock.now - loaded_at_s
        _, end_at_s = device.d2h.reserve(self._clock.now, self._store_s[service.function])
        worker.signal.fire(end_at_s, FINISHED, worker.on_finish)

    # Workers

    def _get_ready(self, now_s: float, worker: SimWorker) -> None:
        self._go_on(now_s, worker)
        self._carry_out(now_s, self._report(now_s, WorkerReady(worker.number, worker.device.number)))

    def _leave(self, now_s: float, worker: SimWorker) -> None:
        self._carry_out(now_s, self._report(now_s, WorkerStopped(worker.number)))
