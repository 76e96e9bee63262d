"""Which buffers are resident in the memory of a device: the bookkeeping of a KaaS executor.

Simulator and replay use this very class to decide what is loaded and what is evicted; it moves no bytes itself.

The rule is that of the KaaS executor (Pemberton et al., arXiv 2212.08146): buffers lie in two LRU lists, "const" for
those used more than twice and "other" for the rest; room is made from the oldest of "other" and, when that is empty,
from the oldest of "const". A request needs all its buffers at once.

All buffers of a function are used together by every request, so an LRU list of buffers is always a sequence of
whole functions, oldest first, of which only the first may have lost some of its leading buffers. That is what is
stored: per function, how many leading buffers are missing. A hit costs O(1), an eviction O(log buffers), however
many buffers a function has. The difference to the KaaS executor: a request's own resident buffers are never evicted
to make room for the rest of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
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
    __slots__ = ("buffers", "first", "lru", "uses")

    def __init__(self, buffers: BufferSet) -> None:
        self.buffers = buffers
        self.first = buffers.n  # buffers[first:] are resident
        self.uses = 0
        self.lru: OrderedDict[int, _Entry] | None = None


class BufferCache:
    """Resident buffers of one device, by function. One request at a time, as an executor runs them.

    capacity_bytes: memory for buffers (device memory less contexts and margins).
    keep_headroom: make room for the largest buffer of a request even when it is resident already, as the KaaS
    executor does; usable capacity is then smaller by that buffer.
    """

    def __init__(self, capacity_bytes: int, *, keep_headroom: bool = False) -> None:
        self.capacity_bytes = capacity_bytes
        self.resident_bytes = 0
        self._keep_headroom = keep_headroom
        self._entries: dict[int, _Entry] = {}
        self._other: OrderedDict[int, _Entry] = OrderedDict()
        self._const: OrderedDict[int, _Entry] = OrderedDict()

    def request(self, key: int, buffers: BufferSet, scratch_bytes: int = 0) -> Placement | None:
        """Make the buffers of a function resident for a request that needs ``scratch_bytes`` of memory beside them.

        Returns what has to be done before it can run. They stay, most recently used, until a later request evicts
        them. Returns None, and changes nothing, when they don't fit into the capacity.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(buffers)
        first = entry.first
        missing = buffers.size_upto[first]
        shortfall = self.resident_bytes + missing + scratch_bytes - self.capacity_bytes
        if self._keep_headroom:
            shortfall += buffers.largest_from[first]
        evictions: tuple[Eviction, ...] = ()
        if shortfall > 0:
            if buffers.total_bytes + scratch_bytes > self.capacity_bytes:
                return None
            if entry.lru is not None:  # its own buffers are not to be evicted
                del entry.lru[key]
                entry.lru = None
            evictions = self._evict(shortfall)
        entry.uses += 1
        lru = self._const if entry.uses > USES_OF_OTHER else self._other
        if entry.lru is lru:
            lru.move_to_end(key)
        else:
            if entry.lru is not None:
                del entry.lru[key]
            lru[key] = entry
            entry.lru = lru
        if first == 0:
            return Placement(0, 0, False, evictions) if evictions else HIT
        entry.first = 0
        self.resident_bytes += missing
        return Placement(first, buffers.load_upto[first], entry.uses == 1, evictions)

    def resident_bytes_of(self, key: int) -> int:
        """Bytes of a function's buffers that are resident."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.buffers.total_bytes - entry.buffers.size_upto[entry.first]

    def _evict(self, shortfall: int) -> tuple[Eviction, ...]:
        """Evict oldest first until ``shortfall`` bytes are freed, or nothing is left."""
        evictions = []
        while shortfall > 0:
            lru = self._other or self._const
            if not lru:
                break
            key, entry = next(iter(lru.items()))
            size_upto, first = entry.buffers.size_upto, entry.first
            last = min(bisect_left(size_upto, size_upto[first] + shortfall), entry.buffers.n)
            freed = size_upto[last] - size_upto[first]
            shortfall -= freed
            self.resident_bytes -= freed
            entry.first = last
            if last == entry.buffers.n:
                del lru[key]
                entry.lru = None
            evictions.append(Eviction(key, first, last))
        return tuple(evictions)

    def check(self) -> None:
        """Invariants; raises AssertionError. Linear in the number of functions: for tests."""
        resident = {key: self.resident_bytes_of(key) for key in self._entries}
        listed = [*self._other, *self._const]
        assert self.resident_bytes == sum(resident.values()), "resident bytes are wrong"
        assert self.resident_bytes <= self.capacity_bytes, "memory exceeded"
        assert len(listed) == len(set(listed)), "a function is listed twice"
        assert {key for key, n_bytes in resident.items() if n_bytes} <= set(listed), "a function can't be evicted"
