"""Ground truth of the simulated fleet: links, devices, what runs on them, and workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import simpy

from sim.domain import FleetSpec
from sim.engine.clock import Callbacks, Clock, Signal
from sim.engine.columns import Columns
from sim.models.memory import HIT, BufferCache
from sim.models.mig.profiles import Profile
from sim.models.occupancy import Shared
from sim.models.sharing import Jobs
from sim.models.startup import Ladder
from sim.placement import Placed
from sim.protocol import EVERY_FUNCTION, FINISHED, Run, Standing, Start

NAN = float("nan")
# Invocation, when it was ordered, whether it waits for its worker's start, and its order where that says more.
Queued = tuple[int, float, bool, Run | None]


class Link:
    """A host link in one direction: copies queue first come, first served. stretch: how many times as long they take
    as they should."""

    __slots__ = ("free_at_s", "stretch")

    def __init__(self) -> None:
        self.free_at_s = 0.0
        self.stretch = 1.0

    def reserve(self, now_s: float, duration_s: float) -> tuple[float, float]:
        """Queue a copy that is ready now; returns how much longer than its duration it takes, and when it ends.

        It waits for those before it, but not if it has no length, and for the rate of the link.
        """
        if not duration_s:
            return 0.0, now_s
        waited_s = max(self.free_at_s - now_s, 0.0) + duration_s * (self.stretch - 1)
        self.free_at_s = max(now_s, self.free_at_s) + duration_s * self.stretch
        return waited_s, self.free_at_s


class Compute:
    """The multiprocessors of a slot that several workers share: one event for whatever ends next."""

    def __init__(self, clock: Clock, jobs: Jobs) -> None:
        self._clock = clock
        self._jobs = jobs
        self._lanes: dict[int, Lane] = {}
        self._next: tuple[float, int] | None = None

    def run(self, lane: Lane, work_s: float, shared: Shared) -> None:
        """Run something of a lane's; ``lane.on_kernel`` is called when it is done."""
        self._lanes[lane.number] = lane
        self._jobs.add(self._clock._now, lane.number, work_s, shared.sm_frac, shared.bandwidth_frac)
        self._expect()

    def runs(self, lane: Lane) -> bool:
        """Whether something of a lane's runs."""
        return lane.number in self._lanes

    def left_s(self, lane: Lane) -> float:
        """The seconds of work that are left of what runs of a lane's."""
        return self._jobs.left_s(self._clock._now, lane.number)

    def cut(self, lane: Lane, left_s: float) -> None:
        """So much is left from now on of what runs of a lane's."""
        self._jobs.cut(self._clock._now, lane.number, left_s)
        self._expect()

    def stop(self, lane: Lane) -> None:
        """End what runs of a lane's at once."""
        del self._lanes[lane.number]
        self._jobs.remove(self._clock._now, lane.number)
        self._expect()

    def _expect(self) -> None:
        """Whenever what runs changes, so may the next end; events of ends that were expected before are stale."""
        expected = self._jobs.next_end()
        if expected != self._next:
            self._next = expected
            if expected is not None:
                self._clock.call(expected[0], FINISHED, partial(self._end, expected))

    def _end(self, expected: tuple[float, int], _: simpy.Event) -> None:
        if expected is not self._next:
            return
        now_s, number = expected
        self._jobs.remove(now_s, number)
        lane = self._lanes.pop(number)
        lane.signal.fire(now_s, FINISHED, lane.on_kernel)
        self._next = None
        self._expect()


class SimDevice:
    """One GPU, or an instance of one: a slot for workers. elapsed_s: of the notice period of who had it last, when it
    left at ``freed_at_s`` (``sim.models.startup``); None where nobody had it.

    compute: what workers share that have a part of it; None until there are such. model: which of the
    fleet's calibrations is its. profile: of an instance. workers: those that are on it, by number. stretch: how many
    times as long kernels take as they should.
    """

    __slots__ = (
        "caches", "compute", "d2h", "elapsed_s", "freed_at_s", "h2d", "model", "number", "nvlink", "profile", "stretch",
        "workers",
    )  # fmt: skip

    def __init__(self, number: int, h2d: Link, d2h: Link, model: int, profile: Profile | None = None) -> None:
        self.number = number
        self.model = model
        self.profile = profile
        self.h2d = h2d
        self.d2h = d2h
        self.elapsed_s: float | None = None
        self.freed_at_s = 0.0
        self.compute: Compute | None = None
        self.workers: dict[int, SimWorker] = {}
        self.stretch = 1.0
        self.caches: list[BufferCache] = []  # of the executors on it
        self.nvlink = Link()  # to its peers


class Lane:
    """Where a worker runs one invocation at a time, or one batch, with the columns of its row.

    It is used again for each; ``invocation`` is -1 while there is none. number: of the job that it is where compute is
    shared. entry: what the doors know of it. others: of its batch, with theirs. placement: what it found in device
    memory. cold: it waited for its worker's start. preempted: it ends at the next boundary between kernels.
    Of one that goes step by step: when it was loaded, the ends of its kernels from there on (or one for all), and how
    many of these are over; work_s: of the present one; stretch: how many times as long they take as they should. on_*:
    what is called when a step is over.
    """

    __slots__ = (
        "cold", "dispatch_s", "entry", "function", "invocation", "kernels", "load_s", "loaded_at_s", "n_kernels_done",
        "number", "on_copy", "on_finish", "on_kernel", "on_kernels", "others", "placement", "preempted", "run_s",
        "signal", "started_at_s", "store_s", "stretch", "work_s", "worker",
    )  # fmt: skip

    def __init__(self, number: int, worker: SimWorker, signal: Signal) -> None:
        self.number = number
        self.worker = worker
        self.signal = signal
        self.invocation = -1
        self.placement = HIT
        self.others: tuple[tuple[int, Entry], ...] = ()
        self.preempted = False
        self.stretch = 1.0
        self.function: int
        self.entry: Entry
        self.dispatch_s: float
        self.started_at_s: float
        self.load_s: float
        self.run_s: float
        self.store_s: float
        self.cold: bool
        self.loaded_at_s: float
        self.kernels: list[float]
        self.n_kernels_done: int
        self.work_s: float
        self.on_finish: Callbacks
        self.on_copy: Callbacks
        self.on_kernels: Callbacks
        self.on_kernel: Callbacks

    def release(self) -> None:
        """Its worker is gone, and nothing is called any more that leads back to it: garbage collection is off."""
        self.signal.callbacks = []
        self.on_finish = self.on_copy = self.on_kernels = self.on_kernel = []
        del self.worker


# Of an invocation on its way to a worker: function, arrival, admission, entry into the pool (NaN before), size.
Entry = tuple[int, float, float, float, float]


class Tries(NamedTuple):
    """How often an invocation was tried again: by the platform, after a failure, and by its client, after a timeout."""

    by_platform: int = 0
    by_client: int = 0

    @property
    def attempt(self) -> int:
        """Which attempt it is now, from 1."""
        return 1 + self.by_platform + self.by_client


NEVER = Tries()


class Lost(NamedTuple):
    """An invocation, or a batch, that was lost with its worker. started_at_s: NaN if a device had not begun on it."""

    invocations: tuple[int, ...]
    started_at_s: float


class SimWorker(Placed):
    """One worker. It has ``device``, ``columns`` and ``lanes`` once it waits for none; ``lane`` is one that is idle, or
    None.

    Workers wait for devices by the million when a fleet is overloaded, so what only a worker on a device needs is
    made when it gets there. shared: it computes beside others. lumped: what it runs is one event each. lost: what it
    had when it died, which is None until then.
    """

    __slots__ = (
        "cache", "columns", "coming", "concurrency", "device", "function", "idle_at_s", "ladder", "lane", "lanes",
        "lost", "lumped", "modules", "number", "ordered_bytes", "queue", "ready", "ready_at_s", "requested_at_s",
        "share", "shared", "stopped_at_s",
    )  # fmt: skip

    def __init__(self, number: int, order: Standing | Start, requested_at_s: float) -> None:
        super().__init__(order.memory_bytes)
        self.number = number
        self.function = order.function
        self.share = order.share
        self.concurrency = order.concurrency
        self.requested_at_s = requested_at_s
        self.ready_at_s = self.stopped_at_s = NAN
        self.idle_at_s = requested_at_s  # when it last got idle
        self.cache: BufferCache | None = None  # of a KaaS executor
        self.modules: set[int] | None = None  # graphs whose kernels the executor has loaded
        # What waits for functions that are being loaded on order, by function; None where no policy orders loads.
        self.coming: dict[int, list[Callable[[], None]]] | None = None
        self.ordered_bytes = 0  # that were copied for these loads
        self.ladder: Ladder | None = None
        self.ready = False
        self.shared = False
        self.lumped = True
        self.device: SimDevice
        self.columns: Columns
        self.lanes: Sequence[Lane] = ()
        self.lane: Lane | None = None
        self.lost: list[Lost] | None = None
        few = self.function != EVERY_FUNCTION
        self.queue: deque[Queued] | list[Queued] = [] if few else deque()  # a list is ten times smaller

    @property
    def has_work(self) -> bool:
        """Whether it was given something that it has not finished."""
        if self.queue or (self.concurrency == 1 and self.lanes):
            return bool(self.queue) or self.lanes[0].invocation >= 0
        return any(lane.invocation >= 0 for lane in self.lanes)

    def idle_lane(self) -> Lane | None:
        """The first lane that is idle."""
        return next((lane for lane in self.lanes if lane.invocation < 0), None)


def make_devices(fleet: FleetSpec) -> list[SimDevice]:
    """The devices of a fleet; neighbours may share their links."""
    devices: list[SimDevice] = []
    for node in fleet.nodes:
        for place in range(node.n_gpus):
            if place % node.gpus_per_link == 0:
                h2d, d2h = Link(), Link()
            devices.append(SimDevice(len(devices), h2d, d2h, node.model))
    return devices
