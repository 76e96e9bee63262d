"""Closed loops: a client sends its next request when a reply has come. A fleet that is slow gets less to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import ArrivalChunk
from sim.errors import ScenarioError
from sim.loads.clients import MOST_REQUESTS, Clients, Load, LoadTrace, chunk
from sim.settings import require


class ClosedLoop(LoadTrace):
    """Clients that send ``outstanding`` requests each at 0 s, and ``group`` more after every ``group`` replies.

    A client goes on while the reply comes before ``duration_s``, or while it has sent fewer than ``least`` requests.
    With ``outstanding == group`` that is one query of several samples at a time: the next is sent when all are done.
    """

    def __init__(
        self, load: Load, clients: Clients, outstanding: int, *, group: int = 1, duration_s: float, least: int = 0
    ) -> None:
        super().__init__(
            load, clients, duration_s, clients.n * max(outstanding, least), at_once=clients.n * outstanding
        )
        self._outstanding = outstanding
        self._group = group
        self._least = least
        self.reset()

    def reset(self) -> None:
        """Begin again; see ``ClosedTrace``."""
        n = len(self.functions)
        self._n_sent = [self._outstanding] * n
        self._n_replies = [0] * n
        self._n_all = sum(self._n_sent)

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The requests that wait for no reply, by client."""
        function = np.repeat(np.arange(len(self.functions)), self._outstanding)
        yield chunk(np.zeros(len(function)), function)

    def again(self, now_s: float, function: int) -> Sequence[tuple[float, int]]:
        """What a reply sets off; see ``ClosedTrace``."""
        self._n_replies[function] += 1
        if self._n_replies[function] % self._group:
            return ()
        if now_s >= self.duration_s and self._n_sent[function] >= self._least:
            return ()
        self._n_sent[function] += self._group
        self._n_all += self._group
        if self._n_all > MOST_REQUESTS:
            raise ScenarioError(f"the load has no end within {MOST_REQUESTS:,} requests, which is all that it may have")
        return [(now_s, function)] * self._group


@dataclass(frozen=True)
class Closed(Load):
    """Each client keeps ``outstanding`` requests in flight for ``duration`` seconds, and then waits for the rest."""

    outstanding: int = 8
    duration: float = 300.0

    name: ClassVar[str] = "closed"
    source: ClassVar[str] = "KaaS, throughput test: 2 requests a GPU, 300 s (Pemberton et al., arXiv 2212.08146)"

    def __post_init__(self) -> None:
        require(self.outstanding >= 1, "outstanding", self.outstanding, "at least 1")
        require(0 < self.duration < float("inf"), "duration", self.duration, "a finite number above 0")

    def trace(self, clients: Clients) -> ClosedLoop:
        """See ``Load``."""
        return ClosedLoop(self, clients, self.outstanding, duration_s=self.duration)


@dataclass(frozen=True)
class NShot(Load):
    """Each client sends ``n`` requests, one after another."""

    n: int = 64

    name: ClassVar[str] = "nshot"
    source: ClassVar[str] = "KaaS, isolated latency: 64 synchronous requests (Pemberton et al., arXiv 2212.08146)"

    def __post_init__(self) -> None:
        require(self.n >= 1, "n", self.n, "at least 1")

    def trace(self, clients: Clients) -> ClosedLoop:
        """See ``Load``."""
        return ClosedLoop(self, clients, 1, duration_s=0.0, least=self.n)
