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

import simpy

from sim.dispatcher import Dispatcher, Log
from sim.engine.arrivals import Arrivals
from sim.engine.clock import Clock
from sim.engine.failing import Failing
from sim.engine.fleet import SimFleet
from sim.engine.frontend import Frontend
from sim.engine.hardware import NAN, NEVER, Entry, Lost, SimWorker, Tries
from sim.engine.loading import Loading
from sim.engine.partitions import Partitions
from sim.engine.patience import Patience
from sim.engine.residency import Residency
from sim.engine.serving import Serving
from sim.engine.timers import Timers
from sim.models.failures import Failures
from sim.models.variation import Variation
from sim.protocol import (
    ARRIVAL,
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
from sim.text import counted

CLIENT_LEFT = "its client left"


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
        self._impatient = inputs.clients is not None
        self._qualified = self.dispatcher.qualified or self._impatient
        self._slo_s = inputs.slo_s
        self._retries = inputs.retries
        self._tries: dict[int, Tries] = {}
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
            self._tries,
            per_kernel=inputs.per_kernel,
            leave_pool=None if straight else self._leave_pool,
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
        door_s = 0.0 if self._frontend is None else self._frontend.transport_s
        variation = Variation(costs.spread, generator(seed, Stream.RUN_TIME))
        self._factor = variation.factor
        admit = self._admit_varied if variation.varies else self._admit
        self._arrivals = Arrivals(self._clock, workload, door_s, admit, progress)
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
        self._patience: Patience | None = None
        if inputs.clients is not None:
            self._patience = Patience(
                self._clock, inputs.clients, door_s, self._waiting, self._tries, left=self._reply, again=self._knock
            )

    def run(self) -> float:
        """Simulate until every invocation has ended; returns the instant of the last reply or event in seconds."""
        self._arrivals.await_next()
        collecting = gc.isenabled()
        gc.disable()  # the loop makes no cycles of objects; collections would look through all that waits
        try:
            self._run_out()
        finally:
            self._clock.pass_until(self._replied_at_s)
            if collecting:
                gc.enable()
        return self.now_s

    def _run_out(self) -> None:
        """Until nothing is left but what fails and who may leave, and neither helps what still waits."""
        beside = [source for source in (self._failing, self._patience) if source is not None]
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
        n_gone = 0 if self._patience is None else len(self._patience.gone_at_s)
        return len(self._waiting) - n_gone + sum(begun)

    @property
    def now_s(self) -> float:
        """The present instant."""
        return float(self._clock.now)

    def limits(self) -> list[str]:
        """What has limited the run that is neither the policy nor a GPU, in sentences."""
        limits = [] if self._frontend is None else self._frontend.limits(self.now_s)
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
                        worker=worker.number, attempt=self._tries.get(lane.invocation, NEVER).attempt,
                    )  # fmt: skip
        for number, waiting in self._waiting.items():
            left_at_s = None if self._patience is None else self._patience.gone_at_s.get(number)
            attempt = self._tries.get(number, NEVER).attempt
            if left_at_s is not None:
                self._recorder.ended(number, *waiting[:4], left_at_s, "failed", CLIENT_LEFT, attempt=attempt)
            else:
                self._recorder.ended(number, *waiting[:4], NAN, "unfinished", "", attempt=attempt)

    # Before and after the pool

    def _admit(self, function: int, arrival_at_s: float, size: float) -> None:
        """An invocation stands at the door; without a frontend that is the pool's."""
        now_s = self._clock._now
        invocation = self._n_arrived
        self._n_arrived = invocation + 1
        if self._frontend is None:
            self._waiting[invocation] = (function, arrival_at_s, now_s, now_s, size)
            if self._patience is not None:
                self._patience.arrive(now_s, invocation)
            slo_s = self._slo_s
            due_at_s = inf if slo_s is None else arrival_at_s + slo_s[function]
            actions = self._report(now_s, Arrival(invocation, function, due_at_s))
            if actions:
                self._carry_out(now_s, actions)
        else:
            self._waiting[invocation] = (function, arrival_at_s, NAN, NAN, size)
            if self._patience is not None:
                self._patience.arrive(now_s, invocation)
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
        due_at_s = inf if self._slo_s is None else arrival_at_s + self._slo_s[function]
        actions = self._report(now_s, Arrival(invocation, function, due_at_s))
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
                if self._patience is not None and self._patience.is_missing(action.invocation):
                    self._let_go_of(now_s, action.invocation)
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
        if self._patience is not None:
            invocations = (order.invocation, *order.others)
            missing = tuple(i for i in invocations if self._patience.is_missing(i))
            if missing:
                told_at_s = now_s + self._report_delay_s
                self._clock.call(told_at_s, FINISHED, lambda _: self._tell_missing(worker, missing))
                invocations = tuple(i for i in invocations if i not in missing)
                if not invocations:
                    return
                order = Run(invocations[0], order.worker, order.latest_s, invocations[1:])
        function = self._waiting[order.invocation][0]
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
        """A worker was given requests whose clients were missing; some may have come back before this is known."""
        assert self._patience is not None
        for invocation in missing:
            if not self._patience.is_missing(invocation):
                self._clock.call(self.now_s, ARRIVAL, partial(self._come_back, invocation))
            self._let_go_of(self.now_s, invocation)
        self._tell(self.now_s, Finished(missing[0], worker.number, Outcome.FAILED, missing[1:]))

    def _let_go_of(self, now_s: float, invocation: int) -> None:
        """The platform drops the request of a client that is missing, who may ask again."""
        assert self._patience is not None
        left_at_s = self._patience.drop(invocation)
        if self._frontend is not None:
            self._frontend.leave(now_s, 0.0)
        if left_at_s is not None:
            entry, attempt = self._waiting.pop(invocation), self._tries.pop(invocation, NEVER).attempt
            self._recorder.ended(invocation, *entry[:4], left_at_s, "failed", CLIENT_LEFT, attempt=attempt)

    def _reply(self, now_s: float, invocation: int) -> None:
        """A client has left for good, and goes on with what comes next."""
        self._arrivals.reply(now_s, self._waiting[invocation][0])

    def _come_back(self, invocation: int, _: simpy.Event) -> None:
        self._knock(self.now_s, invocation)

    def _knock(self, now_s: float, invocation: int) -> None:
        """A client asks again, at the door."""
        function = self._waiting[invocation][0]
        if self._frontend is None:
            self._let_in(now_s, invocation)
            self._enter(now_s, invocation, function)
        else:
            self._frontend.arrive(now_s, invocation, function)

    def _lose(self, now_s: float, lost: Lost, worker: SimWorker, reason: str) -> None:
        """Invocations were lost with their worker: they enter the pool again after all else of now, or have failed."""
        for invocation in lost.invocations:
            tries = self._tries.get(invocation, NEVER)
            if self._patience is not None and self._patience.is_missing(invocation):
                self._let_go_of(now_s, invocation)
            elif tries.by_platform < self._retries:
                self._tries[invocation] = tries._replace(by_platform=tries.by_platform + 1)
                self._clock.call(now_s, ARRIVAL, partial(self._enter_again, invocation))
            else:
                self._end(now_s, invocation, "failed", reason, lost.started_at_s, worker.number)

    def _enter_again(self, invocation: int, _: simpy.Event) -> None:
        self._enter(self.now_s, invocation, self._waiting[invocation][0])

    def _end(
        self, now_s: float, invocation: int, status: str, reason: str, started_at_s: float = NAN, worker: int = -1
    ) -> None:
        """An invocation ends without being completed."""
        entry, attempt = self._waiting.pop(invocation), self._tries.pop(invocation, NEVER).attempt
        self._serving.forget(invocation)
        ended_at_s = self._leave_pool(now_s, entry[0], 0.0)
        self._recorder.ended(
            invocation, *entry[:4], ended_at_s, status, reason,
            started_at_s=started_at_s, worker=worker, attempt=attempt,
        )  # fmt: skip

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
