"""The simulated world: SimPy carries out the dispatcher's actions on a fleet of GPUs.

One reusable SimPy event per lane of a worker and one for the arrivals are rescheduled, and an invocation costs two
events (see docs/design/engine.md), or a few more where links or multiprocessors are shared (``sim.engine.serving``).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from math import inf

from sim.dispatcher import Dispatcher, Log
from sim.engine.clock import Clock
from sim.engine.doors import Doors
from sim.engine.failing import Failing
from sim.engine.fleet import SimFleet
from sim.engine.hardware import NAN, NEVER, Lost, SimWorker
from sim.engine.loading import Loading
from sim.engine.partitions import Partitions
from sim.engine.residency import Residency
from sim.engine.serving import Serving
from sim.engine.timers import Timers
from sim.models.failures import Failures
from sim.protocol import (
    ARRIVAL,
    FINISHED,
    SHARES,
    WORKER_CHANGED,
    Action,
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
from sim.text import counted


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
        costs, seed = inputs.costs, inputs.seed
        self._clock = Clock()
        self._recorder = recorder
        self._rows = Rows(recorder.completed)
        self.dispatcher = Dispatcher(
            inputs.policy, inputs.fleet, inputs.workload.functions, costs, generator(seed, Stream.POLICY), log
        )
        self._report = self.dispatcher.report
        self._report_delay_s = inputs.report_delay_s
        self._impatient = inputs.clients is not None
        self._qualified = self.dispatcher.qualified or self._impatient
        self._retries = inputs.retries
        self._doors = doors = Doors(
            self._clock, inputs, recorder, report=self._report, carry_out=self._carry_out, progress=progress
        )
        loading = None
        if inputs.constants is not None:
            sizes = costs.constants_bytes.tolist()
            loading = Loading(self._clock, inputs.fleet, inputs.constants, sizes)
        self._serving = Serving(
            self._clock,
            inputs.sharing,
            loading,
            self._rows,
            doors.waiting,
            doors.tries,
            per_kernel=inputs.per_kernel,
            leave_pool=doors.leave,
            go_on=self._go_on,
            report=self._report if not inputs.report_delay_s else self._report_later,
            carry_out=self._carry_out,
        )
        self._begin = self._serving.begin
        failures = Failures(inputs.failures, inputs.fleet, seed) if inputs.failures else None
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
            slows=any(failure.factor is not None for failure in inputs.failures),
            shares=bool(inputs.policy.needs & SHARES),
            on_lane=self._serving.adopt,
            on_lost=self._serving.lose,
            on_placed=None if failures is None else partial(self._employ, failures),
            on_ready=self._get_ready,
            on_gone=self._leave,
        )
        self._workers = self._fleet.workers
        self._timers = Timers(self._clock, self._wake)
        self._partitions = Partitions(self._clock, inputs.fleet, self._fleet, tell=self._hear)
        self._residency = Residency(self._clock, loading, tell=self._hear)
        self._failing: Failing | None = None
        if failures is not None:
            self._failing = Failing(
                self._clock,
                failures,
                inputs.fleet,
                self._fleet,
                delay_s=inputs.report_delay_s,
                tell=self._tell,
                lose=self._lose,
            )

    def run(self) -> float:
        """Simulate until every invocation has ended; returns the instant of the last reply or event in seconds."""
        self._doors.open()
        collecting = gc.isenabled()
        gc.disable()  # the loop makes no cycles of objects; collections would look through all that waits
        try:
            self._run_out()
        finally:
            self._clock.pass_until(self._doors.replied_at_s)
            if collecting:
                gc.enable()
        return self.now_s

    def _run_out(self) -> None:
        """Until nothing is left but what fails and who may leave, and neither helps what still waits."""
        beside = [source for source in (self._failing, self._doors.patience) if source is not None]
        if not beside:
            self._clock.run_out()
            return
        while True:
            if not self._clock.run_before(min(source.next_at_s for source in beside), WORKER_CHANGED):
                return
            following = min(beside, key=lambda source: source.next_at_s)
            idle = self._clock.is_empty
            if idle and not (self.n_unfinished and any(source.gives_hope for source in beside)):
                return
            following.go_on(idle=idle)

    def interrupt(self) -> None:
        """End ``run()`` before the next event, with nothing half done; made to be called by a signal handler."""
        self.interrupted = True
        self._clock.call(self._clock.now, FINISHED - 1, Clock.halt)

    @property
    def n_unfinished(self) -> int:
        """Invocations that arrived and have not ended."""
        begun = (lane.invocation >= 0 for worker in self._workers.values() for lane in worker.lanes)
        return self._doors.n_inside + sum(begun)

    @property
    def now_s(self) -> float:
        """The present instant."""
        return float(self._clock.now)

    def limits(self) -> list[str]:
        """What has limited the run that is neither the policy nor a GPU, in sentences."""
        limits = self._doors.limits(self.now_s)
        if self._failing is not None and self._failing.n_down and self.n_unfinished:
            limits.append(f"what is unfinished was left with {counted(self._failing.n_down, 'failed device')}")
        return limits

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
                        worker=worker.number, attempt=self._doors.tries.get(lane.invocation, NEVER).attempt,
                    )  # fmt: skip
        self._doors.close()

    # Actions

    def _carry_out(self, now_s: float, actions: Sequence[Action]) -> None:
        for action in actions:
            if type(action) is Run:
                worker = self._workers[action.worker]
                order: Run | None = None
                if self._qualified and (action.others or action.latest_s != inf or self._impatient):
                    order = action
                if worker.lane is None:
                    worker.queue.append((action.invocation, now_s, not worker.ready, order))
                elif order is None:
                    self._begin(worker, action.invocation, now_s, now_s, False, None)
                else:
                    self._begin_if_wanted(worker, now_s, now_s, False, order)
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
                if self._doors.is_missing(action.invocation):
                    self._doors.let_go_of(now_s, action.invocation)
                else:
                    self._end(now_s, action.invocation, "rejected", action.reason)

    def _go_on(self, now_s: float, worker: SimWorker) -> None:
        """A worker turns to its queue with its idle lanes; when it is empty, the worker may have to leave."""
        queue = worker.queue
        while queue and worker.lane is not None:
            invocation, ordered_at_s, cold, order = queue.pop(0) if isinstance(queue, list) else queue.popleft()
            if order is None:
                self._begin(worker, invocation, ordered_at_s, now_s, cold, None)
            else:
                self._begin_if_wanted(worker, ordered_at_s, now_s, cold, order)
        if worker.stopping and worker.lane is not None:
            self._fleet.let_go(now_s, worker)

    def _begin_if_wanted(self, worker: SimWorker, ordered_at_s: float, now_s: float, cold: bool, order: Run) -> None:
        """Begin a run if it can begin in time, with those whose clients are there; the policy is told of the others
        after what it is told of now."""
        if self._impatient:
            invocations = (order.invocation, *order.others)
            missing = tuple(i for i in invocations if self._doors.is_missing(i))
            if missing:
                told_at_s = now_s + self._report_delay_s
                self._clock.call(told_at_s, FINISHED, lambda _: self._tell_missing(worker, missing))
                invocations = tuple(i for i in invocations if i not in missing)
                if not invocations:
                    return
                order = Run(invocations[0], order.worker, order.latest_s, invocations[1:])
        function = self._doors.waiting[order.invocation][0]
        if max(now_s, ordered_at_s + worker.columns.dispatch_s[function]) <= order.latest_s:
            self._begin(worker, order.invocation, ordered_at_s, now_s, cold, order)
        else:
            late = Finished(order.invocation, worker.number, Outcome.LATE, order.others)
            self._clock.call(now_s, FINISHED, lambda _: self._hear(now_s, late))

    # What goes wrong

    def _employ(self, failures: Failures, now_s: float, worker: int) -> None:
        """A worker got its device, and may crash."""
        failures.employ(now_s, worker)
        if failures.next is not None:
            self._clock.announce(failures.next.at_s)

    def _tell_missing(self, worker: SimWorker, missing: tuple[int, ...]) -> None:
        """A worker was given requests whose clients were missing."""
        self._doors.find_missing(self.now_s, missing)
        self._tell(self.now_s, Finished(missing[0], worker.number, Outcome.FAILED, missing[1:]))

    def _lose(self, now_s: float, lost: Lost, worker: SimWorker, reason: str) -> None:
        """Invocations were lost with their worker: they enter the pool again after all else of now, or have failed."""
        doors = self._doors
        for invocation in lost.invocations:
            tries = doors.tries.get(invocation, NEVER)
            if doors.is_missing(invocation):
                doors.let_go_of(now_s, invocation)
            elif tries.by_platform < self._retries:
                doors.tries[invocation] = tries._replace(by_platform=tries.by_platform + 1)
                self._clock.call(now_s, ARRIVAL, partial(doors.enter_again, invocation))
            else:
                self._end(now_s, invocation, "failed", reason, lost.started_at_s, worker.number)

    def _end(
        self, now_s: float, invocation: int, status: str, reason: str, started_at_s: float = NAN, worker: int = -1
    ) -> None:
        """An invocation ends without being completed."""
        self._serving.forget(invocation)
        self._doors.end(now_s, invocation, status, reason, started_at_s, worker)

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
