"""The scenarios of MLPerf inference as loads, and what a run of each has shown.

The rules are those of inference_rules.adoc and LoadGen's mlperf.conf. Latency counts from the scheduled arrival; a
query without a reply is late. LoadGen draws its schedule by a Mersenne Twister with the published seed
18209322760996052031 (samples: 14771362308971278857, library: 1780908523862526354); here the arrivals come from the
scenario's seed, and samples don't differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk
from sim.loads.clients import LONGEST_S, Clients, Load, LoadTrace, chunk
from sim.loads.closed import ClosedLoop
from sim.loads.early_stopping import late_allowed
from sim.loads.open import PoissonTrace, check_rate, equal_shares
from sim.settings import require

Floats = npt.NDArray[np.float64]

BOUNDS_S = {"resnet50": 0.015, "bert": 0.130, "ssd-large": 0.100, "retinanet": 0.100, "dlrm": 0.060}  # mlperf.conf
BOUND_S = 0.010  # of every other workload, mlperf.conf
SAMPLES = {"bert": 10_833}  # of the one query of Offline: the size of the data set where that is less, mlperf.conf
SAMPLES_ELSE = 24_576
_IN_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run has shown: ``value`` is the scenario's figure, of what ``metric`` says. It counts if it is valid.

    value: None where it can't be told. n_queries: that it rests on. reasons: why it isn't valid.
    """

    scenario: str
    metric: str
    value: float | None
    n_queries: int
    reasons: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether nothing speaks against the figure."""
        return not self.reasons

    def __str__(self) -> str:
        value = "none" if self.value is None else f"{self.value:.4g}"
        head = f"MLPerf {self.scenario} {'VALID' if self.valid else 'INVALID'}: {value} {self.metric}"
        count = "1 query" if self.n_queries == 1 else f"{self.n_queries:,} queries"
        return "; ".join([f"{head}, of {count}", *self.reasons])


class MLPerf(Load):
    """Base of the scenarios. ``scenario`` is MLPerf's name."""

    scenario: ClassVar[str]
    source: ClassVar[str] = "MLPerf inference rules, LoadGen (mlcommons/inference)"

    def result(
        self, graph: str, function: npt.NDArray[np.int32], arrival_at_s: Floats, replied_at_s: Floats
    ) -> Verdict:
        """What a run has shown, from its requests as equally long columns; replied_at_s: inf where no reply came."""
        raise NotImplementedError


class _Stream(MLPerf):
    """A client sends its next query when all samples of the last are done."""

    samples: ClassVar[int]
    percentile: ClassVar[float]
    duration: float
    min_queries: int

    def __post_init__(self) -> None:
        _check(self.duration, self.min_queries)

    def trace(self, clients: Clients) -> ClosedLoop:
        """See ``Load``."""
        least = self.samples * self.min_queries
        return ClosedLoop(self, clients, self.samples, group=self.samples, duration_s=self.duration, least=least)

    def result(
        self, graph: str, function: npt.NDArray[np.int32], arrival_at_s: Floats, replied_at_s: Floats
    ) -> Verdict:
        """The early-stopping estimate of the percentile: of the late ones that are allowed, the fastest.

        A query lasts until its slowest sample is done. The rules want at least one that may be late.
        """
        order = np.lexsort((arrival_at_s, function))
        function, arrival_at_s, replied_at_s = function[order], arrival_at_s[order], replied_at_s[order]
        begins = (np.diff(function, prepend=-1) != 0) | (np.diff(arrival_at_s, prepend=-1.0) != 0)
        latency_s = np.maximum.reduceat(replied_at_s - arrival_at_s, np.flatnonzero(begins))
        n = len(latency_s)
        metric = f"s, {100 * self.percentile:g}th percentile latency by early stopping"
        n_late = late_allowed(n, self.percentile)
        if n_late < 1:
            return Verdict(self.scenario, metric, None, n, ("too few queries for early stopping",))
        estimate_s = float(np.sort(latency_s)[-n_late])
        if np.isinf(estimate_s):
            return Verdict(self.scenario, metric, None, n, ("too many queries had no reply",))
        return Verdict(self.scenario, metric, estimate_s, n, ())


@dataclass(frozen=True)
class SingleStream(_Stream):
    """Each client sends one sample, and the next when it is done, for ``duration`` s and ``min_queries``."""

    duration: float = 600.0
    min_queries: int = 64  # the least that early stopping can judge: n(1) at .9

    name: ClassVar[str] = "single-stream"
    scenario: ClassVar[str] = "SingleStream"
    samples: ClassVar[int] = 1
    percentile: ClassVar[float] = 0.9


@dataclass(frozen=True)
class MultiStream(_Stream):
    """Each client sends 8 samples, and the next 8 when all are done, for ``duration`` s and ``min_queries``."""

    duration: float = 600.0
    min_queries: int = 662  # mlperf.conf; n(1) at .99

    name: ClassVar[str] = "multi-stream"
    scenario: ClassVar[str] = "MultiStream"
    samples: ClassVar[int] = 8
    percentile: ClassVar[float] = 0.99


@dataclass(frozen=True)
class Server(MLPerf):
    """Poisson queries at ``rate`` a second, of all clients together, for ``duration`` s and ``min_queries`` in all.

    99 % must be done within ``bound`` seconds; by default that is MLPerf's for a workload of the graph's name.
    """

    rate: float
    duration: float = 600.0
    min_queries: int = 459  # the least that early stopping can judge: n(0) at .99
    bound: float | None = None

    name: ClassVar[str] = "server"
    scenario: ClassVar[str] = "Server"
    percentile: ClassVar[float] = 0.99

    def __post_init__(self) -> None:
        check_rate(self.rate)
        _check(self.duration, self.min_queries)
        least = self.min_queries / LONGEST_S
        require(self.rate >= least, "rate", self.rate, f"at least {least:.3g}, or {self.min_queries} take a month")
        require(self.bound is None or self.bound > 0, "bound", self.bound, "above 0")

    def trace(self, clients: Clients) -> PoissonTrace:
        """See ``Load``."""
        rates_per_s = equal_shares(self.rate, clients)
        return PoissonTrace(self, clients, rates_per_s, self.duration, self.min_queries)

    def result(
        self, graph: str, function: npt.NDArray[np.int32], arrival_at_s: Floats, replied_at_s: Floats
    ) -> Verdict:
        """The rate; valid when as many queries as these show that 99 % are in time."""
        bound_s = BOUNDS_S.get(graph, BOUND_S) if self.bound is None else self.bound
        n = len(function)
        n_late = int(np.sum(replied_at_s - arrival_at_s > bound_s))
        n_allowed = late_allowed(n, self.percentile)
        reasons = []
        if n_allowed < 0:
            reasons.append("too few queries for early stopping")
        elif n_late > n_allowed:
            reasons.append(f"{n_late:,} had no reply within {bound_s:g} s, and {n_allowed:,} may")
        return Verdict(self.scenario, f"queries/s, 99 % within {bound_s:g} s", self.rate, n, tuple(reasons))


@dataclass(frozen=True)
class Offline(MLPerf):
    """One query of ``samples``, all at once, dealt out to the clients; it must last ``duration`` s or more.

    samples: by default MLPerf's least for a workload of the graph's name.
    """

    samples: int | None = None
    duration: float = 600.0

    name: ClassVar[str] = "offline"
    scenario: ClassVar[str] = "Offline"

    def __post_init__(self) -> None:
        require(self.samples is None or self.samples >= 1, "samples", self.samples, "at least 1")
        _check(self.duration)

    def trace(self, clients: Clients) -> _AtOnce:
        """See ``Load``."""
        n = SAMPLES.get(clients.graph, SAMPLES_ELSE) if self.samples is None else self.samples
        return _AtOnce(self, clients, self.duration, n, at_once=n)

    def result(
        self, graph: str, function: npt.NDArray[np.int32], arrival_at_s: Floats, replied_at_s: Floats
    ) -> Verdict:
        """Samples a second, until the last is done."""
        lasted_s = float(replied_at_s.max(initial=0.0))
        if not 0 < lasted_s < np.inf:
            return Verdict(self.scenario, "samples/s", None, 1, ("not every sample had a reply",))
        rate_per_s = len(function) / lasted_s
        reasons = []
        if lasted_s < self.duration:
            enough = int(np.ceil(1.1 * rate_per_s * self.duration))  # LoadGen takes 10 % more, too
            reasons.append(f"it lasted {lasted_s:.4g} s, must be {self.duration:g} s: try samples={enough}")
        return Verdict(self.scenario, "samples/s", rate_per_s, 1, tuple(reasons))


class _AtOnce(LoadTrace):
    """All arrivals at 0 s, the clients in turn."""

    def chunks(self) -> Iterator[ArrivalChunk]:
        """See ``Trace``."""
        for first in range(0, self.n_arrivals, _IN_CHUNK):
            numbers = np.arange(first, min(first + _IN_CHUNK, self.n_arrivals))
            yield chunk(np.zeros(len(numbers)), numbers % len(self.functions))


def _check(duration_s: float, min_queries: int = 1) -> None:
    require(0 <= duration_s < float("inf"), "duration", duration_s, "a finite number, 0 or more")
    require(min_queries >= 1, "min_queries", min_queries, "at least 1")
