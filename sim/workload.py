"""A workload: a trace bound to functions that a GPU can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.binding import Map, balance
from sim.domain import (
    Buffer,
    BufferArg,
    ClosedTrace,
    Direction,
    Function,
    Kernel,
    KernelGraph,
    Role,
    Trace,
    TraceFunction,
)
from sim.errors import ScenarioError
from sim.files.fingerprint import Fingerprint, fingerprint
from sim.models.workloads.catalogue import CatalogueEntry
from sim.settings import require

DEFAULT_MEMORY_BYTES = 140 * 2**20  # median allocated memory of an app (Shahrad et al., ATC 2020, figure 8)


class Batch(NamedTuple):
    """Consecutive invocations, as equally long columns.

    invocation: int64 number in order of arrival. arrival_at_s: float64. function: int32.
    size: float64 > 0, duration in units of the function's mean duration.
    """

    invocation: npt.NDArray[np.int64]
    arrival_at_s: npt.NDArray[np.float64]
    function: npt.NDArray[np.int32]
    size: npt.NDArray[np.float64]


class Demand(NamedTuple):
    """Invocations by function: number, and sum of sizes. duration_s: in which all come."""

    n_invocations: npt.NDArray[np.int64]
    size: npt.NDArray[np.float64]
    duration_s: float


@dataclass(frozen=True)
class Workload:
    """What a fleet has to serve: functions by id, and the invocations of a trace.

    ``own_durations``: invocations last as long as the trace says, instead of their graph's duration.
    ``limit``: only the first so many arrivals; a closed loop can't have one, as a run decides how many come.
    ``inputs``: the files of the trace as they were when it was opened; a run by other ones is not valid.
    """

    trace: Trace
    functions: tuple[Function, ...]
    own_durations: bool
    limit: int | None = None
    inputs: Mapping[str, Fingerprint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.limit is None or self.loop is None, "limit", self.limit, "left out with a closed loop")

    @property
    def n_arrivals(self) -> int:
        """How many invocations there are; with a closed loop, at most."""
        return self.trace.n_arrivals if self.limit is None else min(self.trace.n_arrivals, self.limit)

    @property
    def loop(self) -> ClosedTrace | None:
        """The trace, when its later arrivals follow from completions."""
        return self.trace if isinstance(self.trace, ClosedTrace) else None

    @cached_property
    def demand(self) -> Demand:
        """What all invocations of an open trace ask for; draws them once."""
        n = len(self.functions)
        n_invocations, size, last_s = np.zeros(n, dtype=np.int64), np.zeros(n), 0.0
        for batch in self.batches():
            n_invocations += np.bincount(batch.function, minlength=n)
            size += np.bincount(batch.function, batch.size, n)
            last_s = float(batch.arrival_at_s[-1])
        return Demand(n_invocations, size, self.trace.duration_s if self.limit is None else last_s)

    def require_arrivals(self) -> None:
        """Raise ScenarioError when there are none: a run of nothing says nothing."""
        if next(self.batches(), None) is None:
            source, length_s = self.trace.source, self.trace.duration_s
            named = ", ".join(source.files) or source.format
            raise ScenarioError(f"{named}: has no arrival within {length_s:g} s, so there is nothing to run")

    def batches(self) -> Iterator[Batch]:
        """All invocations in order of arrival, lazily; the same at every call."""
        mean_s = np.array([f.mean_s for f in self.trace.functions])
        n = 0
        for chunk in self.trace.chunks():
            count = len(chunk.at_s) if self.limit is None else min(len(chunk.at_s), self.limit - n)
            function = chunk.function[:count]
            size = chunk.duration_s[:count] / mean_s[function] if self.own_durations else np.ones(count)
            if count:
                yield Batch(np.arange(n, n + count), chunk.at_s[:count], function, size)
            n += count
            if n == self.limit:
                return


def bind(
    trace: Trace,
    *,
    catalogue: Mapping[str, CatalogueEntry] | None,
    chosen: Map | None = None,
    limit: int | None = None,
) -> Workload:
    """Bind the functions of a trace to graphs.

    With a catalogue, each function gets one of its entries: as a map has it, else so that all entries get about as many
    invocations, see ``sim.binding``. Without one (None), each function runs a single opaque kernel for the trace's
    durations, with constants of the size of its memory in the trace. Raises TraceError when the files of the trace
    can't be read any more.
    """
    if catalogue is None:
        functions = tuple(_opaque(i, f) for i, f in enumerate(trace.functions))
    else:
        graph_of = chosen.bind(trace.functions) if chosen else balance(trace.functions, list(catalogue))
        functions = tuple(
            Function(i, f.key, entry.graph, entry.fresh_inputs)
            for i, (f, name) in enumerate(zip(trace.functions, graph_of, strict=True))
            for entry in [catalogue[name]]
        )
    inputs = fingerprint(trace.source.files)
    return Workload(trace, functions, own_durations=catalogue is None, limit=limit, inputs=inputs)


def _opaque(number: int, function: TraceFunction) -> Function:
    """A function of which only duration and memory are known."""
    memory = Buffer("memory", function.memory_bytes or DEFAULT_MEMORY_BYTES, Role.CONSTANT)
    kernel = Kernel("opaque", "opaque", (1, 1, 1), (1, 1, 1), (BufferArg("memory", Direction.IN),))
    return Function(number, function.key, KernelGraph("opaque", (kernel,), (memory,)), run_s=function.mean_s)
