"""What the dispatcher believes of a fleet: from orders given and events received, never a world's ground truth."""

from __future__ import annotations

from collections.abc import Sequence

from sim.domain import FleetSpec
from sim.errors import PolicyError
from sim.protocol import (
    ANY_DEVICE,
    DeviceChanged,
    Event,
    Finished,
    Outcome,
    Partition,
    Run,
    Scale,
    Slot,
    Standing,
    Start,
    WorkerReady,
    WorkerStopped,
)

WAITS_AGAIN = (Outcome.LATE, Outcome.PREEMPTED)


class WorkerBelief:
    """Belief about one worker."""

    __slots__ = ("device", "function", "outstanding", "ready", "stopping")

    def __init__(self, device: int, function: int, ready: bool) -> None:
        self.device = device
        self.function = function
        self.outstanding = 0
        self.ready = ready
        self.stopping = False

    def __repr__(self) -> str:
        owner = "every function" if self.function < 0 else f"function {self.function}"
        state = "stopping" if self.stopping else "ready" if self.ready else "starting"
        return f"{state} worker of {owner} on device {self.device} with {self.outstanding} outstanding"


class Belief:
    """``waiting`` maps invocations that no worker has to their function; ``running`` maps the others to their worker;
    ``workers`` holds the workers that are not gone. ``n_started``: workers so far, those that stand included.

    remembers: whether invocations that were given to a worker may wait again.
    """

    def __init__(self, fleet: FleetSpec, *, remembers: bool) -> None:
        self.n_devices = fleet.n_gpus
        self.waiting: dict[int, int] = {}
        self.running: dict[int, int] = {}
        self.workers: dict[int, WorkerBelief] = {}
        self.n_started = 0
        self.fleet = fleet
        # Of devices that have changed, or are not there yet.
        self.slots: dict[int, tuple[Slot, ...]] = dict.fromkeys(fleet.absent, ())
        self.changing: set[int] = set()  # devices of which DeviceChanged is awaited
        self._function: dict[int, int] | None = {} if remembers else None  # of what runs

    def stand(self, standing: Sequence[Standing]) -> None:
        """These workers are there from the beginning."""
        for number, worker in enumerate(standing):
            self.workers[number] = WorkerBelief(worker.device, worker.function, ready=True)
        self.n_started = len(standing)

    def slot(self, number: int) -> Slot | None:
        """The slot with this number; None when there is none now."""
        if number < 0:
            return None
        changed = self.slots.get(number % self.n_devices)
        if changed is None:
            return Slot(number, self.fleet.device_of(number).memory_bytes) if number < self.n_devices else None
        return next((slot for slot in changed if slot.number == number), None)

    # Events

    def finish(self, now_s: float, event: Finished) -> None:
        """Take in that a worker is done with something."""
        if self.running.pop(event.invocation, None) != event.worker:
            raise PolicyError(f"{event} at {now_s} s: the worker did not have it")
        worker = self.workers.get(event.worker)
        if worker is not None:
            worker.outstanding -= 1
        for other in event.others:
            if self.running.pop(other, None) != event.worker:
                raise PolicyError(f"{event} at {now_s} s: the worker did not have {other}")
            if worker is not None:
                worker.outstanding -= 1
        if self._function is not None:
            for invocation in (event.invocation, *event.others):
                function = self._function.pop(invocation)
                if event.outcome in WAITS_AGAIN:
                    self.waiting[invocation] = function

    def take_in(self, now_s: float, event: Event) -> None:
        """Take in a change of a worker or device."""
        if isinstance(event, WorkerReady):
            worker = self.workers[event.worker]
            if worker.device not in (ANY_DEVICE, event.device):
                raise PolicyError(f"{event} at {now_s} s: it was ordered to be on device {worker.device}")
            worker.device = event.device
            worker.ready = True
        elif isinstance(event, WorkerStopped):
            gone = self.workers.pop(event.worker)
            if gone.outstanding and not event.died:
                raise PolicyError(f"{event} at {now_s} s: it had work, a {gone}")
        elif isinstance(event, DeviceChanged):
            self.slots[event.device] = event.slots
            self.changing.discard(event.device)

    # Orders

    def start(self, order: Start) -> None:
        """A worker was ordered."""
        self.workers[order.worker] = WorkerBelief(order.device, order.function, ready=False)
        self.n_started += 1

    def change(self, order: Partition | Scale) -> None:
        """Devices are to change: until they have, those that are there have no slots."""
        devices = [order.device] if isinstance(order, Partition) else self.fleet.gpus_of(order.node)
        self.changing.update(devices)
        self.slots.update(dict.fromkeys(devices, ()))

    def run(self, order: Run, function: int) -> None:
        """An invocation, and the others of its batch, were given to a worker; ``waiting`` has the first no more."""
        worker = self.workers[order.worker]
        for invocation in (order.invocation, *order.others):
            self.waiting.pop(invocation, None)
            self.running[invocation] = order.worker
            worker.outstanding += 1
            if self._function is not None:
                self._function[invocation] = function

    def check(self) -> None:
        """Invariants; raises AssertionError. Linear in the number of live things: for tests."""
        assert not self.waiting.keys() & self.running.keys(), "an invocation both waits and runs"
        counts = dict.fromkeys(self.workers, 0)
        for worker in self.running.values():
            if worker in counts:  # else it died, and what it had is about to fail
                counts[worker] += 1
        assert counts == {w: b.outstanding for w, b in self.workers.items()}, "outstanding counts are wrong"
