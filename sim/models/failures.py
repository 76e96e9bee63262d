"""What fails when: at given instants, or by a process with exponential times between failures and to repair.

A unit works for a time of mean MTBF, then it is out of order for one of mean MTTR, and so on: an alternating renewal
process whose availability is MTBF / (MTBF + MTTR) (Barlow and Proschan, Mathematical Theory of Reliability, 1965,
section 3.2). Failures of machines in clusters are nearly exponential for the parts that wear out at random; see
Schroeder and Gibson, DSN 2006, for where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Literal, NamedTuple

from sim.domain import FleetSpec
from sim.errors import ScenarioError
from sim.settings import require
from sim.streams import Stream, generator
from sim.text import counted

EVERY = -1  # the unit of a crash that takes all workers


@dataclass(frozen=True, slots=True)
class Failure:
    """An entry of a scenario's ``failures``.

    what: "worker", whose process crashes; "device" or "node", which is lost; "slow", a device on which kernels take
    ``factor`` times as long; "link", a device's link to its host, of whose rate the part ``factor`` is left.
    which: number of the worker, device or node; None for each, by a process of its own.
    at_s: when it fails, or mtbf_s: the mean time until it does, from its beginning or its repair. mttr_s: how long it
    lasts, with mtbf_s the mean; None for good.
    """

    what: Literal["worker", "device", "node", "slow", "link"]
    which: int | None = None
    at_s: float | None = None
    mtbf_s: float | None = None
    mttr_s: float | None = None
    factor: float | None = None

    def __post_init__(self) -> None:
        require(self.which is None or self.which >= 0, "which", self.which, "at least 0")
        one = (self.at_s is None) != (self.mtbf_s is None)
        require(one, "at_s", self.at_s, "given, or else mtbf_s, and never both")
        require(self.at_s is None or 0 <= self.at_s < inf, "at_s", self.at_s, "a finite number of at least 0")
        for name in ("mtbf_s", "mttr_s"):
            value = getattr(self, name)
            require(value is None or 0 < value < inf, name, value, "a finite number above 0")
        if self.what == "worker":
            require(self.mttr_s is None, "mttr_s", self.mttr_s, "left out with a worker: policies start another")
        if self.what == "slow":
            require(self.factor is not None and 1 < self.factor < inf, "factor", self.factor, "a number above 1")
        elif self.what == "link":
            require(self.factor is not None and 0 < self.factor < 1, "factor", self.factor, "between 0 and 1")
        else:
            require(self.factor is None, "factor", self.factor, "left out with what is lost")

    def units(self, fleet: FleetSpec) -> list[int]:
        """What it takes: numbers of devices or nodes, of links that of their first device, of workers EVERY or one.

        Raises ScenarioError when there is no such thing.
        """
        if self.what == "worker":
            return [EVERY if self.which is None else self.which]
        unit, n = ("node", len(fleet.nodes)) if self.what == "node" else ("device", fleet.n_gpus)
        if self.which is not None:
            if self.which >= n:
                raise ScenarioError(f"which is {self.which}, must be below {n}: the fleet has {counted(n, unit)}")
            return [self.which]
        if self.what == "link":
            return [gpu for i, node in enumerate(fleet.nodes) for gpu in fleet.gpus_of(i)[:: node.gpus_per_link]]
        return list(range(n))


class Happening(NamedTuple):
    """Something fails, or is repaired, which comes first of the same instant. entry: which of the failures."""

    at_s: float
    begins: bool
    entry: int
    unit: int


class Failures:
    """What happens next, and after it. There is no clock: the caller takes one after the other.

    Draws depend on nothing but the seed, and for workers on their order: never on what happens in between.
    Raises ScenarioError naming the entry for what the fleet doesn't have.
    """

    def __init__(self, entries: Sequence[Failure], fleet: FleetSpec, seed: int) -> None:
        self.entries = entries
        self.n_to_repair = 0
        self._drawn = [generator(seed, Stream.FAILURE, entry) for entry in range(len(entries))]
        self._heap: list[Happening] = []
        for number, failure in enumerate(entries):
            try:
                units = failure.units(fleet)
            except ScenarioError as error:
                raise ScenarioError(f"failures[{number}]: {error}") from None
            if failure.what != "worker" or failure.at_s is not None:
                for unit in units:
                    self._fail_next(0.0, number, unit)

    @property
    def next(self) -> Happening | None:
        """What happens next; None when nothing does any more."""
        return self._heap[0] if self._heap else None

    def take(self) -> Happening:
        """What happens next, which happens now."""
        now = heappop(self._heap)
        failure = self.entries[now.entry]
        if not now.begins:
            self.n_to_repair -= 1
            self._renew(now)
        elif failure.mttr_s is not None:
            lasts_s = failure.mttr_s
            if failure.at_s is None:
                lasts_s = float(self._drawn[now.entry].exponential(failure.mttr_s))
            self.n_to_repair += 1
            heappush(self._heap, Happening(now.at_s + lasts_s, False, now.entry, now.unit))
        return now

    def skip(self) -> None:
        """What would fail next doesn't: nothing was left that it could disturb."""
        self._renew(heappop(self._heap))

    def employ(self, now_s: float, worker: int) -> None:
        """A worker has got its device: from now on it may crash."""
        for number, failure in enumerate(self.entries):
            if failure.what == "worker" and failure.mtbf_s is not None and failure.which in (None, worker):
                self._fail_next(now_s, number, worker)

    def _renew(self, last: Happening) -> None:
        if self.entries[last.entry].mtbf_s is not None and self.entries[last.entry].what != "worker":
            self._fail_next(last.at_s, last.entry, last.unit)

    def _fail_next(self, since_s: float, entry: int, unit: int) -> None:
        failure = self.entries[entry]
        if failure.mtbf_s is not None:
            at_s = since_s + float(self._drawn[entry].exponential(failure.mtbf_s))
        else:
            assert failure.at_s is not None
            at_s = failure.at_s
        heappush(self._heap, Happening(at_s, True, entry, unit))
