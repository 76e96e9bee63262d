"""Eviction by lists in order of last use."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from sim.models.eviction.strategy import CachedFunction

# Uses after which a buffer counts as constant (KaaS executor: "const if useCount > 2").
USES_OF_OTHER = 2


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
