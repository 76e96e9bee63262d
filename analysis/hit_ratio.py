"""How much memory for constants would give how many hits: the curve of a trace, from one pass over its arrivals.

A request hits in a cache that evicts the least recently used function first, exactly when its reuse distance is no
larger than the cache: the bytes of all functions that were requested since it was last, itself included (Mattson,
Gecsei, Slutz and Traiger, Evaluation Techniques for Storage Hierarchies, IBM Systems Journal 9(2), 1970). Such caches
of any size are thus known from the distances of one pass. FaasCache sizes servers by this curve (Fuerst and Sharma,
FaasCache: Keeping Serverless Computing Alive with Greedy-Dual Caching, ASPLOS 2021).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.metrics import Floats

MOST_POINTS = 1_000
_TOLD = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
FIRST = -1  # the distance of a first request, which misses in any cache


class Stack:
    """Functions in order of their last request, with their sizes: a Fenwick tree over places that only grow.

    size_bytes: of each function. total_bytes: of those that were requested. A request takes O(log n) for n functions:
    when places run out, those that are in use are numbered anew (Bennett and Kruskal, LRU Stack Processing, IBM Journal
    of Research and Development 19(4), 1975).
    """

    def __init__(self, size_bytes: Sequence[int]) -> None:
        self._size_bytes = size_bytes
        self._n_places = max(2 * len(size_bytes), 16)
        self._place: dict[int, int] = {}  # from 1, of functions that were requested
        self._tree = [0] * (self._n_places + 1)
        self._last = 0
        self.total_bytes = 0

    def request(self, function: int) -> int:
        """The reuse distance of a request in bytes, or FIRST; the function is now the most recent."""
        size = self._size_bytes[function]
        place = self._place.get(function)
        if place is None:
            distance = FIRST
            self.total_bytes += size
        elif place == self._last:
            return size
        else:
            distance = self.total_bytes - self._below(place)
            self._add(place, -size)
            del self._place[function]  # so that it is in order of places
        if self._last == self._n_places:
            self._renumber()
        self._last += 1
        self._place[function] = self._last
        self._add(self._last, size)
        return distance

    def _below(self, place: int) -> int:
        total, at = 0, place - 1
        while at:
            total += self._tree[at]
            at &= at - 1
        return total

    def _add(self, place: int, size: int) -> None:
        while place <= self._n_places:
            self._tree[place] += size
            place += place & -place

    def _renumber(self) -> None:
        self._tree = [0] * (self._n_places + 1)
        for place, function in enumerate(self._place, 1):
            self._place[function] = place
            self._add(place, self._size_bytes[function])
        self._last = len(self._place)


@dataclass(frozen=True)
class HitRatios:
    """Share of requests that hit, by memory. distances_bytes: of those that can hit, ascending; int64.

    n: all requests. working_set_bytes: of all functions that were requested: more memory has no use.
    """

    distances_bytes: npt.NDArray[np.int64]
    n: int
    working_set_bytes: int

    @property
    def most(self) -> float:
        """Share that hits when nothing is ever evicted."""
        return len(self.distances_bytes) / self.n if self.n else 0.0

    def at(self, memory_bytes: npt.ArrayLike) -> Floats:
        """Share that hits in so much memory."""
        hits = np.searchsorted(self.distances_bytes, memory_bytes, side="right")
        share: Floats = hits / max(self.n, 1)
        return share

    def needed_bytes(self, share: float) -> int | None:
        """The least memory in which so large a share hits; None where no memory does."""
        hits = int(np.ceil(share * self.n - 1e-9))
        if hits > len(self.distances_bytes):
            return None
        return int(self.distances_bytes[hits - 1]) if hits else 0

    def points(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Memory and share where the curve steps up, ascending; of more than MOST_POINTS some, evenly in the share."""
        memory_bytes = np.unique(self.distances_bytes)
        if len(memory_bytes) > MOST_POINTS:
            ranks = np.linspace(0, len(self.distances_bytes) - 1, MOST_POINTS).round().astype(np.int64)
            memory_bytes = np.unique(self.distances_bytes[ranks])
        return memory_bytes, self.at(memory_bytes)

    def as_csv(self) -> str:
        """The points, with a head."""
        memory_bytes, share = self.points()
        rows = [f"{size},{hits}" for size, hits in zip(memory_bytes.tolist(), share.tolist(), strict=True)]
        return "\n".join(["memory_bytes,hit_frac", *rows])

    def as_text(self) -> str:
        """What memory some shares need, of all requests, and what is possible at all."""
        shares = [share for share in _TOLD if share < self.most]
        rows = [(f"{100 * share:g}", f"{(self.needed_bytes(share) or 0) / 1e9:.4g}") for share in shares]
        rows.append((f"{100 * self.most:.2f}", f"{(self.needed_bytes(self.most) or 0) / 1e9:.4g}"))
        lines = [f"{hits:>6}  {memory:>10}" for hits, memory in [("hits %", "memory GB"), *rows]]
        told = f"All functions together have {self.working_set_bytes / 1e9:.4g} GB; {self.n:,} requests"
        return "\n".join([*lines, "", told])


def hit_ratios(requests: Iterable[npt.NDArray[np.int32]], size_bytes: Sequence[int]) -> HitRatios:
    """The curve of requests, which come as arrays of functions in order. size_bytes: of each function.

    A cache that is smaller than a function has the curve's hits only if it is emptied for that function.
    """
    stack = Stack(size_bytes)
    found = array("q")
    for functions in requests:
        found.extend(map(stack.request, functions.tolist()))
    distances = np.array(found, dtype=np.int64)
    again = distances >= 0
    return HitRatios(np.sort(distances[again]), len(distances), stack.total_bytes)
