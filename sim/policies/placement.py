"""Which devices a function gets: the assignment of the KaaS benchmark server, by shares of device memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf

import numpy as np

from sim.domain import FleetSpec, Function
from sim.protocol import Costs

SHARES = 8  # shares are whole eighths of a device


def memory_shares(fleet: FleetSpec, functions: Sequence[Function], costs: Costs) -> list[float]:
    """Part of a device's memory that a worker of each function needs, rounded up to eighths; of the smallest device."""
    memory_bytes = min(node.device.memory_bytes for node in fleet.nodes)
    return [ceil(SHARES * costs.memory_bytes(f.id) / memory_bytes) / SHARES for f in functions]


def assign_devices(n_devices: int, shares: Sequence[float]) -> list[tuple[int, float]]:
    """Assign functions to devices in their order; returns (device, share assigned there before) turn by turn.

    With fewer functions than devices, functions take turns until every device has one (KaaS benchmark server: pass 1,
    then "further passes until workers >= #GPUs"), so that turn i is of function i modulo their number.

    A share that fits nowhere goes where the least is in use. Else a device with both the fewest functions and the least
    in use is where a scan would end, so equal shares need none; others need at most 8 for each device, being eighths.
    """
    count = np.zeros(n_devices, dtype=np.int64)
    used = np.zeros(n_devices)
    turns = []
    for turn in range(max(len(shares), n_devices)):
        share = shares[turn % len(shares)]
        best = used == used.min()
        if used.min() + share <= 1:
            best &= count == count.min()
        device = int(best.argmax()) if best.any() else _scan(count.tolist(), used.tolist(), 1 - share)
        turns.append((device, float(used[device])))
        count[device] += 1
        used[device] += share
    return turns


def _scan(count: Sequence[int], used: Sequence[float], room: float) -> int:
    """The device that a scan ends at: it moves on to each that has room, and fewer functions or less in use.

    Not the least of any order, since a device with more functions may win by less in use: the KaaS benchmark server's
    scan with a running pick.
    """
    pick, fewest, least = 0, inf, inf
    for device, (n, in_use) in enumerate(zip(count, used, strict=True)):
        if in_use <= room and (n < fewest or in_use < least):
            pick, fewest, least = device, n, in_use
    return pick


def buckets(n_devices: int, n_functions: int, turns: Sequence[tuple[int, float]]) -> tuple[list[int], list[int]]:
    """(Bucket of each function, bucket of each device) of an assignment: a function prefers devices of its bucket."""
    if n_functions >= n_devices:
        return [device for device, _ in turns], list(range(n_devices))
    owner = [0] * n_devices
    for turn, (device, _) in enumerate(turns):
        owner[device] = turn % n_functions
    return list(range(n_functions)), owner
