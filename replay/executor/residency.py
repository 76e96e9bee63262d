"""Where buffers are in device memory: BufferCache says what is resident, the slab where there is a place for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from replay.executor.sizing import capacity_bytes
from replay.executor.slab import Block, Move, Slab
from sim.models.buffers import BufferSet
from sim.models.eviction import Kaas
from sim.models.layout import Layout
from sim.models.memory import Eviction, Placement
from sim.models.watched import WatchedCache


@dataclass(slots=True)
class Extent:
    """The buffers [first, last) of a BufferSet, one behind the other in a block."""

    block: Block
    first: int
    last: int


class Admission(NamedTuple):
    """What makes an invocation ready, in this order: the moves; the loads, by extents; launches at the offsets.

    offsets: where each buffer is in the slab, first those of ``Layout.cached``, then those of ``Layout.scratch``.
    """

    placement: Placement
    moves: Sequence[Move]
    loads: Sequence[Extent]
    offsets: npt.NDArray[np.int64]


@dataclass(slots=True)
class _Tenant:
    """A function with buffers in memory: the extents of those that are resident, in order, without gaps."""

    layout: Layout
    cached: list[Extent] = field(default_factory=list)
    scratch: list[Extent] = field(default_factory=list)


class Residency:
    """The buffers of functions, by key, in ``memory_bytes`` of memory; one invocation at a time.

    Whatever BufferCache lets in finds a place: buffers are put together where a hole has room for several, and when
    there is no hole for the next one, blocks are moved to unite holes (see Slab). BufferCache evicts just what a
    request lacks, so without spare memory there would be nothing but small holes. It is given SPARE_FRAC less than
    there is; where 200 functions share 80 GiB, that cuts the moves from 13.7 bytes for each byte loaded to 0.8
    (benchmarks/launch.py). keep_headroom, eviction: see BufferCache. changes: of what is resident, as
    ``sim.models.watched.Tell`` has them, until somebody takes them from the list.
    """

    def __init__(self, memory_bytes: int, keep_headroom: bool = False, eviction: str = Kaas.name) -> None:
        self.changes: list[tuple[int, int, str]] = []
        self.cache = WatchedCache(
            capacity_bytes(memory_bytes), self._tell, keep_headroom=keep_headroom, eviction=eviction
        )
        self.slab = Slab(memory_bytes)
        self._tenants: dict[int, _Tenant] = {}

    def enter(self, key: int, layout: Layout) -> Admission:
        """Begin an invocation of a function, whose layout is always the same and fits into the cache's capacity."""
        scratch = layout.scratch_set
        placement = self.cache.request(key, layout.cached_set, scratch.total_bytes)
        assert placement is not None, "Executor has not checked that it fits"
        for eviction in placement.evictions:
            self._evict(eviction)
        tenant = self._tenants.get(key)
        if tenant is None:
            tenant = self._tenants[key] = _Tenant(layout)
        moves: list[Move] = []
        loads = self._place(layout.cached_set, placement.n_loaded, moves)
        tenant.cached[:0] = loads
        tenant.scratch = self._place(scratch, scratch.n, moves)
        still_empty = {e.block.offset for e in (*loads, *tenant.scratch)}
        offsets = np.concatenate([_offsets(layout.cached_set, tenant.cached), _offsets(scratch, tenant.scratch)])
        return Admission(placement, [m for m in moves if m.block.offset not in still_empty], loads, offsets)

    def leave(self, key: int) -> None:
        """End the invocation of a function."""
        tenant = self._tenants[key]
        for extent in tenant.scratch:
            self.slab.trim(extent.block, extent.block.n_bytes)
        tenant.scratch = []

    def _tell(self, key: int, n_bytes: int, reason: str) -> None:
        self.changes.append((key, n_bytes, reason))

    def _evict(self, eviction: Eviction) -> None:
        tenant = self._tenants[eviction.key]
        size_upto = tenant.layout.cached_set.size_upto
        first = eviction.first
        while first < eviction.last:
            extent = tenant.cached[0]
            upto = min(eviction.last, extent.last)
            self.slab.trim(extent.block, size_upto[upto] - size_upto[first])
            first = extent.first = upto
            if upto == extent.last:
                del tenant.cached[0]

    def _place(self, buffers: BufferSet, n: int, moves: list[Move]) -> list[Extent]:
        """Blocks for the leading ``n`` buffers, as few as easily found; appends the moves that this takes."""
        size_upto, first = buffers.size_upto, 0
        extents = []
        while first < n:
            last = n
            block = self.slab.allocate(size_upto[n] - size_upto[first])
            if block is None:  # not all together: as many as the largest hole takes
                last = bisect_right(size_upto, size_upto[first] + self.slab.largest_hole) - 1
                if last == first:
                    last = first + 1
                    moves += self.slab.make_hole(size_upto[last] - size_upto[first])
                block = self.slab.allocate(size_upto[last] - size_upto[first])
                assert block is not None, "the largest hole is not large enough"
            extents.append(Extent(block, first, last))
            first = last
        return extents


def _offsets(buffers: BufferSet, extents: Sequence[Extent]) -> npt.NDArray[np.int64]:
    """Offset in the slab of each buffer; the extents have them all, in order."""
    offsets = np.array(buffers.size_upto[:-1], np.int64)
    for extent in extents:
        offsets[extent.first : extent.last] += extent.block.offset - buffers.size_upto[extent.first]
    return offsets
