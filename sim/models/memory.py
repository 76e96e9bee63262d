"""Which buffers are resident in the memory of a device: the bookkeeping of a KaaS executor.

Simulator and replay use this very class to decide what is loaded and what is evicted; it moves no bytes itself.

The rule is that of the KaaS executor (Pemberton et al., arXiv 2212.08146): buffers that no running request uses
lie in two LRU lists, "const" for buffers used more than twice and "other" for the rest; room is made from the
oldest of "other" and, when that is empty, from the oldest of "const". A request needs all its buffers at once.

All buffers of a function are used together by every request, so an LRU list of buffers is always a sequence of
whole functions, oldest first, of which only the first may have lost some of its leading buffers. That is what is
stored: per function, how many leading buffers are missing. A hit costs O(1), an eviction O(log buffers), however
many buffers a function has. The difference to evicting buffer by buffer: a request's own resident buffers are
pinned before room is made, never evicted for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

# Uses after which a buffer counts as constant (KaaS executor: "const if useCount > 2").
USES_OF_OTHER = 2


class BufferSet:
    """The cacheable buffers of one function, in order of first use.

    sizes_bytes: device memory of each. load_bytes: what is copied to the device when it is not resident
    (0 for temporaries and outputs, whose content is made on the device). Kept as sums: ``size_upto[i]`` and
    ``load_upto[i]`` of the first i buffers; ``largest_from[i]`` is the size of the largest of the rest.
    """

    __slots__ = ("largest_from", "load_upto", "n", "size_upto", "total_bytes")

    def __init__(self, sizes_bytes: Sequence[int], load_bytes: Sequence[int]) -> None:
        if len(sizes_bytes) != len(load_bytes) or min(sizes_bytes, default=1) <= 0:
            raise ValueError("sizes must be positive and as many as loads")
        self.n = len(sizes_bytes)
        self.size_upto = [0, *accumulate(sizes_bytes)]
        self.load_upto = [0, *accumulate(load_bytes)]
        self.total_bytes = self.size_upto[-1]
        self.largest_from = [*accumulate(reversed(sizes_bytes), max, initial=0)][::-1]


class Eviction(NamedTuple):
    """The buffers [first, last) of a function lose their place."""

    key: int
    first: int
    last: int


class Placement(NamedTuple):
    """What a request has to do before it can run: load the leading ``n_loaded`` of its buffers.

    load_bytes: bytes to copy to the device. first_use: nothing of this function was here before.
    evictions: to be carried out before the loads.
    """

    n_loaded: int
    load_bytes: int
    first_use: bool
    evictions: tuple[Eviction, ...]


HIT = Placement(0, 0, False, ())  # the placement of a request that finds everything resident


class _Entry:
    __slots__ = ("buffers", "first", "lru", "pins", "uses")

    def __init__(self, buffers: BufferSet) -> None:
        self.buffers = buffers
        self.first = buffers.n  # buffers[first:] are resident
        self.uses = 0
        self.pins = 0
        self.lru: OrderedDict[int, _Entry] | None = None


class BufferCache:
    """Resident buffers of one device, by function.

    capacity_bytes: memory for buffers (device memory less contexts and margins).
    keep_headroom: make room for the largest buffer of a request even when it is resident already, as the KaaS
    executor does; usable capacity is then smaller by that buffer.
    """

    def __init__(self, capacity_bytes: int, *, keep_headroom: bool = False) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._pinned_bytes = 0
        self._keep_headroom = keep_headroom
        self._entries: dict[int, _Entry] = {}
        self._other: OrderedDict[int, _Entry] = OrderedDict()
        self._const: OrderedDict[int, _Entry] = OrderedDict()

    def request(self, key: int, buffers: BufferSet, scratch_bytes: int = 0) -> Placement | None:
        """Pin the buffers of a function for a request, with ``scratch_bytes`` of memory beside them.

        Returns None, and changes nothing, when they can't fit beside what is pinned. Otherwise the caller carries
        out the placement, runs, and calls ``release`` with the same key and scratch_bytes.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(buffers)
        first = entry.first
        needed = buffers.size_upto[first] + scratch_bytes
        wanted = needed + buffers.largest_from[first] if self._keep_headroom else needed
        held = scratch_bytes if entry.pins else scratch_bytes + buffers.total_bytes
        shortfall = self.used_bytes + wanted - self.capacity_bytes
        evictions: tuple[Eviction, ...] = ()
        if shortfall > 0:
            if self._pinned_bytes + held > self.capacity_bytes:
                return None
            entry.pins += 1  # its own buffers are not to be evicted
            evictions = self._evict(shortfall)
            entry.pins -= 1
        entry.pins += 1
        self.used_bytes += needed
        self._pinned_bytes += held
        if first == 0:
            return Placement(0, 0, False, evictions) if evictions else HIT
        entry.first = 0
        return Placement(first, buffers.load_upto[first], entry.uses == 0, evictions)

    def release(self, key: int, scratch_bytes: int = 0) -> None:
        """End a request: its scratch is free, its buffers stay, most recently used."""
        entry = self._entries[key]
        entry.uses += 1
        entry.pins -= 1
        self.used_bytes -= scratch_bytes
        self._pinned_bytes -= scratch_bytes if entry.pins else scratch_bytes + entry.buffers.total_bytes
        lru = self._const if entry.uses > USES_OF_OTHER else self._other
        if entry.lru is lru:
            lru.move_to_end(key)
        else:
            if entry.lru is not None:
                del entry.lru[key]
            lru[key] = entry
            entry.lru = lru

    def resident_bytes(self, key: int) -> int:
        """Bytes of a function's buffers that are resident."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.buffers.total_bytes - entry.buffers.size_upto[entry.first]

    def _evict(self, shortfall: int) -> tuple[Eviction, ...]:
        """Evict oldest first until ``shortfall`` bytes are freed, or nothing is left."""
        evictions = []
        while shortfall > 0:
            key, entry = next(self._unpinned(), (-1, None))
            if entry is None:
                break
            size_upto, first = entry.buffers.size_upto, entry.first
            last = min(bisect_left(size_upto, size_upto[first] + shortfall), entry.buffers.n)
            freed = size_upto[last] - size_upto[first]
            shortfall -= freed
            self.used_bytes -= freed
            entry.first = last
            if last == entry.buffers.n and entry.lru is not None:
                del entry.lru[key]
                entry.lru = None
            evictions.append(Eviction(key, first, last))
        return tuple(evictions)

    def _unpinned(self) -> Iterator[tuple[int, _Entry]]:
        """What may be evicted, in order."""
        return ((k, e) for lru in (self._other, self._const) for k, e in lru.items() if not e.pins)

    def check(self) -> None:
        """Invariants; raises AssertionError. Linear in the number of functions: for tests."""
        resident = {k: e.buffers.total_bytes - e.buffers.size_upto[e.first] for k, e in self._entries.items()}
        pinned = sum(b for k, b in resident.items() if self._entries[k].pins)
        scratch = self._pinned_bytes - pinned
        assert scratch >= 0, "pinned bytes are wrong"
        assert self.used_bytes == sum(resident.values()) + scratch, "used bytes are wrong"
        assert self.used_bytes <= self.capacity_bytes, "memory exceeded"
        listed = [*self._other, *self._const]
        assert all(resident[k] or self._entries[k].buffers.n == 0 for k in listed), "an empty function is listed"
        assert {k for k, b in resident.items() if b and not self._entries[k].pins} <= set(listed)
