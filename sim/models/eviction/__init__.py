"""Eviction strategies, by name: which function loses its buffers when a request needs room in a BufferCache.

The cache decides how many buffers a victim loses, always the leading ones; its strategy ranks whole functions.
"""

from __future__ import annotations

from sim.errors import ScenarioError
from sim.models.eviction.lists import Kaas, Lru
from sim.models.eviction.ranked import GreedyDualSize, GreedyDualSizeFrequency, Lfu
from sim.models.eviction.strategy import CachedFunction, Strategy
from sim.settings import unknown

__all__ = ["CachedFunction", "Kaas", "Strategy", "known", "make_strategy"]

_KINDS: tuple[type[Strategy], ...] = (Kaas, Lru, Lfu, GreedyDualSize, GreedyDualSizeFrequency)
_STRATEGIES = {kind.name: kind for kind in _KINDS}


def known() -> list[str]:
    """The names of the strategies, sorted."""
    return sorted(_STRATEGIES)


def make_strategy(name: str) -> Strategy:
    """The strategy of this name, for one cache. Raises ScenarioError for a name that isn't known."""
    if name not in _STRATEGIES:
        raise ScenarioError(unknown("eviction strategy", name, known()))
    return _STRATEGIES[name]()
