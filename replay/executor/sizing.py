"""How much of an executor's memory is for buffers, and how much it must have for so many: the rest serves to move them.

A bounce buffer makes moves fast (see DeviceStream), and spare memory makes them few (see Residency).
"""

from __future__ import annotations

from math import ceil

from sim.models.layout import ALIGNMENT_BYTES, aligned

BOUNCE_BYTES = 8 << 20  # for moves: a copy of so much takes longer than its launch ...
BOUNCE_FRAC = 1 / 64  # ... but at most this part of the memory
SPARE_FRAC = 1 / 32  # of the slab, see Residency


def bounce_bytes(limit_bytes: int) -> int:
    """Of an executor's memory: the bounce buffer."""
    return min(BOUNCE_BYTES, int(limit_bytes * BOUNCE_FRAC))


def slab_bytes(limit_bytes: int) -> int:
    """Of an executor's memory: the slab, in which buffers lie."""
    return _down(limit_bytes - bounce_bytes(limit_bytes))


def capacity_bytes(slab_bytes: int) -> int:
    """Of a slab: what buffers may take."""
    return _down(int(slab_bytes * (1 - SPARE_FRAC)))


def limit_bytes(capacity: int) -> int:
    """Memory of an executor that has so much for buffers; at most a few alignments more than the least."""
    slab = aligned(ceil(capacity / (1 - SPARE_FRAC)))
    limit = slab + min(BOUNCE_BYTES, ceil(slab * BOUNCE_FRAC / (1 - BOUNCE_FRAC)))
    while capacity_bytes(slab_bytes(limit)) < capacity:  # what rounding took
        limit += ALIGNMENT_BYTES
    return limit


def _down(n_bytes: int) -> int:
    return n_bytes // ALIGNMENT_BYTES * ALIGNMENT_BYTES
