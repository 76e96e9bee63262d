"""Eviction strategies, by name: which function loses its buffers when a request needs room in a BufferCache.

The cache decides how many buffers a victim loses, always the leading ones; its strategy ranks whole functions.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar, Protocol

from sim.errors import ScenarioError
from sim.models.buffers import BufferSet
from sim.settings import unknown

# Uses after which a buffer counts as constant (KaaS executor: "const if useCount > 2").
USES_OF_OTHER = 2


class CachedFunction:
    """A function, as a cache knows it from its first request on.

    ``buffers[first:]`` are resident. uses: its requests, those before it was last evicted included. pins: what needs
    its buffers to stay.
    """

    __slots__ = ("buffers", "first", "key", "pins", "uses")

    def __init__(self, key: int, buffers: BufferSet) -> None:
        self.key = key
        self.buffers = buffers
        self.first = buffers.n
        self.pins = 0
        self.uses = 0


class Strategy(Protocol):
    """What one cache asks. It ranks the functions that were used and are not gone since."""

    name: ClassVar[str]

    def used(self, entry: CachedFunction) -> None:
        """A request, which ``entry.uses`` counts already, has got all its buffers. Called for every invocation."""

    def victim(self) -> CachedFunction | None:
        """Who is next to lose buffers, of those that are not pinned; None if there is nobody.

        It keeps its rank as long as it has buffers left.
        """

    def gone(self, entry: CachedFunction) -> None:
        """A function has lost the last of its buffers."""


class Lru:
    """The least recently used first."""

    name: ClassVar[str] = "lru"

    def __init__(self) -> None:
        self._lru: OrderedDict[int, CachedFunction] = OrderedDict()

    def used(self, entry: CachedFunction) -> None:
        """It goes to the end of the list."""
        self._lru[entry.key] = entry
        self._lru.move_to_end(entry.key)

    def victim(self) -> CachedFunction | None:
        """The oldest."""
        for entry in self._lru.values():
            if not entry.pins:
                return entry
        return None

    def gone(self, entry: CachedFunction) -> None:
        """It leaves the list."""
        del self._lru[entry.key]


class Kaas:
    """The KaaS executor's two LRU lists (Pemberton et al., arXiv 2212.08146).

    "const" has the functions used more than USES_OF_OTHER times, "other" the rest.
    """

    name: ClassVar[str] = "kaas"

    def __init__(self) -> None:
        self._other: OrderedDict[int, CachedFunction] = OrderedDict()
        self._const: OrderedDict[int, CachedFunction] = OrderedDict()

    def used(self, entry: CachedFunction) -> None:
        """It goes to the end of its list."""
        key, const = entry.key, self._const
        if key in const:  # as nearly always, so it is asked first
            const.move_to_end(key)
        elif entry.uses > USES_OF_OTHER:
            self._other.pop(key, None)  # it may have been evicted before
            const[key] = entry
        else:
            self._other[key] = entry
            self._other.move_to_end(key)

    def victim(self) -> CachedFunction | None:
        """The oldest of "other" or, when there is none, the oldest of "const"."""
        for lru in (self._other, self._const):
            for entry in lru.values():
                if not entry.pins:
                    return entry
        return None

    def gone(self, entry: CachedFunction) -> None:
        """It leaves its list."""
        lru = self._const if entry.key in self._const else self._other
        del lru[entry.key]


_STRATEGIES: dict[str, type[Strategy]] = {strategy.name: strategy for strategy in (Kaas, Lru)}


def known() -> list[str]:
    """The names of the strategies, sorted."""
    return sorted(_STRATEGIES)


def make_strategy(name: str) -> Strategy:
    """The strategy of this name, for one cache. Raises ScenarioError for a name that isn't known."""
    if name not in _STRATEGIES:
        raise ScenarioError(unknown("eviction strategy", name, known()))
    return _STRATEGIES[name]()
