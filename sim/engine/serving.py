"""What a simulated worker does with an invocation: from the order to run it until it is finished.

Durations are known when an invocation begins on a worker that has its device and links for itself, so it is one event.
Else it goes step by step, each an event that sets off the next: its copy may have to wait for the link, and its
kernels run beside others, or each is an event of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import simpy

from sim.engine.clock import Clock
from sim.engine.hardware import NAN, NEVER, Entry, Lane, Lost, SimWorker, Tries
from sim.engine.loading import Loading
from sim.engine.preemption import Preemption
from sim.errors import PolicyError
from sim.models.memory import HIT
from sim.models.occupancy import Shared
from sim.models.pipeline import Groups, overlap
from sim.models.sharing import Sharing
from sim.protocol import FINISHED, Action, Event, Finished, Outcome, Run
from sim.records.rows import ROW, Rows

NO_KERNELS: list[float] = []  # of what is not loaded yet, or has only copies left


class Serving:
    """Carries out runs.

    waiting: invocations on their way to a worker, which are taken from there, and put back when they wait again. tries:
    of those that were tried before.
    leave_pool: called with (instant, function, seconds of the host stage) when an invocation is completed, returns when
    its client has the reply; None where that is the same instant. go_on: called with (instant, worker) when it has
    a free lane and work in its queue, or is to stop. report, carry_out: tell the policy, and carry out its answer.
    """

    def __init__(
        self,
        clock: Clock,
        sharing: Sharing,
        loading: Loading | None,
        rows: Rows,
        waiting: dict[int, Entry],
        tries: dict[int, Tries],
        *,
        per_kernel: bool,
        leave_pool: Callable[[float, int, float], float] | None,
        go_on: Callable[[float, SimWorker], None],
        report: Callable[[float, Event], Sequence[Action]],
        carry_out: Callable[[float, Sequence[Action]], None],
    ) -> None:
        self._clock = clock
        self._sharing = sharing
        self._loading = loading
        self._rows = rows
        self._completed, self._missed, self._limit = rows.completed, rows.missed, rows.limit
        self._waiting = waiting
        self._per_kernel = per_kernel
        self._leave_pool = leave_pool
        self._go_on = go_on
        self._report, self._carry_out = report, carry_out
        self._preemption = Preemption(clock, self._stop)
        self.preempt = self._preemption.preempt
        self._progress = self._preemption.progress
        self._special, self._tries = rows.special, tries

    def adopt(self, lane: Lane) -> None:
        """Make a lane ready for use."""
        lane.on_finish = [partial(self._finish, lane)]
        if not lane.worker.lumped:
            lane.on_copy = [partial(self._copy, lane)]
            lane.on_kernels = [partial(self._await, lane)]
            lane.on_kernel = [partial(self._end_kernel, lane)]

    def begin(
        self, worker: SimWorker, invocation: int, ordered_at_s: float, now_s: float, cold: bool, order: Run | None
    ) -> None:
        """A worker with an idle lane turns to an invocation, now or when its dispatch is done.

        order: where it says more than that.
        """
        lane = worker.lane
        assert lane is not None
        columns = worker.columns
        entry = self._waiting.pop(invocation)
        function, size = entry[0], entry[4]
        at_s = ordered_at_s + columns.dispatch_s[function]
        if at_s < now_s:
            at_s = now_s
        load_s = columns.input_s[function]
        run_s = columns.run_s[function] * size
        store_s = columns.store_s[function]
        scratch_bytes = columns.scratch_bytes[function]
        lane.entry = entry
        if order is not None or self._progress:
            load_s, run_s, store_s = self._batch_or_resume(worker, lane, invocation, function, run_s, order)
            if lane.others:
                scratch_bytes = columns.costs.batch_scratch_bytes(function, 1 + len(lane.others))
        cache = worker.cache
        if cache is not None:
            placement = cache.request(function, columns.buffers[function], scratch_bytes)
            if placement is None:  # CostModel has checked that each fits
                raise PolicyError(f"invocation {invocation} does not fit on device {worker.device.number}")
            if placement is not HIT and worker.modules is not None:
                graph = columns.graph_of[function]
                new_modules = graph not in worker.modules
                worker.modules.add(graph)
                cost_s = columns.costs.load_s if self._loading is None else columns.costs.prepare_s
                load_s += cost_s(function, placement, new_modules)
            lane.placement = placement
            if worker.coming is not None:
                cache.pin(function)
        lane.invocation = invocation
        lane.function = function
        lane.dispatch_s = at_s - now_s
        lane.started_at_s = at_s
        lane.load_s = load_s
        lane.run_s = run_s
        lane.cold = cold
        worker.lane = None if worker.concurrency == 1 else worker.idle_lane()
        if worker.lumped:
            lane.signal.fire(at_s + load_s + run_s + store_s, FINISHED, lane.on_finish)
        else:
            lane.store_s = store_s
            lane.preempted = False
            lane.stretch = 1.0
            lane.kernels = NO_KERNELS
            lane.signal.fire(at_s, FINISHED, lane.on_copy)

    def _batch_or_resume(
        self, worker: SimWorker, lane: Lane, invocation: int, function: int, run_s: float, order: Run | None
    ) -> tuple[float, float, float]:
        """Seconds of copies in, kernels, and copies out of a batch, or of what is left of a preempted invocation."""
        columns = worker.columns
        n = 1
        others: tuple[int, ...] = ()
        if order is not None and order.others:
            others = order.others
            lane.others = tuple((other, self._waiting.pop(other)) for other in others)
            n = 1 + len(others)
            size = max(lane.entry[-1], *(entry[-1] for _, entry in lane.others))  # the longest of them ends the batch
            run_s = columns.costs.batch_run_s(function, n) * size
        done_s = self._preemption.resume(worker.number, invocation, others)
        if done_s is not None:
            return 0.0, run_s - done_s, columns.store_s[function] * n  # its input is there
        return columns.input_s[function] * n, run_s, columns.store_s[function] * n

    def _finish(self, lane: Lane, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker = lane.worker
        invocation, function = lane.invocation, lane.function
        completed = self._completed
        placement = lane.placement
        if placement is not HIT or lane.cold:
            n_evicted = sum(last - first for _, first, last in placement.evictions)
            self._missed += (len(completed), lane.cold, placement.load_bytes, n_evicted)
        leave_pool = self._leave_pool
        replied_at_s = now_s if leave_pool is None else leave_pool(now_s, function, worker.columns.post_s[function])
        _function, arrival_at_s, admitted_at_s, queued_at_s, _size = lane.entry
        completed += (
            invocation, function, arrival_at_s, admitted_at_s, queued_at_s, lane.dispatch_s, lane.started_at_s,
            lane.load_s, lane.run_s, replied_at_s, worker.number,
        )  # fmt: skip
        event = Finished(invocation, worker.number)
        if lane.others or self._tries:
            event.others = self._finish_others(now_s, lane)
        if self._progress:
            self._progress.pop(invocation, None)
        if len(completed) >= self._limit:
            self._rows.flush()
        lane.invocation = -1
        self._free(now_s, lane)
        actions = self._report(now_s, event)
        if actions:
            self._carry_out(now_s, actions)

    def _finish_others(self, now_s: float, lane: Lane) -> tuple[int, ...]:
        """Rows of the others of a batch: in all but who they are, and when they came, as that of the first."""
        worker, function = lane.worker, lane.function
        n = 1 + len(lane.others)
        self._tell_special(len(self._completed) - len(ROW), lane.invocation, n)
        for other, (_, arrival_at_s, admitted_at_s, queued_at_s, _) in lane.others:
            post_s = worker.columns.post_s[function]
            replied_at_s = now_s if self._leave_pool is None else self._leave_pool(now_s, function, post_s)
            if lane.cold:
                self._missed += (len(self._completed), True, 0, 0)
            self._tell_special(len(self._completed), other, n)
            self._completed += (
                other, function, arrival_at_s, admitted_at_s, queued_at_s, 0.0, lane.started_at_s, lane.load_s,
                lane.run_s, replied_at_s, worker.number,
            )  # fmt: skip
        others = tuple(other for other, _ in lane.others)
        lane.others = ()
        return others

    def _tell_special(self, row: int, invocation: int, n_in_batch: int) -> None:
        """Where a row says more than others: the attempt of its invocation, and how many were in its batch."""
        tried = self._tries.pop(invocation, NEVER)
        if n_in_batch > 1 or tried is not NEVER:
            self._special += (row, n_in_batch, tried.attempt)

    def forget(self, invocation: int) -> None:
        """An invocation that waits ends without being run: what it had begun is lost."""
        self._progress.pop(invocation, None)

    def lose(self, lane: Lane) -> list[Lost]:
        """The worker of a lane died; returns what it ran, which counts as waiting until it is told."""
        if lane.invocation < 0:
            return []
        compute = lane.worker.device.compute
        if compute is not None and compute.runs(lane):
            compute.stop(lane)
        self.forget(lane.invocation)
        begun = lane.started_at_s <= self._clock.now  # or it was still being dispatched
        started_at_s = lane.started_at_s if begun else NAN
        lost = Lost((lane.invocation, *(other for other, _ in lane.others)), started_at_s)
        self._put_back(lane)
        return [lost]

    def _stop(self, lane: Lane, done_s: float, _: simpy.Event) -> None:
        """An invocation is preempted: it waits again, with what is done behind it."""
        now_s = self._clock.now
        worker = lane.worker
        others = self._preemption.note(lane, done_s)
        preempted = Finished(lane.invocation, worker.number, Outcome.PREEMPTED, others)
        self._put_back(lane)
        lane.preempted = False
        self._free(now_s, lane)
        self._carry_out(now_s, self._report(now_s, preempted))

    def _put_back(self, lane: Lane) -> None:
        """What a lane runs waits again."""
        self._waiting[lane.invocation] = lane.entry
        self._waiting.update(lane.others)
        lane.others, lane.invocation = (), -1

    def _free(self, now_s: float, lane: Lane) -> None:
        """A lane is idle again: its worker goes on with its queue, or leaves."""
        worker = lane.worker
        if worker.coming is not None and worker.cache is not None:
            worker.cache.unpin(lane.function)
        worker.lane = lane
        worker.idle_at_s = now_s
        if worker.queue or worker.stopping:
            self._go_on(now_s, worker)

    # Step by step

    def _copy(self, lane: Lane, _: simpy.Event) -> None:
        """Its input, and what is missing of its constants, queue for the link."""
        waited_s, loaded_at_s = lane.worker.device.h2d.reserve(self._clock._now, lane.load_s)
        lane.load_s += waited_s
        lane.signal.fire(loaded_at_s, FINISHED, lane.on_kernels)

    def _load(self, lane: Lane, _: simpy.Event) -> None:
        """What is missing of its constants comes from where it is."""
        loading, placement = self._loading, lane.placement
        if loading is None or not placement.load_bytes:
            self._compute(lane, _)
            return
        groups = lane.worker.columns.costs.groups(lane.function, placement.n_loaded, loading.group_bytes)
        loading.load(lane.worker.device, lane.function, groups, partial(self._start_kernels, lane, groups))

    def _start_kernels(self, lane: Lane, groups: Groups, there_at_s: Sequence[float]) -> None:
        """Its constants will be there at these instants: kernels begin so that none waits for any."""
        if lane.invocation < 0:  # its worker died
            return
        over_at_s = overlap(there_at_s, groups.runs_s(self._preemption.ends_s(lane))).over_s
        begin_at_s = over_at_s - lane.run_s
        lane.load_s = begin_at_s - lane.started_at_s
        lane.signal.fire(begin_at_s, FINISHED, [partial(self._compute, lane)])

    def _await(self, lane: Lane, _: simpy.Event) -> None:
        """What is being loaded on order for this function is waited for."""
        coming = lane.worker.coming
        if coming is not None and lane.function in coming:
            coming[lane.function].append(partial(self._go_on_loaded, lane))
        else:
            self._load(lane, _)

    def _go_on_loaded(self, lane: Lane) -> None:
        if lane.invocation < 0:  # its worker died
            return
        lane.load_s = self._clock.now - lane.started_at_s
        lane.signal.fire(self._clock.now, FINISHED, [partial(self._compute, lane)])

    def _compute(self, lane: Lane, _: simpy.Event) -> None:
        """Its first kernel begins, or all of them as one."""
        lane.loaded_at_s = self._clock._now
        lane.n_kernels_done = 0
        if lane.preempted:
            self._stop(lane, 0.0, _)
            return
        lane.stretch = lane.worker.device.stretch
        lane.run_s *= lane.stretch
        lane.kernels = [lane.run_s]
        if self._per_kernel and not (lane.worker.shared and self._sharing.whole):
            lane.kernels = [end_s for end_s in self._preemption.ends_s(lane) if end_s > 0]
        self._next_kernel(lane)

    def _next_kernel(self, lane: Lane) -> None:
        n_done = lane.n_kernels_done
        end_s = lane.kernels[n_done]
        compute = lane.worker.device.compute
        if not lane.worker.shared or compute is None:
            lane.signal.fire(lane.loaded_at_s + end_s, FINISHED, lane.on_kernel)
            return
        shared = self._demand(lane)
        begin_s = lane.kernels[n_done - 1] if n_done else 0.0
        lane.work_s = (end_s - begin_s) * shared.run_frac
        compute.run(lane, lane.work_s, shared)

    def _demand(self, lane: Lane) -> Shared:
        worker = lane.worker
        return self._sharing.demand(worker.columns.costs, lane.function, worker.share, worker.device.profile)

    def _end_kernel(self, lane: Lane, _: simpy.Event) -> None:
        lane.n_kernels_done += 1
        done_s = lane.kernels[lane.n_kernels_done - 1]
        if lane.preempted and done_s < lane.run_s:
            self._stop(lane, done_s, _)
            return
        if lane.n_kernels_done < len(lane.kernels):
            self._next_kernel(lane)
            return
        worker = lane.worker
        lane.kernels = NO_KERNELS
        if worker.shared:
            lane.run_s = self._clock.now - lane.loaded_at_s
        stored_at_s = worker.device.d2h.reserve(self._clock._now, lane.store_s)[1]
        lane.signal.fire(stored_at_s, FINISHED, lane.on_finish)
