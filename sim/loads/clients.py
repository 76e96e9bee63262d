"""Who makes a load, and what all loads share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, Trace, TraceFunction, TraceSource
from sim.settings import describe, require
from sim.streams import Stream, generator


@dataclass(frozen=True, slots=True)
class Clients:
    """``n`` clients, each with a private copy of one graph: client i is function i.

    seed: of the clients' random streams, one each.
    """

    n: int
    graph: str
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n >= 1, "clients", self.n, "at least 1")

    def rng(self, client: int) -> np.random.Generator:
        """The stream of a client. It doesn't depend on how many others there are."""
        return generator(self.seed, Stream.CLIENT, client)


class Load:
    """Base of the loads: subclasses are frozen dataclasses whose fields are the parameters.

    Times are in seconds and rates in requests per second, as a user types them. ``source`` cites where the rule
    comes from; the first line of the docstring says what the load is.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    def describe(self) -> str:
        """``name[k=v,...]``, which ``make_load`` reads back."""
        return describe(self.name, self)

    def trace(self, clients: Clients) -> Trace:
        """The arrivals when these clients make the load."""
        raise NotImplementedError


class LoadTrace:
    """Base of the traces of loads: what they tell besides arrivals.

    A load has no durations of its own, since a graph has; the traces give 1 s. n_arrivals: see ``Trace``.
    rates: of the clients, in proportion; None for equal ones.
    """

    def __init__(
        self, load: Load, clients: Clients, duration_s: float, n_arrivals: int, rates: Sequence[float] | None = None
    ) -> None:
        makers: dict[str, Any] = {"clients": clients.n, "graph": clients.graph, "seed": clients.seed}
        self.source = TraceSource(load.name, (), (0.0, duration_s), {"load": load.describe(), **makers})
        rates = rates or [1.0] * clients.n
        self.functions = [
            TraceFunction(key, key, "client", 1.0, None, n_arrivals * rate / sum(rates))
            for i, rate in enumerate(rates)
            for key in [f"{clients.graph}/{i}"]
        ]
        self.duration_s = duration_s
        self.n_arrivals = n_arrivals

    def chunks(self) -> Iterator[ArrivalChunk]:
        """See ``Trace``."""
        raise NotImplementedError


def chunk(at_s: npt.NDArray[np.float64], function: npt.NDArray[Any]) -> ArrivalChunk:
    """Arrivals of a load, in order."""
    return ArrivalChunk(at_s, function.astype(np.int32), np.ones(len(at_s)))
