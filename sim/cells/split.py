"""Which cell serves which tenant, and what is left of a workload and a fleet for one cell.

Tenants are the apps of a trace: functions of one app stay together. A cell is a platform of its own, with its part of
the fleet and a policy of its own; nothing is shared with another cell, and no request changes its cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapreplace

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, Trace, TraceFunction, TraceSource
from sim.errors import ScenarioError
from sim.models.costs import CostModel
from sim.scenario import FleetSettings
from sim.streams import Stream, generator
from sim.workload import Workload

Floats = npt.NDArray[np.float64]


def assign(functions: Sequence[TraceFunction], gpu_s: Floats, n_cells: int) -> npt.NDArray[np.int32]:
    """The cell of each function, from 0, (n,): all cells get about as many of the seconds ``gpu_s`` that each asks for.

    The longest-processing-time rule (Graham, Bounds on Multiprocessing Timing Anomalies, SIAM J. Appl. Math. 17(2),
    1969): apps in order of their seconds, ties by name, each to the cell with the fewest so far, ties to the first.
    Raises ScenarioError when there are fewer apps than cells.
    """
    seconds: dict[str, float] = {}
    for function, of_function_s in zip(functions, gpu_s.tolist(), strict=True):
        seconds[function.app] = seconds.get(function.app, 0.0) + of_function_s
    if len(seconds) < n_cells:
        raise ScenarioError(f"cells: is {n_cells}, but the trace has {len(seconds)} apps, and each stays in one cell")
    loads = [(0.0, cell) for cell in range(n_cells)]
    cell_of: dict[str, int] = {}
    for app in sorted(seconds, key=lambda app: (-seconds[app], app)):
        load, cell = loads[0]
        cell_of[app] = cell
        heapreplace(loads, (load + seconds[app], cell))
    return np.array([cell_of[function.app] for function in functions], dtype=np.int32)


@dataclass(frozen=True)
class CellTrace:
    """The arrivals of some functions of a trace, which are numbered anew. of_whole: their numbers there, ascending.

    limit: only what is among the first so many arrivals of the whole.
    """

    whole: Trace
    of_whole: npt.NDArray[np.int64]
    limit: int | None = None

    @property
    def source(self) -> TraceSource:
        """That of the whole."""
        return self.whole.source

    @property
    def duration_s(self) -> float:
        """That of the whole."""
        return self.whole.duration_s

    @cached_property
    def functions(self) -> Sequence[TraceFunction]:
        """The functions of this cell."""
        return [self.whole.functions[number] for number in self.of_whole]

    @cached_property
    def n_arrivals(self) -> int:
        """Exact, by going through them."""
        return sum(len(chunk.at_s) for chunk in self.chunks())

    @cached_property
    def _number_of(self) -> npt.NDArray[np.int32]:
        """By the number in the whole: that in this cell, or -1."""
        number_of = np.full(len(self.whole.functions), -1, dtype=np.int32)
        number_of[self.of_whole] = np.arange(len(self.of_whole))
        return number_of

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order, a chunk at a time."""
        for _, chunk in self._picked():
            yield chunk

    def invocations(self) -> npt.NDArray[np.int64]:
        """The number in the whole of each arrival, (n_arrivals,)."""
        found = [numbers for numbers, _ in self._picked()]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    def _picked(self) -> Iterator[tuple[npt.NDArray[np.int64], ArrivalChunk]]:
        n = 0
        for chunk in self.whole.chunks():
            count = len(chunk.at_s) if self.limit is None else min(len(chunk.at_s), self.limit - n)
            function = self._number_of[chunk.function[:count]]
            mine = np.flatnonzero(function >= 0)
            if len(mine):
                yield mine + n, ArrivalChunk(chunk.at_s[mine], function[mine], chunk.duration_s[mine])
            n += count
            if n == self.limit:
                return


def assign_workload(workload: Workload, costs: CostModel, n_cells: int) -> npt.NDArray[np.int32]:
    """The cell of each function of a workload: ``assign`` by the GPU time of the invocations that the trace counts."""
    counts = [function.n_invocations for function in workload.trace.functions]
    expected_s = [costs.expected_s(function.id) for function in workload.functions]
    return assign(workload.trace.functions, np.array(counts) * np.array(expected_s), n_cells)


def cell_workload(workload: Workload, cell_of: npt.NDArray[np.int32], cell: int) -> Workload:
    """The part of a workload that a cell serves. Functions keep their graphs."""
    mine = np.flatnonzero(cell_of == cell).astype(np.int64)
    functions = tuple(replace(workload.functions[number], id=i) for i, number in enumerate(mine))
    trace = CellTrace(workload.trace, mine, workload.limit)
    return replace(workload, trace=trace, functions=functions, limit=None)


def cell_fleet(fleet: FleetSettings, n_cells: int) -> FleetSettings:
    """The part of a fleet that each cell has: as many GPUs, or of each entry of ``nodes`` as many nodes.

    Raises ScenarioError naming what can't be divided.
    """
    if fleet.nodes:
        for node in fleet.nodes:
            _require_divisible("the count of nodes", node.count, n_cells)
        return replace(fleet, nodes=tuple(replace(node, count=node.count // n_cells) for node in fleet.nodes))
    _require_divisible("gpus", fleet.gpus, n_cells)
    gpus = fleet.gpus // n_cells
    if gpus % fleet.gpus_per_node and fleet.gpus_per_node % gpus:
        raise ScenarioError(
            f"cells: is {n_cells}, of {gpus} GPUs each, which don't fill nodes of {fleet.gpus_per_node}, or divide them"
        )
    return replace(fleet, gpus=gpus)


def cell_seed(seed: int, cell: int) -> int:
    """What a cell draws is independent of what another one draws."""
    return int(generator(seed, Stream.CELL, cell).integers(2**31))


def _require_divisible(what: str, n: int, n_cells: int) -> None:
    if n % n_cells:
        raise ScenarioError(f"cells: is {n_cells}, but {what}, {n}, can't be divided by it")
