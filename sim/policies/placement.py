"""Which devices a function prefers: the affinity assignment of the KaaS benchmark server."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from sim.domain import FleetSpec, Function

SHARES = 8  # memory needs are rounded up to eighths of a device


def assign_devices(fleet: FleetSpec, functions: Sequence[Function]) -> tuple[list[int], list[int]]:
    """Assign functions to devices in their order, until every device has one.

    Each function goes to the device with the fewest functions, then the least assigned memory, among those where
    its share (bytes of all its buffers, rounded up to an eighth of the device) fits; when it fits nowhere, to the
    device with the least assigned memory. With fewer functions than devices, functions take turns until every
    device has one (kaas: pass 1, then "further passes until workers >= #GPUs").

    Returns (bucket of each function, bucket of each device): a function prefers the devices of its bucket.
    """
    n_functions, n_devices = len(functions), fleet.n_gpus
    count = np.zeros(n_devices)
    used = np.zeros(n_devices)
    shares: dict[int, float] = {}
    device_of = []
    for turn in range(max(n_functions, n_devices)):
        graph = functions[turn % n_functions].graph
        if id(graph) not in shares:
            needed = sum(b.size_bytes for b in graph.buffers)
            shares[id(graph)] = ceil(SHARES * needed / fleet.device.memory_bytes) / SHARES
        share = shares[id(graph)]
        fits = used + share <= 1
        # Assigned memory is at most 1 where it fits, so count + used / 2 ranks by count, then by memory.
        rank = np.where(fits, count + used / 2, np.inf) if fits.any() else used
        device = int(np.argmin(rank))
        count[device] += 1
        used[device] += share
        device_of.append(device)
    if n_functions >= n_devices:
        return device_of, list(range(n_devices))
    owner = [0] * n_devices
    for turn, device in enumerate(device_of):
        owner[device] = turn % n_functions
    return list(range(n_functions)), owner
