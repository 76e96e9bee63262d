"""What a cache and its eviction strategy know of each other."""

from __future__ import annotations

from typing import ClassVar, Protocol

from sim.models.buffers import BufferSet


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
