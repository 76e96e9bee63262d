"""Which devices a function gets: the assignment of the KaaS benchmark server, by shares of device memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from sim.domain import FleetSpec, Function
from sim.protocol import Costs

SHARES = 8  # shares are whole eighths of a device


def memory_shares(fleet: FleetSpec, functions: Sequence[Function], costs: Costs) -> list[float]:
    """Part of a device's memory that a worker of each function needs, rounded up to eighths."""
    return [ceil(SHARES * costs.memory_bytes(f.id) / fleet.device.memory_bytes) / SHARES for f in functions]


def assign_devices(n_devices: int, shares: Sequence[float]) -> list[tuple[int, float]]:
    """Assign functions to devices in their order; returns (device, share assigned there before) turn by turn.

    Each function goes to the device with the fewest functions, then the least assigned memory, among those where
    its share fits; when it fits nowhere, to the device with the least assigned memory. With fewer functions than
    devices, functions take turns until every device has one (kaas: pass 1, then "further passes until workers >=
    #GPUs"), so that turn i is of function i modulo their number.
    """
    count = np.zeros(n_devices)
    used = np.zeros(n_devices)
    turns = []
    for turn in range(max(len(shares), n_devices)):
        share = shares[turn % len(shares)]
        fits = used + share <= 1
        # Assigned memory is at most 1 where it fits, so count + used / 2 ranks by count, then by memory.
        rank = np.where(fits, count + used / 2, np.inf) if fits.any() else used
        device = int(np.argmin(rank))
        turns.append((device, float(used[device])))
        count[device] += 1
        used[device] += share
    return turns


def buckets(n_devices: int, n_functions: int, turns: Sequence[tuple[int, float]]) -> tuple[list[int], list[int]]:
    """(Bucket of each function, bucket of each device) of an assignment: a function prefers devices of its bucket."""
    if n_functions >= n_devices:
        return [device for device, _ in turns], list(range(n_devices))
    owner = [0] * n_devices
    for turn, (device, _) in enumerate(turns):
        owner[device] = turn % n_functions
    return list(range(n_functions)), owner
