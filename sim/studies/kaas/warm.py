"""Loads that begin on a warm fleet, as benchmarks begin theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sim.domain import ArrivalChunk, ClosedTrace, Trace
from sim.streams import Stream, generator


class Warmed:
    """A load that begins when every client has had the replies to ``n_requests``, which are sent at once at 0 s.

    ``begun_at_s`` is that instant, after which the load's own begins at 0 s: the clients of KaaS's benchmarks send 2
    requests a GPU, and a barrier releases all of them together (NathanTP/kaasBenchmarks). See ``ClosedTrace``.
    """

    def __init__(self, load: Trace, n_requests: int, seed: int) -> None:
        self._load = load
        self._loop = load if isinstance(load, ClosedTrace) else None
        self._n_requests = n_requests
        self._seed = seed
        self.source = load.source
        self.functions = load.functions
        self.duration_s = load.duration_s
        self.n_arrivals = load.n_arrivals + n_requests * len(load.functions)
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.begun_at_s = float("inf")
        self._n_awaited = self._n_requests * len(self.functions)
        if self._loop is not None:
            self._loop.reset()

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The requests of all clients that warm the fleet, in turn."""
        n = len(self.functions)
        yield ArrivalChunk(
            np.zeros(n * self._n_requests),
            np.tile(np.arange(n, dtype=np.int32), self._n_requests),
            np.ones(n * self._n_requests),
        )

    def again(self, now_s: float, function: int) -> Sequence[tuple[float, int]]:
        """The last reply that is awaited sets off the load; later ones what the load says."""
        if self._n_awaited:
            self._n_awaited -= 1
            return [] if self._n_awaited else self._begin(now_s)
        if self._loop is None:
            return []
        later = self._loop.again(now_s - self.begun_at_s, function)
        return [(max(now_s, self.begun_at_s + at_s), f) for at_s, f in later]  # the difference may round down

    def _begin(self, now_s: float) -> list[tuple[float, int]]:
        """What comes at the same instant comes in random order: the barrier releases processes, not a list of them."""
        self.begun_at_s = now_s
        rng = generator(self._seed, Stream.ORDER)
        later: list[tuple[float, int]] = []
        for chunk in self._load.chunks():
            order = np.lexsort((rng.random(len(chunk.at_s)), chunk.at_s))
            later += zip((now_s + chunk.at_s[order]).tolist(), chunk.function[order].tolist(), strict=True)
        return later
