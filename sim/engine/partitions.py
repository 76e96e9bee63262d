"""Devices that are partitioned, and nodes that come and go, on orders of a policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import simpy

from sim.domain import FleetSpec
from sim.engine.clock import Clock
from sim.engine.fleet import SimFleet
from sim.models.mig.placement import Instance, Reconfiguration, fit
from sim.models.mig.profiles import table_of
from sim.protocol import WORKER_CHANGED, DeviceChanged, Event, Partition, Scale, Slot, slot_number


class Partitions:
    """Carries the orders out. tell: called with (instant, event)."""

    def __init__(
        self, clock: Clock, fleet: FleetSpec, workers: SimFleet, *, tell: Callable[[float, Event], None]
    ) -> None:
        self._clock = clock
        self._spec = fleet
        self._fleet = workers
        self._tell = tell
        self._instances: dict[int, tuple[Instance, ...]] = {}
        self._reconfiguration = Reconfiguration()

    def partition(self, now_s: float, order: Partition) -> None:
        """The device has no slots until it has its new ones."""
        device = order.device
        before = self._instances.get(device, ())
        after = fit(table_of(self._spec.device_of(device).mig), order.profiles) if order.profiles else ()
        self._instances[device] = after
        self._fleet.close(device)
        takes_s = self._reconfiguration.takes_s(before, after)
        slots = slots_of(self._spec, device, after)
        self._clock.call(now_s + takes_s, WORKER_CHANGED, partial(self._open, device, slots, after))

    def scale(self, now_s: float, order: Scale) -> None:
        """A node comes after its start-up time; one that goes is gone at once, as nobody is on it."""
        devices = self._spec.gpus_of(order.node)
        self._fleet.scaled(now_s, devices, order.up)
        if order.up:
            self._clock.call(now_s + self._spec.node_start_s, WORKER_CHANGED, partial(self._come, devices))
        else:
            for device in devices:
                self._fleet.close(device)
                self._instances.pop(device, None)  # they don't outlive a restart
            self._clock.call(now_s, WORKER_CHANGED, partial(self._go, devices))

    def _come(self, devices: range, _: simpy.Event) -> None:
        for device in devices:
            self._open(device, slots_of(self._spec, device, ()), (), _)

    def _go(self, devices: range, _: simpy.Event) -> None:
        for device in devices:
            self._tell(self._clock.now, DeviceChanged(device, ()))

    def _open(self, device: int, slots: tuple[Slot, ...], instances: tuple[Instance, ...], _: simpy.Event) -> None:
        profiles = [instance.profile for instance in instances]
        self._tell(self._clock.now, DeviceChanged(device, self._fleet.open(device, slots, profiles)))


def slots_of(fleet: FleetSpec, device: int, instances: tuple[Instance, ...]) -> tuple[Slot, ...]:
    """The slots of a device with these instances; without any it is one slot."""
    if not instances:
        return (Slot(device, fleet.device_of(device).memory_bytes),)
    return tuple(
        Slot(slot_number(device, i, fleet.n_gpus), instance.profile.memory_bytes, instance.profile.name)
        for i, instance in enumerate(instances)
    )
