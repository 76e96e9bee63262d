"""What a node keeps of the constants of functions, nearer than the place they come from: a cache for each tier.

Host memory has two parts that know nothing of each other, as in Linux: a pool of pinned memory and, behind it, pageable
memory, such as the page cache. Where constants come from a remote store, the local disk is a third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sim.models.buffers import BufferSet
from sim.models.memory import BufferCache
from sim.models.tiers import NEAREST_FIRST, Tier


class Lost(NamedTuple):
    """The constants of a function have no place in this tier any more."""

    tier: Tier
    function: int


class Fetch(NamedTuple):
    """Where a function's constants come from, and who lost a place to make room for the copies that are kept."""

    source: Tier
    lost: tuple[Lost, ...]


class HostMemory:
    """The constants that a node has at hand, whole functions at a time.

    constants_bytes: by function. capacities: bytes of each tier that keeps copies, all nearer than ``home``, where the
    constants of every function are for good. eviction: the strategy of each tier, see ``sim.models.eviction``.
    Raises ScenarioError when there is none of this name, and ValueError for a tier that can't keep copies.
    """

    def __init__(
        self, constants_bytes: Sequence[int], capacities: Mapping[Tier, int], home: Tier, eviction: str = "lru"
    ) -> None:
        hosts = NEAREST_FIRST[NEAREST_FIRST.index(Tier.PINNED) : NEAREST_FIRST.index(home)]
        if not set(capacities) <= set(hosts):
            raise ValueError(f"{', '.join(capacities)} can't all keep copies of what is in {home.value}")
        self._home = home
        self._caches = [(t, BufferCache(capacities[t], eviction=eviction)) for t in hosts if t in capacities]
        of_size = {n: BufferSet([n], [n]) for n in set(constants_bytes) if n}
        self._sets = [of_size.get(n) for n in constants_bytes]

    def source_of(self, function: int) -> Tier:
        """The nearest tier that has the constants of a function; the device itself when it has no constants."""
        if self._sets[function] is None:
            return Tier.DEVICE
        return next((tier for tier, cache in self._caches if cache.resident_bytes_of(function)), self._home)

    def fetch(self, function: int, to: Tier = Tier.DEVICE) -> Fetch:
        """Bring the constants of a function nearer: to a device, or, ahead of a request, to a tier of the host.

        They pass every tier on their way, and stay in each that they fit into. The tier that they come from counts it
        as a use; tiers beyond it don't hear of it.
        """
        source = self.source_of(function)
        constants = self._sets[function]
        lost: list[Lost] = []
        if constants is not None:
            for tier, cache in self._caches:
                if NEAREST_FIRST.index(to) <= NEAREST_FIRST.index(tier) <= NEAREST_FIRST.index(source):
                    placement = cache.request(function, constants)
                    lost += [Lost(tier, e.key) for e in placement.evictions] if placement else []
        return Fetch(source, tuple(lost))
