"""The simulated fleet: how workers come and go. Which of them gets which device says ``sim.placement``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import simpy

from sim.domain import FleetSpec, WorkerKind
from sim.engine.clock import Clock, Signal
from sim.engine.hardware import Compute, Service, SimDevice, SimWorker, make_devices
from sim.models.costs import CostModel
from sim.models.memory import BufferCache
from sim.models.startup import Ladder, elapsed_s
from sim.placement import PlacementBook
from sim.protocol import FINISHED, WORKER_CHANGED, Standing, Start, share_devices
from sim.records.recorder import Recorder


class SimFleet:
    """Devices, and the workers that are not gone, by number.

    lumped: an invocation and a cold start are one event each. Else copies are steps, as links may be shared, and so
    are kernels where devices are shared.
    on_finish: called with (worker, event) by ``worker.signal``. on_ready, on_gone: called with (instant, worker).
    """

    def __init__(
        self,
        clock: Clock,
        spec: FleetSpec,
        costs: CostModel,
        recorder: Recorder,
        standing: Sequence[Standing],
        *,
        per_kernel: bool,
        on_finish: Callable[[SimWorker, simpy.Event], None],
        on_ready: Callable[[float, SimWorker], None],
        on_gone: Callable[[float, SimWorker], None],
    ) -> None:
        self._clock = clock
        self._costs = costs
        self._constants_bytes: list[int] = costs.constants_bytes.tolist()
        self._recorder = recorder
        self._on_finish, self._on_ready, self._on_gone = on_finish, on_ready, on_gone
        self._devices = make_devices(spec)
        self._book = PlacementBook[SimWorker](spec.n_gpus)
        self.workers: dict[int, SimWorker] = {}
        shared = share_devices(standing)
        self.lumped = not per_kernel and spec.gpus_per_link == 1 and not shared
        if shared:
            recorder.share_devices()
        for number, worker in enumerate(standing):
            self._stand_up(number, worker, shared)

    def start(self, now_s: float, order: Start) -> None:
        """A worker takes its device, or any, or gets in line for it."""
        worker = self._add(order.worker, order.function, now_s)
        if self._book.start(worker, order.device):
            self._set_up(now_s, worker)

    def stop(self, now_s: float, worker: SimWorker) -> None:
        """Stop a worker once it has finished what it was given."""
        worker.stopping = True
        self.let_go(now_s, worker)

    def let_go(self, now_s: float, worker: SimWorker) -> None:
        """A worker will be gone at this instant, if it was told to stop and nothing is left for it to do."""
        has_work = worker.service.invocation >= 0 or bool(worker.queue)
        if not worker.must_leave(ready=worker.ready, has_work=has_work):
            return
        if worker.waits:
            self._book.leave(worker)  # before a device gets free at this instant
        else:
            worker.device.elapsed_s = elapsed_s(self._costs.notice_period_s, now_s - worker.idle_at_s)
        self._clock.call(now_s, WORKER_CHANGED, partial(self._leave, worker))

    def record(self, worker: SimWorker) -> None:
        """Record a worker that is gone, or there at the end."""
        kind = WorkerKind.KAAS if worker.function < 0 else WorkerKind.EXCLUSIVE
        loaded = worker.ladder is not None and worker.ready
        self._recorder.worker(
            worker.number,
            kind,
            worker.function,
            (worker.requested_at_s, worker.ready_at_s, worker.stopped_at_s),
            worker.ladder,
            self._constants_bytes[worker.function] if loaded else 0,
        )

    def _add(self, number: int, function: int, now_s: float) -> SimWorker:
        worker = self.workers[number] = SimWorker(number, function, now_s)
        self._recorder.worker_device.append(-1)
        return worker

    def _stand_up(self, number: int, standing: Standing, shared: bool) -> None:
        """A worker that is ready before the run."""
        worker = self._add(number, standing.function, 0.0)
        self._book.stand(worker, standing.device)
        device = self._put(worker)
        if shared:
            worker.shared = self._costs.under_share(standing.function, standing.share)
            device.compute = device.compute or Compute(self._clock)
        if standing.function < 0:
            worker.modules = set()
            costs = self._costs
            worker.cache = BufferCache(costs.cache_bytes, keep_headroom=costs.keeps_headroom, eviction=costs.eviction)
        worker.ready = True
        worker.ready_at_s = 0.0

    def _put(self, worker: SimWorker) -> SimDevice:
        """A worker is on its device from now on."""
        device = worker.device = self._devices[worker.place]
        self._recorder.worker_device[worker.number] = worker.place
        worker.service = Service()
        worker.signal = Signal(self._clock)
        worker.on_finish = [partial(self._on_finish, worker)]
        return device

    def _set_up(self, now_s: float, worker: SimWorker) -> None:
        """A worker that got a device climbs its ladder."""
        device = self._put(worker)
        worker.ladder = ladder = self._costs.ladders[worker.function].after(device.elapsed_s)
        context_at_s = now_s + ladder.before_constants_s
        if self.lumped:
            ready_at_s = context_at_s + ladder.constants + ladder.first_run
            worker.signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])
        else:
            self._clock.process(self._climb(worker, ladder, context_at_s))

    def _climb(self, worker: SimWorker, ladder: Ladder, context_at_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._clock.at(context_at_s, FINISHED)
        waited_s, loaded_at_s = worker.device.h2d.reserve(self._clock.now, ladder.constants)
        worker.ladder = ladder._replace(constants=waited_s + ladder.constants)
        worker.signal.fire(loaded_at_s + ladder.first_run, WORKER_CHANGED, [partial(self._get_ready, worker)])

    def _get_ready(self, worker: SimWorker, _: simpy.Event) -> None:
        worker.ready = True
        worker.ready_at_s = worker.idle_at_s = self._clock._now
        self._on_ready(self._clock._now, worker)

    def _leave(self, worker: SimWorker, _: simpy.Event) -> None:
        now_s = self._clock._now
        worker.stopped_at_s = now_s
        self.record(self.workers.pop(worker.number))
        if worker.ready:  # else it left its line
            worker.on_finish.clear()  # it leads back to the worker, and garbage collection is off
            following = self._book.leave(worker)
            if following is not None:
                self._set_up(now_s, following)
        self._on_gone(now_s, worker)
