"""What a simulated worker does with an invocation: from the order to run it until it is finished.

Durations are known when an invocation begins on a worker that has its device and links for itself, so it is one event.
Else it goes step by step, each an event that sets off the next: its copy may have to wait for the link, and its
kernels run beside others, or each is an event of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import simpy

from sim.engine.clock import Clock
from sim.engine.hardware import Entry, Lane, Queued, SimWorker
from sim.errors import PolicyError
from sim.models.memory import HIT
from sim.models.sharing import Sharing
from sim.protocol import FINISHED, Outcome
from sim.records.rows import Rows

# Called with (instant, worker, invocation, others of its batch, outcome) when a worker is done with something.
Told: TypeAlias = Callable[[float, SimWorker, int, tuple[int, ...], Outcome], None]


class Serving:
    """Carries out runs.

    waiting: invocations on their way to a worker, which are taken from there, and put back when they wait again.
    leave_pool: called with (instant, function, seconds of the host stage) when an invocation is completed, returns when
    its client has the reply; None where that is the same instant. go_on: called with (instant, worker) when it has
    a free lane and work in its queue, or is to stop.
    """

    def __init__(
        self,
        clock: Clock,
        sharing: Sharing,
        rows: Rows,
        waiting: dict[int, Entry],
        *,
        per_kernel: bool,
        leave_pool: Callable[[float, int, float], float] | None,
        go_on: Callable[[float, SimWorker], None],
        told: Told,
    ) -> None:
        self._clock = clock
        self._sharing = sharing
        self._rows = rows
        self._completed, self._missed, self._limit = rows.completed, rows.missed, rows.limit
        self._waiting = waiting
        self._per_kernel = per_kernel
        self._leave_pool = leave_pool
        self._go_on = go_on
        self._told = told

    def adopt(self, lane: Lane) -> None:
        """Make a lane ready for use."""
        lane.on_finish = [partial(self._finish, lane)]
        if not lane.worker.lumped:
            lane.on_copy = [partial(self._copy, lane)]
            lane.on_kernels = [partial(self._compute, lane)]
            lane.on_kernel = [partial(self._end_kernel, lane)]

    def begin(self, worker: SimWorker, queued: Queued, now_s: float) -> None:
        """A worker with an idle lane turns to an invocation, now or when its dispatch is done."""
        invocation, ordered_at_s, cold, _order = queued
        lane = worker.lane
        assert lane is not None
        columns = worker.columns
        function, lane.arrival_at_s, lane.admitted_at_s, lane.queued_at_s, size = self._waiting.pop(invocation)
        at_s = ordered_at_s + columns.dispatch_s[function]
        if at_s < now_s:
            at_s = now_s
        load_s = columns.input_s[function]
        cache = worker.cache
        if cache is not None:
            placement = cache.request(function, columns.buffers[function], columns.scratch_bytes[function])
            if placement is None:  # CostModel has checked that each fits
                raise PolicyError(f"invocation {invocation} does not fit on device {worker.device.number}")
            if placement is not HIT and worker.modules is not None:
                graph = columns.graph_of[function]
                new_modules = graph not in worker.modules
                worker.modules.add(graph)
                load_s += columns.costs.load_s(function, placement, new_modules)
            lane.placement = placement
        run_s = columns.run_s[function] * size
        lane.invocation = invocation
        lane.function = function
        lane.size = size
        lane.dispatch_s = at_s - now_s
        lane.started_at_s = at_s
        lane.load_s = load_s
        lane.run_s = run_s
        lane.cold = cold
        worker.lane = None if worker.concurrency == 1 else worker.idle_lane()
        if worker.lumped:
            lane.signal.fire(at_s + load_s + run_s + columns.store_s[function], FINISHED, lane.on_finish)
        else:
            lane.signal.fire(at_s, FINISHED, lane.on_copy)

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
        completed += (
            invocation, function, lane.arrival_at_s, lane.admitted_at_s, lane.queued_at_s, lane.dispatch_s,
            lane.started_at_s, lane.load_s, lane.run_s, replied_at_s, worker.number,
        )  # fmt: skip
        if len(completed) >= self._limit:
            self._rows.flush()
        lane.invocation = -1
        worker.lane = lane
        worker.idle_at_s = now_s
        if worker.queue or worker.stopping:
            self._go_on(now_s, worker)
        self._told(now_s, worker, invocation, (), Outcome.OK)

    # Step by step

    def _copy(self, lane: Lane, _: simpy.Event) -> None:
        """Its input, and what is missing of its constants, queue for the link."""
        waited_s, loaded_at_s = lane.worker.device.h2d.reserve(self._clock._now, lane.load_s)
        lane.load_s += waited_s
        lane.signal.fire(loaded_at_s, FINISHED, lane.on_kernels)

    def _compute(self, lane: Lane, _: simpy.Event) -> None:
        """Its first kernel begins, or all of them as one."""
        lane.loaded_at_s = self._clock._now
        lane.n_kernels_done = 0
        lane.kernels = [lane.run_s]
        if self._per_kernel:
            lane.kernels = lane.worker.columns.costs.kernel_ends_s(lane.function, lane.run_s)
        self._next_kernel(lane)

    def _next_kernel(self, lane: Lane) -> None:
        worker, n_done = lane.worker, lane.n_kernels_done
        end_s = lane.kernels[n_done]
        compute = worker.device.compute
        if not worker.shared or compute is None:
            lane.signal.fire(lane.loaded_at_s + end_s, FINISHED, lane.on_kernel)
            return
        begin_s = lane.kernels[n_done - 1] if n_done else 0.0
        shared = self._sharing.demand(worker.columns.costs, lane.function, worker.share)
        lane.work_s = (end_s - begin_s) * shared.run_frac
        compute.run(lane, lane.work_s, shared)

    def _end_kernel(self, lane: Lane, _: simpy.Event) -> None:
        lane.n_kernels_done += 1
        if lane.n_kernels_done < len(lane.kernels):
            self._next_kernel(lane)
            return
        worker = lane.worker
        if worker.shared:
            lane.run_s = self._clock.now - lane.loaded_at_s
        stored_at_s = worker.device.d2h.reserve(self._clock._now, worker.columns.store_s[lane.function])[1]
        lane.signal.fire(stored_at_s, FINISHED, lane.on_finish)
