"""Ground truth of the simulated fleet: links, devices, what runs on them, and workers."""

from __future__ import annotations

from collections import deque
from functools import partial

import simpy

from sim.domain import FleetSpec
from sim.engine.clock import Callbacks, Clock, Signal
from sim.models.memory import HIT, BufferCache
from sim.models.occupancy import Shared
from sim.models.sharing import SharedDevice
from sim.models.startup import Ladder
from sim.placement import Placed
from sim.protocol import FINISHED

NAN = float("nan")
Queued = tuple[int, float, bool]  # invocation, when it was ordered, cold


class Link:
    """A host link in one direction: copies queue first come, first served."""

    __slots__ = ("free_at_s",)

    def __init__(self) -> None:
        self.free_at_s = 0.0

    def reserve(self, now_s: float, duration_s: float) -> tuple[float, float]:
        """Queue a copy that is ready now; returns how long it waits and when it ends. None of no length waits."""
        if not duration_s:
            return 0.0, now_s
        waited_s = max(self.free_at_s - now_s, 0.0)
        self.free_at_s = max(now_s, self.free_at_s) + duration_s
        return waited_s, self.free_at_s


class Compute:
    """The multiprocessors of a device that several workers share: one event for whatever ends next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs = SharedDevice()
        self._done: dict[int, Signal] = {}
        self._next: tuple[float, int] | None = None

    def run(self, worker: int, work_s: float, sm_frac: float, bandwidth_frac: float) -> simpy.Event:
        """Run something of a worker's; see ``sim.models.sharing``. The event comes when it is done."""
        done = self._done[worker] = Signal(self._clock)
        done.callbacks = []
        self._jobs.add(self._clock._now, worker, work_s, sm_frac, bandwidth_frac)
        self._expect()
        return done

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
        now_s, worker = expected
        self._jobs.remove(now_s, worker)
        done = self._done.pop(worker)
        assert done.callbacks is not None
        done.fire(now_s, FINISHED, done.callbacks)
        self._next = None
        self._expect()


class SimDevice:
    """One GPU. elapsed_s: of the notice period of who had it last (``sim.models.startup``); None where nobody had it.

    compute: what standing workers share; None where a worker has the device for itself.
    """

    __slots__ = ("compute", "d2h", "elapsed_s", "h2d", "number")

    def __init__(self, number: int, h2d: Link, d2h: Link) -> None:
        self.number = number
        self.h2d = h2d
        self.d2h = d2h
        self.elapsed_s: float | None = None
        self.compute: Compute | None = None


class Service:
    """What a worker is at: an invocation, with the columns of its row that are known when it begins.

    A worker has one and uses it for each invocation; ``invocation`` is -1 while there is none. placement: what it found
    in device memory. cold: it waited for its worker's start.
    """

    __slots__ = (
        "admitted_at_s", "arrival_at_s", "cold", "dispatch_s", "function", "invocation", "load_s", "placement",
        "queued_at_s", "run_s", "started_at_s",
    )  # fmt: skip

    def __init__(self) -> None:
        self.invocation = -1
        self.function: int
        self.arrival_at_s: float
        self.admitted_at_s: float
        self.queued_at_s: float
        self.dispatch_s: float
        self.started_at_s: float
        self.load_s: float
        self.run_s: float
        self.placement = HIT
        self.cold: bool


IDLE = Service()  # of workers that are on no device yet; nobody writes to it


class SimWorker(Placed):
    """One worker. ``service.invocation`` is -1 when it is idle; it has ``device`` once it waits for none.

    Workers wait for devices by the million when a fleet is overloaded, so what only a worker on a device needs is
    made when it gets there.
    """

    __slots__ = (
        "cache", "device", "function", "idle_at_s", "ladder", "modules", "number", "on_finish", "queue", "ready",
        "ready_at_s", "requested_at_s", "service", "shared", "signal", "stopped_at_s",
    )  # fmt: skip

    def __init__(self, number: int, function: int, requested_at_s: float) -> None:
        super().__init__()
        self.number = number
        self.device: SimDevice
        self.function = function
        self.requested_at_s = requested_at_s
        self.ready_at_s = self.stopped_at_s = NAN
        self.idle_at_s = requested_at_s  # when it last got idle
        self.cache: BufferCache | None = None  # of a KaaS executor
        self.modules: set[int] | None = None  # graphs whose kernels the executor has loaded
        self.shared: Shared | None = None  # how it runs beside others on its device; None where there are none
        self.ladder: Ladder | None = None
        self.ready = False
        self.signal: Signal
        self.on_finish: Callbacks
        self.queue: deque[Queued] | list[Queued] = deque() if function < 0 else []  # a list is ten times smaller
        self.service = IDLE


def make_devices(fleet: FleetSpec) -> list[SimDevice]:
    """Devices in nodes; ``gpus_per_link`` neighbours of a node share their links."""
    devices = []
    for number in range(fleet.n_gpus):
        place = number % fleet.gpus_per_node
        if place % fleet.gpus_per_link == 0:
            h2d, d2h = Link(), Link()
        devices.append(SimDevice(number, h2d, d2h))
    return devices
