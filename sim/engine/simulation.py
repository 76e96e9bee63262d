"""The simulated world: SimPy carries out the dispatcher's actions on a fleet of GPUs.

One reusable SimPy event per lane of a worker and one for the arrivals are rescheduled, and an invocation costs two
events (see docs/design/engine.md), or a few more where links or multiprocessors are shared (``sim.engine.serving``).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import inf

from sim.dispatcher import Dispatcher, Log
from sim.engine.arrivals import Arrivals
from sim.engine.clock import Clock
from sim.engine.fleet import SimFleet
from sim.engine.frontend import Frontend
from sim.engine.hardware import NAN, Entry, SimWorker
from sim.engine.loading import Loading
from sim.engine.partitions import Partitions
from sim.engine.residency import Residency
from sim.engine.serving import Serving
from sim.engine.timers import Timers
from sim.models.variation import Variation
from sim.protocol import (
    FINISHED,
    SHARES,
    WORKER_CHANGED,
    Action,
    Arrival,
    Event,
    Evict,
    Finished,
    Load,
    Need,
    Outcome,
    Partition,
    Preempt,
    Reject,
    Run,
    Scale,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from sim.records.recorder import Recorder
from sim.records.rows import Rows
from sim.seam import Ending, Inputs, Interrupting
from sim.streams import Stream, generator


def simulate(
    inputs: Inputs,
    recorder: Recorder,
    log: Log | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    interrupting: Interrupting | None = None,
) -> Ending:
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
    return Ending(
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
        self._recorder = recorder
        self._rows = Rows(recorder.completed)
        self._n_arrived = 0
        self._replied_at_s = 0.0  # the last reply, which may come after the last event
        self._waiting: dict[int, Entry] = {}  # invocations on their way to a worker
        self.dispatcher = Dispatcher(
            inputs.policy, inputs.fleet, workload.functions, costs, generator(seed, Stream.POLICY), log
        )
        self._report = self.dispatcher.report
        self._report_delay_s = inputs.report_delay_s
        self._qualified = self.dispatcher.qualified
        self._frontend: Frontend | None = None
        if costs.frontend is not None:
            stream = generator(seed, Stream.SERVICE)
            self._frontend = Frontend(
                self._clock, costs.frontend, costs, stream, admitted=self._let_in, enter=self._enter
            )
        self._is_closed = workload.loop is not None  # replies set off arrivals
        straight = self._frontend is None and not self._is_closed  # a completed invocation has no way back
        loading = None
        if inputs.constants is not None:
            sizes = costs.constants_bytes.tolist()
            loading = Loading(self._clock, inputs.fleet, inputs.constants, sizes)
        self._serving = Serving(
            self._clock,
            inputs.sharing,
            loading,
            self._rows,
            self._waiting,
            per_kernel=inputs.per_kernel,
            leave_pool=None if straight else self._leave_pool,
            go_on=self._go_on,
            report=self._report if not inputs.report_delay_s else self._report_later,
            carry_out=self._carry_out,
        )
        self._begin = self._serving.begin
        self._fleet = SimFleet(
            self._clock,
            inputs.fleet,
            costs,
            inputs.sharing,
            loading,
            recorder,
            self.dispatcher.standing,
            per_kernel=inputs.per_kernel,
            residency=Need.RESIDENCY in inputs.policy.needs,
            shares=bool(inputs.policy.needs & SHARES),
            on_lane=self._serving.adopt,
            on_ready=self._get_ready,
            on_gone=self._leave,
        )
        self._workers = self._fleet.workers
        self._timers = Timers(self._clock, self._wake)
        self._partitions = Partitions(self._clock, inputs.fleet, self._fleet, tell=self._hear)
        self._residency = Residency(self._clock, loading, tell=self._hear)
        door_s = 0.0 if self._frontend is None else self._frontend.transport_s
        variation = Variation(costs.spread, generator(seed, Stream.RUN_TIME))
        self._factor = variation.factor
        admit = self._admit_varied if variation.varies else self._admit
        self._arrivals = Arrivals(self._clock, workload, door_s, admit, progress)

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
        begun = (lane.invocation >= 0 for worker in self._workers.values() for lane in worker.lanes)
        return len(self._waiting) + sum(begun)

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
            for lane in worker.lanes:
                if lane.invocation >= 0:
                    begun = lane.started_at_s <= self.now_s  # or it is still being dispatched
                    self._recorder.ended(
                        lane.invocation, *lane.entry[:4], NAN, "unfinished", "",
                        started_at_s=lane.started_at_s if begun else NAN,
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

    def _admit_varied(self, function: int, arrival_at_s: float, size: float) -> None:
        """As ``_admit``, where invocations of a graph differ: each has its factor when it comes."""
        self._admit(function, arrival_at_s, size * self._factor(function))

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
        if self._is_closed:
            self._arrivals.reply(replied_at_s, function)
        return replied_at_s

    # Actions

    def _carry_out(self, now_s: float, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Run:
                worker = self._workers[action.worker]
                order = action if self._qualified and (action.others or action.latest_s != inf) else None
                if worker.lane is None:
                    worker.queue.append((action.invocation, now_s, not worker.ready, order))
                elif order is None or not self._is_late(worker, now_s, now_s, order):
                    self._begin(worker, action.invocation, now_s, now_s, False, order)
            elif isinstance(action, Start):
                self._fleet.start(now_s, action)
            elif isinstance(action, Stop):
                self._fleet.stop(now_s, self._workers[action.worker])
            elif isinstance(action, Wake):
                self._timers.set(now_s, action)
            elif isinstance(action, Preempt):
                self._serving.preempt(self._workers[action.worker])
            elif isinstance(action, Partition):
                self._partitions.partition(now_s, action)
            elif isinstance(action, Scale):
                self._partitions.scale(now_s, action)
            elif isinstance(action, Load):
                self._residency.load(now_s, self._workers[action.worker], action)
            elif isinstance(action, Evict):
                self._residency.evict(self._workers[action.worker], action)
            elif isinstance(action, Reject):
                waiting = self._waiting.pop(action.invocation)
                ended_at_s = self._leave_pool(now_s, waiting[0], 0.0)
                self._recorder.ended(action.invocation, *waiting[:4], ended_at_s, "rejected", action.reason)

    def _go_on(self, now_s: float, worker: SimWorker) -> None:
        """A worker turns to its queue with its idle lanes; when it is empty, the worker may have to leave."""
        queue = worker.queue
        while queue and worker.lane is not None:
            invocation, ordered_at_s, cold, order = queue.pop(0) if isinstance(queue, list) else queue.popleft()
            if order is None or not self._is_late(worker, ordered_at_s, now_s, order):
                self._begin(worker, invocation, ordered_at_s, now_s, cold, order)
        if worker.stopping and worker.lane is not None:
            self._fleet.let_go(now_s, worker)

    def _is_late(self, worker: SimWorker, ordered_at_s: float, now_s: float, order: Run) -> bool:
        """Whether a run can't begin in time; the policy is told so after what it is told of now."""
        function = self._waiting[order.invocation][0]
        if max(now_s, ordered_at_s + worker.columns.dispatch_s[function]) <= order.latest_s:
            return False
        self._clock.call(now_s, FINISHED, lambda _: self._tell_late(worker, order))
        return True

    def _tell_late(self, worker: SimWorker, order: Run) -> None:
        late = Finished(order.invocation, worker.number, Outcome.LATE, order.others)
        self._hear(self.now_s, late)

    # Events

    def _get_ready(self, now_s: float, worker: SimWorker) -> None:
        self._go_on(now_s, worker)
        self._hear(now_s, WorkerReady(worker.number, worker.device.number))

    def _leave(self, now_s: float, worker: SimWorker) -> None:
        self._hear(now_s, WorkerStopped(worker.number))

    def _wake(self, now_s: float, tag: str) -> None:
        self._tell(now_s, Woke(tag))

    def _hear(self, now_s: float, event: Event) -> None:
        """The policy hears of what workers and devices did, as soon as it may."""
        if self._report_delay_s:
            self._report_later(now_s, event)
        else:
            self._tell(now_s, event)

    def _report_later(self, now_s: float, event: Event) -> Sequence[Action]:
        priority = FINISHED if isinstance(event, Finished) else WORKER_CHANGED
        at_s = now_s + self._report_delay_s
        self._clock.call(at_s, priority, lambda _: self._tell(at_s, event))
        return ()

    def _tell(self, now_s: float, event: Event) -> None:
        actions = self._report(now_s, event)
        if actions:
            self._carry_out(now_s, actions)
