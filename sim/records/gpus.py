"""GPUs as what somebody pays for: how long they were there, how evenly they were used, and what energy they took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.domain import FleetSpec
from sim.models.calibration import Power
from sim.records.rows import Floats

SECONDS_OF = "gpu_s_of."  # and the name of a GPU: the key of their seconds


class Gpus:
    """Keeps the time in which GPUs are there. power: of each model of the fleet, None where it is not known."""

    def __init__(self, fleet: FleetSpec, power: Sequence[Power | None]) -> None:
        self._fleet = fleet
        self._power = power
        self._since_s: dict[int, float] = dict.fromkeys(fleet.present, 0.0)
        self._there_s = np.zeros(fleet.n_gpus)

    def scaled(self, at_s: float, devices: Sequence[int], up: bool) -> None:
        """A node was ordered to come, or to go: it is paid for from the one order to the other."""
        for device in devices:
            if up:
                self._since_s.setdefault(device, at_s)
            else:
                self._there_s[device] += at_s - self._since_s.pop(device, at_s)

    def sums(self, end_s: float, busy_s: Floats) -> dict[str, float | None]:
        """gpus; gpu_s and energy_j: seconds that they were there, and joules; seconds by name; the sum of squares of
        their time in kernels.

        busy_s: that time of each. The energy is that of a machine whose power is linear in its utilisation (Fan, Weber
        and Barroso, Power Provisioning for a Warehouse-sized Computer, ISCA 2007): idle watts for as long as it is
        there, and what busy watts are more while a kernel runs.
        """
        there_s = self._there_s.copy()
        for device, since_s in self._since_s.items():
            there_s[device] += max(end_s - since_s, 0.0)
        squares = float(np.sum(busy_s**2))
        return {"gpus": self._fleet.n_gpus, "busy_squares": squares, **self._paid(there_s, busy_s)}

    def per_s(self) -> dict[str, float | None]:
        """What of these grows while GPUs do nothing, in a second."""
        there = np.zeros(self._fleet.n_gpus)
        there[list(self._since_s)] = 1.0
        return self._paid(there, np.zeros_like(there))

    def _paid(self, there_s: Floats, busy_s: Floats) -> dict[str, float | None]:
        joules: float | None = 0.0
        of_name: dict[str, float | None] = {}
        for number, node in enumerate(self._fleet.nodes):
            own = self._fleet.gpus_of(number)
            its_there_s = float(there_s[own.start : own.stop].sum())
            its_busy_s = float(busy_s[own.start : own.stop].sum())
            name = SECONDS_OF + node.device.name
            of_name[name] = (of_name.get(name) or 0.0) + its_there_s
            power = self._power[node.model]
            if joules is None or power is None:
                joules = None
            else:
                joules += power.idle_w * its_there_s + (power.busy_w - power.idle_w) * its_busy_s
        return {"gpu_s": float(there_s.sum()), "energy_j": joules, **of_name}
