"""Policies that have a KaaS executor on each device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sim.domain import FleetSpec
from sim.policies.base import BasePolicy
from sim.protocol import Action, DeviceChanged, Event, Need, Start, WorkerStopped


class ExecutorPolicy(BasePolicy):
    """They stand there from the beginning, numbered like their devices. One that dies is replaced by another with the
    next number, as soon as its device is there.

    Subclasses call ``_stand`` when they are reset, ask ``_recover`` about events that are none of their own, and take
    an executor into use when it is ready. What ran on one that died ends as failed, when it isn't in the view any more.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.EXECUTORS})

    def _stand(self, fleet: FleetSpec) -> None:
        """An executor on each device."""
        self._device_of = list(range(fleet.n_gpus))  # by number of the executor
        self._served = set(self._device_of)  # devices with an executor
        self._down: set[int] = set()  # devices that have no slot

    def _recover(self, event: Event) -> Sequence[Action]:
        """Replace an executor that has died, or whose device is back."""
        if isinstance(event, DeviceChanged):
            device = event.device
            if not event.slots:
                self._down.add(device)
                return ()
            self._down.discard(device)
        elif isinstance(event, WorkerStopped):
            device = self._device_of[event.worker]
            self._served.discard(device)
        else:
            return ()
        return () if device in self._down or device in self._served else (self._replace(device),)

    def _replace(self, device: int) -> Start:
        worker = len(self._device_of)
        self._device_of.append(device)
        self._served.add(device)
        return Start(worker, device)
