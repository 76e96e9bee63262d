"""The real world in real time: issues arrivals at their instants and carries out the dispatcher's actions on processes.

An open loop: arrivals come when the trace says, however late the fleet is. One thread waits for arrivals and messages
alike, and never for a process.
"""

from __future__ import annotations

import gc
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from replay.fleet.fleet import Change, RealFleet, RealWorker
from replay.fleet.messages import Done, Failed, Job, Late, Ready
from replay.fleet.parts import Against
from replay.fleet.timers import Timers
from sim.dispatcher import Dispatcher, Log
from sim.domain import FleetSpec
from sim.errors import PolicyError
from sim.models.costs import CostModel
from sim.protocol import (
    ANY_DEVICE,
    EVERY_FUNCTION,
    Action,
    Arrival,
    Costs,
    Event,
    Finished,
    Outcome,
    Policy,
    Reject,
    Run,
    Standing,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
    kind_of,
)
from sim.records.recorder import Recorder
from sim.records.rows import Rows
from sim.workload import Workload


class _Live(NamedTuple):
    """An invocation that has not ended. Nothing comes before the pool: admitted and queued are one instant."""

    function: int
    arrival_at_s: float
    admitted_at_s: float
    queued_at_s: float


class Driver:
    """One workload under one policy on one real fleet.

    ``start_standing()`` comes before ``run()``, which may be interrupted; ``close()`` records what is left then.
    told: what the policy is told of costs. against: why a start can't be carried out on this machine, or "".
    log: see Dispatcher. progress: called with the number of arrivals since its last call.
    late_s: of each arrival, how long after its scheduled instant it was issued. end_s: when the run ended.
    interrupted: whether ``interrupt()`` was called. is_realtime: whether the system gave the driver precedence over its
    workers, see ``_hurry``.
    """

    def __init__(
        self,
        workload: Workload,
        policy: Policy,
        spec: FleetSpec,
        costs: CostModel,
        told: Costs,
        against: Against,
        recorder: Recorder,
        rng: np.random.Generator,
        fleet: RealFleet,
        log: Log,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.dispatcher = Dispatcher(policy, spec, workload.functions, told, rng, log)
        self.late_s: list[float] = []
        self.end_s = 0.0
        self.is_realtime = False
        self.interrupted = False
        self._workload = workload
        self._recorder = recorder
        self._rows = Rows(recorder.completed, measured=("host_s",))
        self._costs = costs
        self._against = against
        self._timers = Timers()
        self._fleet = fleet
        self._progress = progress
        self._arrivals = _arrivals(workload)
        self._next = next(self._arrivals, None)
        self._live: dict[int, _Live] = {}
        self._ordered_at_s: dict[int, float] = {}  # when an invocation was given to its worker
        self._cold: set[int] = set()
        self._freed_at_s: dict[int, float] = {}  # when a worker was done with what it ran last
        self._workers: list[RealWorker] = []
        self._first_runs: dict[int, tuple[str, float]] = {}  # worker -> graph, time in kernels
        self._warm_runs: defaultdict[str, list[float]] = defaultdict(list)  # graph -> times in kernels
        self._start_ns = time.monotonic_ns()

    @property
    def now_s(self) -> float:
        """Seconds since the start of the run."""
        return self._at_s(time.monotonic_ns())

    @property
    def losses(self) -> list[dict[str, Any]]:
        """Workers that were lost during the run, as ``replay.fleet.steadiness`` has them."""
        return [
            {"worker": loss.worker, "device": loss.device, "at_s": self._at_s(loss.at_ns), "how": loss.how}
            for loss in self._fleet.losses
            if loss.at_ns >= self._start_ns
        ]

    def interrupt(self) -> None:
        """Let ``start_standing`` and ``run`` end before the next event; for a handler of signals."""
        self.interrupted = True
        self._fleet.wake()

    def start_standing(self) -> None:
        """Start the standing workers, and wait until all are ready."""
        for number, what in enumerate(self.dispatcher.standing):
            self._keep(self._fleet.stand_up(number, what))
        while not self.interrupted and any(w.ready_ns is None for w in self._workers):
            self._fleet.wait(None)

    def run(self) -> None:
        """Replay until every invocation has ended and every order is carried out, or nothing can happen any more.

        Timers are waited for only as long as an invocation waits: without any, they could change none.
        """
        with _hurry() as self.is_realtime:
            self._start_ns = time.monotonic_ns()
            while not self.interrupted and self._goes_on:
                arrives_at_s = inf if self._next is None else self._next[0]
                next_s = min(arrives_at_s, self._timers.next_s)
                for change in self._fleet.wait(None if next_s == inf else max(next_s - self.now_s, 0.0)):
                    self._take_in(change)
                if self._next is not None and arrives_at_s <= self.now_s:
                    self._arrive(*self._next)
                    self._next = next(self._arrivals, None)
                elif self._timers.next_s <= self.now_s:
                    self._tell(Woke(self._timers.ring()))

    @property
    def n_unfinished(self) -> int:
        """Invocations that arrived and have not ended."""
        return len(self._live)

    @property
    def _goes_on(self) -> bool:
        """Whether something is still to come; an invocation that no worker has can wait for a timer alone."""
        if self._next is not None or self._fleet.unsettled:
            return True
        return bool(self._live) and self._timers.next_s < inf

    def close(self) -> None:
        """Record what is still there: workers, and what was issued and has not ended as unfinished."""
        self._rows.flush()
        for worker in self._workers:
            self._record_worker(worker)
        for number, live in self._live.items():
            self._recorder.ended(number, *live, float("nan"), "unfinished", "")

    def _at_s(self, instant_ns: int | None) -> float:
        return float("nan") if instant_ns is None else (instant_ns - self._start_ns) / 1e9

    # Events

    def _arrive(self, at_s: float, invocation: int, function: int) -> None:
        now_s = self.now_s
        self.late_s.append(now_s - at_s)
        self._live[invocation] = _Live(function, at_s, now_s, now_s)
        self._tell(Arrival(invocation, function), now_s)
        if self._progress is not None:
            self._progress(1)

    def _take_in(self, change: Change) -> None:
        number, what = change.worker.number, change.what
        if isinstance(what, Done):
            self._record(change.worker, what)
            event: Event = Finished(what.invocation, number)
        elif isinstance(what, Failed):
            live = self._live.pop(what.invocation)
            self._freed_at_s[number] = self.now_s
            del self._ordered_at_s[what.invocation]
            self._cold.discard(what.invocation)
            self._recorder.ended(what.invocation, *live, self.now_s, "failed", what.reason)
            event = Finished(what.invocation, number, Outcome.FAILED)
        elif isinstance(what, Late):
            del self._ordered_at_s[what.invocation]
            self._cold.discard(what.invocation)
            event = Finished(what.invocation, number, Outcome.LATE)
        elif isinstance(what, Ready):
            event = WorkerReady(number, change.worker.what.device)
        else:
            event = WorkerStopped(number)
        self._tell(event)

    def _tell(self, event: Event, now_s: float | None = None) -> None:
        self._carry_out(self.dispatcher.report(self.now_s if now_s is None else now_s, event))

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Run):
                if self._fleet.workers[action.worker].ready_ns is None:
                    self._cold.add(action.invocation)
                self._ordered_at_s[action.invocation] = self.now_s
                latest_ns = self._start_ns + action.latest_s * 1e9
                function = self._live[action.invocation].function
                self._fleet.run(action.worker, Job(action.invocation, function, latest_ns))
            elif isinstance(action, Start):
                self._start(action)
            elif isinstance(action, Wake):
                self._timers.set(self.now_s, action)
            elif isinstance(action, Reject):
                live = self._live.pop(action.invocation)
                self._recorder.ended(action.invocation, *live, self.now_s, "rejected", action.reason)
            elif isinstance(action, Stop):
                self._fleet.stop(action.worker)

    def _start(self, order: Start) -> None:
        if why := self._against(order):
            policy = self.dispatcher.policy.describe()
            raise PolicyError(f"{policy} ordered {order} at {self.now_s} s, refused: {why}")
        what = Standing(order.device, order.function, order.share, order.memory_bytes)
        self._keep(self._fleet.start(order.worker, what))

    # Records

    def _keep(self, worker: RealWorker) -> None:
        self._workers.append(worker)
        self._recorder.worker_device.append(ANY_DEVICE)

    def _record(self, worker: RealWorker, done: Done) -> None:
        live = self._live.pop(done.invocation)
        self._recorder.worker_device[worker.number] = worker.what.device
        cold = done.invocation in self._cold
        self._cold.discard(done.invocation)
        if cold and worker.ladder is not None:
            ready_at_s = self._at_s(worker.ready_ns)
            self._recorder.got_ready(worker.number, ready_at_s - sum(worker.ladder), ready_at_s)
        rows = self._rows
        if cold or done.constant_bytes or done.n_evicted:
            rows.missed += (len(rows.completed), cold, done.constant_bytes, done.n_evicted)
        started_at_s, ended_at_s = self._at_s(done.started_ns), self._at_s(done.ended_ns)
        idle_at_s = max(
            self._freed_at_s.get(worker.number, self._at_s(worker.ready_ns)), self._ordered_at_s.pop(done.invocation)
        )
        self._freed_at_s[worker.number] = ended_at_s
        if (log := self._recorder.stays) is not None and worker.what.function == EVERY_FUNCTION:
            for change in done.changes:
                log.changed(started_at_s, worker.number, worker.what.device, *change)
        row = {
            "invocation": done.invocation,
            **live._asdict(),
            "dispatch_s": max(started_at_s - idle_at_s, 0.0),
            "started_at_s": started_at_s,
            "load_s": done.load_s,
            "run_s": done.run_s,
            "host_s": done.host_s,
            "completed_at_s": ended_at_s,
            "worker": worker.number,
        }
        rows.completed += [row[name] for name in rows.names]
        if len(rows.completed) >= rows.limit:
            rows.flush()
        if not worker.is_standing and worker.what.function != EVERY_FUNCTION:
            graph = self._workload.functions[live.function].graph.name
            if worker.number in self._first_runs:
                self._warm_runs[graph].append(done.run_s)
            else:
                self._first_runs[worker.number] = (graph, done.run_s)

    def _record_worker(self, worker: RealWorker) -> None:
        """Standing workers were ready before the run. Stage first_run: how much longer than warm the first run took."""
        self._recorder.worker_device[worker.number] = worker.what.device
        requested_s, ready_s = self._at_s(worker.requested_ns), self._at_s(worker.ready_ns)
        if worker.is_standing:
            requested_s = ready_s = 0.0
        function, ladder, loaded_bytes = worker.what.function, worker.ladder, 0
        took_at_s = None
        if ladder is not None:
            took_at_s = ready_s - sum(ladder)  # its first run comes later
        if ladder is not None and function != EVERY_FUNCTION:
            loaded_bytes = int(self._costs.constants_bytes[function])
            graph, first_s = self._first_runs.get(worker.number, ("", 0.0))
            if warm := self._warm_runs.get(graph):
                ladder = ladder._replace(first_run=max(first_s - median(warm), 0.0))
        instants_s = (requested_s, ready_s, self._at_s(worker.stopped_ns))
        self._recorder.worker(
            worker.number, kind_of(function), function, instants_s, ladder, loaded_bytes, took_device_at_s=took_at_s
        )


@contextmanager
def _hurry() -> Iterator[bool]:
    """Keep arrivals punctual: no collections of old garbage, and the processor at once where the system allows it.

    The latter matters where workers keep all cores busy, and needs CAP_SYS_NICE; workers don't inherit it. Systems
    refuse it in several ways: without rights, by a filter of system calls, or because they don't have it.
    """
    gc.freeze()
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        is_realtime = True
    except OSError:
        is_realtime = False
    try:
        yield is_realtime
    finally:
        gc.unfreeze()
        if is_realtime:
            os.sched_setscheduler(0, *before)


def _arrivals(workload: Workload) -> Iterator[tuple[float, int, int]]:
    """(instant, invocation, function) of each arrival, all drawn before the clock starts."""
    batches = list(workload.batches())
    return iter(
        [
            arrival
            for batch in batches
            for arrival in zip(
                batch.arrival_at_s.tolist(), batch.invocation.tolist(), batch.function.tolist(), strict=True
            )
        ]
    )
