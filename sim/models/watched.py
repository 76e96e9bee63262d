"""A BufferCache that tells of what comes and goes, for those who want to see what is in device memory when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sim.models.buffers import BufferSet
from sim.models.eviction import Kaas
from sim.models.memory import HIT, BufferCache, Eviction, Placement

# Called with (function, bytes, reason): so many bytes of its buffers came, with an empty reason, or left because of it.
# Those that came last leave first. The bytes of all that came, less those that left, are ``resident_bytes``.
Tell: TypeAlias = Callable[[int, int, str], None]

EVICTED = "evicted"  # to make room
ORDERED = "ordered"  # by the policy


class WatchedCache(BufferCache):
    """See BufferCache; ``tell`` is called where it is not as a hit finds it."""

    def __init__(
        self, capacity_bytes: int, tell: Tell, *, keep_headroom: bool = False, eviction: str = Kaas.name
    ) -> None:
        super().__init__(capacity_bytes, keep_headroom=keep_headroom, eviction=eviction)
        self._tell = tell

    def request(self, key: int, buffers: BufferSet, scratch_bytes: int = 0) -> Placement | None:
        """See BufferCache."""
        placement = super().request(key, buffers, scratch_bytes)
        if placement is not None and placement is not HIT:
            for eviction in placement.evictions:
                self._tell_left(eviction, EVICTED)
            if loaded_bytes := buffers.size_upto[placement.n_loaded]:
                self._tell(key, loaded_bytes, "")
        return placement

    def evict(self, key: int) -> Eviction | None:
        """See BufferCache."""
        eviction = super().evict(key)
        if eviction is not None:
            self._tell_left(eviction, ORDERED)
        return eviction

    def _tell_left(self, eviction: Eviction, reason: str) -> None:
        size_upto = self._entries[eviction.key].buffers.size_upto
        self._tell(eviction.key, size_upto[eviction.last] - size_upto[eviction.first], reason)
