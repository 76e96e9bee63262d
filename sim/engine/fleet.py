"""The simulated fleet: how workers come and go. Which of them gets which device says ``sim.placement``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import simpy

from sim.domain import FleetSpec
from sim.engine.clock import Clock, Signal
from sim.engine.columns import Columns
from sim.engine.hardware import Compute, Lane, Lost, SimDevice, SimWorker, make_devices
from sim.engine.loading import Loading
from sim.models.costs import CostModel
from sim.models.memory import BufferCache
from sim.models.mig.profiles import Profile
from sim.models.pipeline import Groups
from sim.models.sharing import Sharing
from sim.models.startup import Ladder, elapsed_s
from sim.models.watched import WatchedCache
from sim.placement import PlacementBook
from sim.protocol import EVERY_FUNCTION, FINISHED, WORKER_CHANGED, Slot, Standing, Start, kind_of, share_devices
from sim.records.recorder import Recorder


class SimFleet:
    """Devices, and the workers that are not gone, by number.

    per_kernel: every kernel has an event of its own. residency: executors load and evict on order. slows: devices or
    links may be slow for a while. shares: several invocations may be on a device at once.
    on_lane: called with each lane that is made. on_lost: with each lane of a worker that dies. on_placed: with
    (instant, number) of each worker that gets a device.
    on_ready, on_gone: with (instant, worker).
    """

    def __init__(
        self,
        clock: Clock,
        spec: FleetSpec,
        costs: CostModel,
        sharing: Sharing,
        loading: Loading | None,
        recorder: Recorder,
        standing: Sequence[Standing],
        *,
        per_kernel: bool,
        residency: bool,
        slows: bool,
        shares: bool,
        on_lane: Callable[[Lane], None],
        on_lost: Callable[[Lane], list[Lost]],
        on_placed: Callable[[float, int], None] | None,
        on_ready: Callable[[float, SimWorker], None],
        on_gone: Callable[[float, SimWorker], None],
    ) -> None:
        self._clock = clock
        self._costs = costs
        self._sharing = sharing
        self._loading = loading
        self._columns: dict[tuple[bool, int], Columns] = {}
        self._constants_bytes: list[int] = costs.constants_bytes.tolist()
        self._recorder = recorder
        self._on_lane, self._on_lost, self._on_placed = on_lane, on_lost, on_placed
        self._on_ready, self._on_gone = on_ready, on_gone
        self.devices = dict(enumerate(make_devices(spec)))
        self._n_gpus = spec.n_gpus
        self._book = PlacementBook[SimWorker](spec.memory_bytes)
        for device in spec.absent:
            self._book.close(device)
        # Of devices that are there, though some are out of order.
        self._slots: dict[int, tuple[Slot, ...]] = {
            device: (Slot(device, spec.device_of(device).memory_bytes),) for device in spec.present
        }
        self._broken: set[int] = set()
        self._n_lanes = 0
        self.workers: dict[int, SimWorker] = {}
        self._residency = residency
        if loading is not None:
            loading.devices = self.devices
        self._stepwise = (
            per_kernel
            or any(node.gpus_per_link > 1 for node in spec.nodes)
            or loading is not None
            or residency
            or slows
        )
        self._starting: dict[int, float] | None = None  # since when workers have devices that are not ready yet
        shared = share_devices(standing)
        if shared or shares:
            self._starting = {}
            recorder.share_devices(self._underway_since_s)
        for number, worker in enumerate(standing):
            self._stand_up(number, worker, shared)

    def start(self, now_s: float, order: Start) -> None:
        """A worker takes its device, or any, or gets in line for it."""
        worker = self._add(order.worker, order, now_s)
        if self._book.start(worker, order.device):
            self._set_up(now_s, worker, waited=False)

    def stop(self, now_s: float, worker: SimWorker) -> None:
        """Stop a worker once it has finished what it was given."""
        worker.stopping = True
        self.let_go(now_s, worker)

    def let_go(self, now_s: float, worker: SimWorker) -> None:
        """A worker will be gone at this instant, if it was told to stop and nothing is left for it to do."""
        if not worker.must_leave(ready=worker.ready, has_work=worker.has_work) or worker.lost is not None:
            return
        if worker.waits:
            self._give_room(now_s, self._book.leave(worker))  # before a device gets free at this instant
        else:
            device = worker.device
            device.elapsed_s = elapsed_s(worker.columns.costs.notice_period_s, now_s - worker.idle_at_s)
            device.freed_at_s = now_s
        self._clock.call(now_s, WORKER_CHANGED, partial(self._leave, worker))

    def close(self, device: int) -> None:
        """Nobody can be placed on a device, on which nobody is."""
        for slot in self._slots.pop(device, ()):
            self._book.close(slot.number)

    def open(self, device: int, slots: tuple[Slot, ...], profiles: Sequence[Profile]) -> tuple[Slot, ...]:
        """A device has these slots from now on, or when it is repaired; returns those that it has now. profiles: of
        instances that are new."""
        whole = self.devices[device]
        for slot, profile in zip(slots, profiles, strict=bool(profiles)):
            self.devices[slot.number] = made = SimDevice(slot.number, whole.h2d, whole.d2h, whole.model, profile)
            made.stretch = whole.stretch
        self._slots[device] = slots
        return () if device in self._broken else self._offer(slots)

    def _offer(self, slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
        for slot in slots:
            self._give_room(self._clock.now, self._book.open(slot.number, slot.memory_bytes))
        return slots

    def scaled(self, now_s: float, devices: range, up: bool) -> None:
        """A node with these devices was ordered to come, or to go."""
        self._recorder.scaled(now_s, devices, up)

    def record(self, worker: SimWorker) -> None:
        """Record a worker that is gone, or there at the end."""
        loaded = worker.ladder is not None and worker.ready and worker.function != EVERY_FUNCTION
        self._recorder.worker(
            worker.number,
            kind_of(worker.function),
            worker.function,
            (worker.requested_at_s, worker.ready_at_s, worker.stopped_at_s),
            worker.ladder,
            worker.ordered_bytes + (self._constants_bytes[worker.function] if loaded else 0),
            profile=self._profile_of(worker),
        )

    def _profile_of(self, worker: SimWorker) -> str:
        profile = None if worker.waits or not worker.lanes else worker.device.profile
        return "" if profile is None else profile.name

    def _underway_since_s(self) -> float:
        """Since when the longest has its worker of what runs, or its device of what starts; or this instant."""
        lanes = (lane for worker in self.workers.values() for lane in worker.lanes)
        begun_s = (lane.started_at_s - lane.dispatch_s for lane in lanes if lane.invocation >= 0)
        return min(self._clock.now, *begun_s, *(self._starting or {}).values())

    def _add(self, number: int, order: Standing | Start, now_s: float) -> SimWorker:
        worker = self.workers[number] = SimWorker(number, order, now_s)
        self._recorder.worker_device.append(-1)
        return worker

    def _stand_up(self, number: int, standing: Standing, shared: bool) -> None:
        """A worker that is ready before the run."""
        worker = self._add(number, standing, 0.0)
        self._book.stand(worker, standing.device)
        self._put(worker, shared)
        worker.ready = True
        worker.lane = worker.lanes[0]
        worker.ready_at_s = 0.0

    def _put(self, worker: SimWorker, shared: bool) -> SimDevice:
        """A worker is on its device from now on, beside others if it is shared."""
        device = worker.device = self.devices[worker.place]
        device.workers[worker.number] = worker
        if self._on_placed is not None:
            self._on_placed(self._clock.now, worker.number)
        self._recorder.worker_device[worker.number] = worker.place % self._n_gpus
        worker.columns = self._columns_of(worker.function, device.model)
        if worker.function == EVERY_FUNCTION:
            costs = worker.columns.costs
            worker.modules = set()
            worker.coming = {} if self._residency else None
            worker.cache = self._cache(worker, costs)
            device.caches.append(worker.cache)
        worker.shared = shared
        worker.lumped = not (self._stepwise or shared)
        if shared and device.compute is None:
            device.compute = Compute(self._clock, self._sharing.jobs())
        worker.lanes = [self._lane(worker) for _ in range(worker.concurrency)]
        return device

    def _cache(self, worker: SimWorker, costs: CostModel) -> BufferCache:
        """Memory of an executor, which tells of its changes where these are recorded."""
        n_bytes, log = costs.cache_bytes_of(worker.takes_bytes), self._recorder.stays
        if log is None:
            return BufferCache(n_bytes, keep_headroom=costs.keeps_headroom, eviction=costs.eviction)
        device = worker.place % self._n_gpus

        def tell(function: int, changed_bytes: int, reason: str) -> None:
            log.changed(self._clock.now, worker.number, device, function, changed_bytes, reason)

        return WatchedCache(n_bytes, tell, keep_headroom=costs.keeps_headroom, eviction=costs.eviction)

    def _lane(self, worker: SimWorker) -> Lane:
        lane = Lane(self._n_lanes, worker, Signal(self._clock))
        self._n_lanes += 1
        self._on_lane(lane)
        return lane

    def _columns_of(self, function: int, model: int) -> Columns:
        key = function == EVERY_FUNCTION, model
        if key not in self._columns:
            self._columns[key] = Columns(self._costs.of(kind_of(function), model))
        return self._columns[key]

    def _give_room(self, now_s: float, workers: Sequence[SimWorker]) -> None:
        for worker in workers:
            self._set_up(now_s, worker, waited=True)

    def _set_up(self, now_s: float, worker: SimWorker, *, waited: bool) -> None:
        """A worker that got a device climbs its ladder.

        It waits for the end of who had its memory before: of the device's last, if it takes all of it or has waited.
        """
        shared = worker.takes_bytes is not None or self.devices[worker.place].profile is not None
        if self._starting is not None:
            self._starting[worker.number] = now_s
        device = self._put(worker, shared or worker.concurrency > 1)
        elapsed_s = device.elapsed_s
        if elapsed_s is not None:
            elapsed_s = None if shared and not waited else elapsed_s + (now_s - device.freed_at_s)
        worker.ladder = ladder = worker.columns.costs.ladder(worker.function).after(elapsed_s)
        context_at_s = now_s + ladder.before_constants_s
        signal = worker.lanes[0].signal
        if worker.lumped:
            ready_at_s = context_at_s + ladder.constants + ladder.first_run
            signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])
        else:
            self._clock.process(self._climb(worker, ladder, context_at_s))

    def _climb(self, worker: SimWorker, ladder: Ladder, context_at_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._clock.at(context_at_s, FINISHED)
        if worker.lost is not None:
            return
        if self._loading is not None and ladder.constants:
            groups = Groups((self._constants_bytes[worker.function],), (0,))
            self._loading.load(
                worker.device, worker.function, groups, partial(self._load_all, worker, ladder, context_at_s)
            )
            return
        waited_s, loaded_at_s = worker.device.h2d.reserve(self._clock.now, ladder.constants)
        worker.ladder = ladder._replace(constants=waited_s + ladder.constants)
        ready_at_s = loaded_at_s + ladder.first_run
        worker.lanes[0].signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])

    def _load_all(self, worker: SimWorker, ladder: Ladder, context_at_s: float, there_at_s: Sequence[float]) -> None:
        """Its constants will be there."""
        if worker.lost is not None:
            return
        worker.ladder = ladder._replace(constants=there_at_s[-1] - context_at_s)
        ready_at_s = there_at_s[-1] + ladder.first_run
        worker.lanes[0].signal.fire(ready_at_s, WORKER_CHANGED, [partial(self._get_ready, worker)])

    def _get_ready(self, worker: SimWorker, _: simpy.Event) -> None:
        worker.ready = True
        worker.lane = worker.lanes[0]
        worker.ready_at_s = worker.idle_at_s = self._clock._now
        self._recorder.got_ready(worker.number, worker.ready_at_s - sum(worker.ladder or ()), worker.ready_at_s)
        if self._starting is not None:
            self._recorder.started(
                worker.device.number % self._n_gpus, self._starting.pop(worker.number), self._clock.now
            )
        self._on_ready(self._clock._now, worker)

    def _leave(self, worker: SimWorker, _: simpy.Event) -> None:
        if worker.lost is not None:
            return
        now_s = self._clock._now
        worker.stopped_at_s = now_s
        self.record(self.workers.pop(worker.number))
        if worker.ready:  # else it left its line
            del worker.device.workers[worker.number]
            for lane in worker.lanes:
                lane.release()
            if worker.cache is not None:
                worker.device.caches.remove(worker.cache)
            self._give_room(now_s, self._book.leave(worker))
        self._on_gone(now_s, worker)

    # Failures

    def bury(self, worker: SimWorker) -> None:
        """A worker that died is gone from the list of those there are."""
        self.record(self.workers.pop(worker.number))

    def crash(self, now_s: float, worker: SimWorker) -> None:
        """The process of a worker on a device is no more; its memory is free at once."""
        self._kill(now_s, worker)
        worker.device.elapsed_s = None
        self._give_room(now_s, self._book.leave(worker))

    def lose(self, now_s: float, device: int) -> list[SimWorker] | None:
        """A device is out of order; returns the workers that died with it; None when it had no slots."""
        self._broken.add(device)
        dead: list[SimWorker] = []
        slots = self._slots.get(device, ())
        for slot in slots:
            there = self.devices[slot.number]
            there.elapsed_s = None
            here = list(there.workers.values())
            dead += [*here, *self._forsake(now_s, self._book.close(slot.number))]
            for worker in here:
                self._kill(now_s, worker)
                self._book.leave(worker)
        return dead if slots else None

    def forsaken(self, now_s: float, device: int) -> list[SimWorker]:
        """The workers that were ordered to be on a device after it was lost, and will never be there."""
        if device not in self._broken:
            return []
        slots = self._slots.get(device, ())
        return [worker for slot in slots for worker in self._forsake(now_s, self._book.close(slot.number))]

    def repair(self, device: int) -> tuple[Slot, ...]:
        """A device is in order again, without anything on it; returns its slots."""
        self._broken.remove(device)
        return self._offer(self._slots.get(device, ()))

    def slow_down(self, device: int, stretch: float) -> None:
        """Kernels that begin on a device take so many times as long as they should."""
        for number in (device, *(slot.number for slot in self._slots.get(device, ()))):
            self.devices[number].stretch = stretch

    def _forsake(self, now_s: float, workers: list[SimWorker]) -> list[SimWorker]:
        for worker in workers:
            worker.lost, worker.stopped_at_s = [], now_s
        return workers

    def _kill(self, now_s: float, worker: SimWorker) -> None:
        worker.lost = [lost for lane in worker.lanes for lost in self._on_lost(lane)]
        worker.stopped_at_s = now_s
        worker.lane = None
        if self._starting is not None:
            self._starting.pop(worker.number, None)
        del worker.device.workers[worker.number]
        if worker.cache is not None:
            worker.device.caches.remove(worker.cache)
        for lane in worker.lanes:
            self._clock.cancel(lane.signal)
            lane.release()
