"""Which graph each function of a trace gets: the same for every seed and rate."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from pathlib import Path

from sim.domain import TraceFunction
from sim.errors import ScenarioError
from sim.files.inputs import read_text
from sim.settings import unknown

KEYS = ("function", "app", "trigger")  # by which a map may name functions
REST = "*"  # the key of all functions that no other row of a map names


def balance(functions: Sequence[TraceFunction], graphs: Sequence[str]) -> list[str]:
    """A graph for each function, so that all graphs get about as many invocations.

    The longest-processing-time rule (Graham, Bounds on Multiprocessing Timing Anomalies, SIAM J. Appl. Math. 17(2),
    1969): functions in order of their invocations, ties by key, each to the graph with the fewest so far, ties to the
    first. No graph gets more than 4/3 of the least possible maximum.
    """
    loads = [(0.0, number) for number in range(len(graphs))]  # a heap
    graph_of = [""] * len(functions)
    for i in sorted(range(len(functions)), key=lambda i: (-functions[i].n_invocations, functions[i].key)):
        load, number = loads[0]
        graph_of[i] = graphs[number]
        heapreplace(loads, (load + functions[i].n_invocations, number))
    return graph_of


@dataclass(frozen=True)
class Map:
    """A user's choice. file: where it stands, for messages. by: one of KEYS. graph_of: by such a key, or by REST."""

    file: Path
    by: str
    graph_of: Mapping[str, str]

    def bind(self, functions: Sequence[TraceFunction]) -> list[str]:
        """A graph for each function. Raises ScenarioError naming the first that no row covers."""
        graph_of = []
        for function in functions:
            key = self._key(function)
            graph = self.graph_of.get(key, self.graph_of.get(REST))
            if graph is None:
                of_it = "" if self.by == "function" else f", of the function {function.key}"
                raise ScenarioError(
                    f"{self.file}: has no row for the {self.by} {key!r}{of_it}; a row with {REST} is for all others"
                )
            graph_of.append(graph)
        return graph_of

    def unused(self, functions: Sequence[TraceFunction]) -> list[str]:
        """Keys that no function has: of another window, or mistaken."""
        keys = {REST, *map(self._key, functions)}
        return [key for key in self.graph_of if key not in keys]

    def _key(self, function: TraceFunction) -> str:
        return str(getattr(function, "key" if self.by == "function" else self.by))


def read_map(file: Path, graphs: Iterable[str]) -> Map:
    """Read a CSV file with a column of KEYS and the column ``graph``; raises ScenarioError naming row and rule."""
    graphs = list(graphs)
    try:
        rows = list(csv.reader(read_text(file).splitlines(keepends=True), strict=True))
    except csv.Error as error:
        raise ScenarioError(f"{file}: not CSV ({error})") from None
    header = rows[0] if rows else []
    if len(header) != 2 or "graph" not in header or not set(header) & set(KEYS):
        found = f"the columns {', '.join(header)}" if header else "no columns"
        raise ScenarioError(f"{file}: has {found}; must be graph and one of {', '.join(KEYS)}")
    graph_at = header.index("graph")
    by = header[1 - graph_at]
    graph_of: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 2:
            raise ScenarioError(f"{file}, row {number}: has {len(row)} cells, must have 2")
        key, graph = row[1 - graph_at], row[graph_at]
        if graph not in graphs:
            raise ScenarioError(f"{file}, row {number}: {unknown('graph', graph, graphs)}")
        if key in graph_of:
            raise ScenarioError(f"{file}, row {number}: the {by} {key!r} is there already")
        graph_of[key] = graph
    return Map(file, by, graph_of)
