"""Eviction by a rank that follows from how often a function was used, what it takes up, and what it costs to reload.

A rank is fixed at each use, and never falls as long as its function is there. So the heap needs no entry for a use: an
entry that is out of date is lower than it should be, and is put right when it comes to the top. A use costs O(1), and
a victim O(log functions), in the mean over those that were used since.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from heapq import heapify, heappop, heappush, heapreplace
from typing import ClassVar

from sim.models.eviction.strategy import CachedFunction

FEW = 16


class Ranked(ABC):
    """The lowest rank first, of equals the least recently used. clock: the rank of the last victim, 0 before any."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, int]] = []  # rank, turn of use, turn when it came, function
        self._present: dict[int, _Present] = {}
        self._turn = 0
        self.clock = 0.0

    @abstractmethod
    def rank(self, entry: CachedFunction, n_uses: int) -> float:
        """The rank of a function that is used now, for the n-th time since it came."""

    def used(self, entry: CachedFunction) -> None:
        """It gets a rank, and is the most recently used."""
        self._turn += 1
        present = self._present.get(entry.key)
        if present is None:
            present = self._present[entry.key] = _Present(entry, self._turn)
        present.n_uses += 1
        present.rank = self.rank(entry, present.n_uses)
        present.turn = self._turn
        if present.n_uses == 1:
            heappush(self._heap, (present.rank, present.turn, present.came, entry.key))

    def victim(self) -> CachedFunction | None:
        """The lowest that is not pinned."""
        heap, pinned = self._heap, []
        found = None
        while heap and found is None:
            _, turn, came, key = heap[0]
            present = self._present.get(key)
            if present is None or present.came != came:  # it is gone
                heappop(heap)
            elif present.turn != turn:
                heapreplace(heap, (present.rank, present.turn, came, key))
            elif present.entry.pins:
                pinned.append(heappop(heap))
            else:
                found = present
        for entry in pinned:
            heappush(heap, entry)
        if found is None:
            return None
        self.clock = found.rank
        return found.entry

    def gone(self, entry: CachedFunction) -> None:
        """It has no rank any more."""
        del self._present[entry.key]
        if len(self._heap) > 2 * len(self._present) + FEW:  # too many that are gone below the top
            self._heap = [(p.rank, p.turn, p.came, key) for key, p in self._present.items()]
            heapify(self._heap)


class _Present:
    """A function that is there: when it came and was last used, in turns, and how often since it came."""

    __slots__ = ("came", "entry", "n_uses", "rank", "turn")

    def __init__(self, entry: CachedFunction, came: int) -> None:
        self.entry = entry
        self.came = self.turn = came
        self.n_uses = 0
        self.rank = 0.0


class Lfu(Ranked):
    """The least frequently used since it came first: in-cache LFU (Podlipnig and Boeszoermenyi, A Survey of Web Cache
    Replacement Strategies, ACM Computing Surveys 35(4), 2003)."""

    name: ClassVar[str] = "lfu"

    def rank(self, entry: CachedFunction, n_uses: int) -> float:
        """Its uses since it came."""
        return n_uses


class GreedyDualSize(Ranked):
    """What is cheap to load again, for the room that it takes, and was not used for long, first (Cao and Irani,
    Cost-Aware WWW Proxy Caching Algorithms, USITS 1997).

    Rank = clock + cost / size, where the clock is the rank of the last victim. The cost are the bytes that are copied
    when it comes again, which a link of one rate makes a time; size is all memory that it takes, with what is made on
    the device.
    """

    name: ClassVar[str] = "gds"

    def rank(self, entry: CachedFunction, n_uses: int) -> float:
        """Clock + cost / size."""
        buffers = entry.buffers
        return self.clock + self.weight(n_uses) * buffers.load_upto[-1] / max(buffers.total_bytes, 1)

    def weight(self, n_uses: int) -> float:
        """What the cost counts."""
        return 1.0


class GreedyDualSizeFrequency(GreedyDualSize):
    """The same with the cost multiplied by the uses since it came (Cherkasova, HP Labs TR HPL-98-69R1, 1998), as
    FaasCache keeps functions alive (Fuerst and Sharma, ASPLOS 2021)."""

    name: ClassVar[str] = "gdsf"

    def weight(self, n_uses: int) -> float:
        """The cost counts at each use."""
        return n_uses
