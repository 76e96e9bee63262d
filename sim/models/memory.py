"""Which buffers are resident in the memory of a device: the bookkeeping of a KaaS executor.

Simulator and replay use this very class to decide what is loaded and what is evicted; it moves no bytes itself.

A request needs all its buffers at once. Who loses theirs to make room is the choice of a strategy
(``sim.models.eviction``), by default that of the KaaS executor (Pemberton et al., arXiv 2212.08146).

All buffers of a function are used together by every request, so an LRU list of buffers is always a sequence of
whole functions, oldest first, of which only the first may have lost some of its leading buffers. That is what is
stored: per function, how many leading buffers are missing. A hit costs O(1), an eviction O(log buffers), however
many buffers a function has. The difference to the KaaS executor: a request's own resident buffers are never evicted
to make room for the rest of them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from sim.models.buffers import BufferSet
from sim.models.eviction import CachedFunction, Kaas, make_strategy


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


class BufferCache:
    """Resident buffers of one device, by function. One request at a time, as an executor runs them.

    capacity_bytes: memory for buffers (device memory less contexts and margins).
    keep_headroom: make room for the largest buffer of a request even when it is resident already, as the KaaS
    executor does; usable capacity is then smaller by that buffer.
    eviction: the name of its strategy. Raises ScenarioError when there is none of this name.
    """

    def __init__(self, capacity_bytes: int, *, keep_headroom: bool = False, eviction: str = Kaas.name) -> None:
        self.capacity_bytes = capacity_bytes
        self.resident_bytes = 0
        self._keep_headroom = keep_headroom
        self._entries: dict[int, CachedFunction] = {}
        self._pinned: dict[int, CachedFunction] = {}
        self._strategy = make_strategy(eviction)
        self._used = self._strategy.used

    def request(self, key: int, buffers: BufferSet, scratch_bytes: int = 0) -> Placement | None:
        """Make the buffers of a function resident for a request that needs ``scratch_bytes`` of memory beside them.

        Returns what has to be done before it can run. They stay until a later request evicts them. Returns None, and
        changes nothing, when they don't fit into the capacity beside what is pinned.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = CachedFunction(key, buffers)
        first = entry.first
        missing = buffers.size_upto[first]
        shortfall = self.resident_bytes + missing + scratch_bytes - self.capacity_bytes
        if self._keep_headroom:
            shortfall += buffers.largest_from[first]
        evictions: tuple[Eviction, ...] = ()
        if shortfall > 0:
            pinned_bytes = self._pinned_beside(entry) if self._pinned else 0
            if buffers.total_bytes + scratch_bytes + pinned_bytes > self.capacity_bytes:
                return None
            entry.pins += 1
            evictions = self._evict(shortfall)
            entry.pins -= 1
        entry.uses += 1
        if first:
            entry.first = 0
            self.resident_bytes += missing
        self._used(entry)
        if first:
            return Placement(first, buffers.load_upto[first], entry.uses == 1, evictions)
        return Placement(0, 0, False, evictions) if evictions else HIT

    def pin(self, key: int) -> None:
        """What is resident of a function has to stay, until as many ``unpin``."""
        entry = self._entries[key]
        entry.pins += 1
        self._pinned[key] = entry

    def unpin(self, key: int) -> None:
        """Take a ``pin`` back."""
        entry = self._entries[key]
        entry.pins -= 1
        if not entry.pins:
            del self._pinned[key]

    def has(self, key: int) -> bool:
        """Whether all buffers of a function are resident."""
        entry = self._entries.get(key)
        return entry is not None and entry.first == 0

    def is_pinned(self, key: int) -> bool:
        """Whether the buffers of a function have to stay."""
        return key in self._pinned

    def evict(self, key: int) -> Eviction | None:
        """Evict all buffers of a function that is not pinned; None when none was resident, or it is."""
        entry = self._entries.get(key)
        if entry is None or entry.pins or entry.first == entry.buffers.n:
            return None
        eviction = Eviction(key, entry.first, entry.buffers.n)
        self.resident_bytes -= self.resident_bytes_of(key)
        entry.first = entry.buffers.n
        self._strategy.gone(entry)
        return eviction

    def resident_bytes_of(self, key: int) -> int:
        """Bytes of a function's buffers that are resident."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.buffers.total_bytes - entry.buffers.size_upto[entry.first]

    def _pinned_beside(self, entry: CachedFunction) -> int:
        """Bytes of other functions that have to stay."""
        return sum(e.buffers.total_bytes for e in self._pinned.values() if e is not entry)

    def _evict(self, shortfall: int) -> tuple[Eviction, ...]:
        """Evict until ``shortfall`` bytes are freed, or nothing is left but what is pinned."""
        evictions = []
        while shortfall > 0:
            victim = self._strategy.victim()
            if victim is None:
                break
            size_upto, first, n = victim.buffers.size_upto, victim.first, victim.buffers.n
            last = bisect_left(size_upto, size_upto[first] + shortfall, first, n)
            freed = size_upto[last] - size_upto[first]
            shortfall -= freed
            self.resident_bytes -= freed
            victim.first = last
            if last == n:
                self._strategy.gone(victim)
            evictions.append(Eviction(victim.key, first, last))
        return tuple(evictions)

    def check(self) -> None:
        """Invariants; raises AssertionError. Linear in the number of functions: for tests."""
        resident = sum(self.resident_bytes_of(key) for key in self._entries)
        assert self.resident_bytes == resident, "resident bytes are wrong"
        assert self.resident_bytes <= self.capacity_bytes, "memory exceeded"
