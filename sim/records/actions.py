"""The actions table of a run: every order of the policy, what was expected of it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from sim.belief import WAITS_AGAIN
from sim.dispatcher import Log
from sim.domain import WorkerKind
from sim.models.startup import Ladder
from sim.protocol import (
    Action,
    Arrival,
    DeviceChanged,
    Event,
    Finished,
    Load,
    Loaded,
    Partition,
    Reject,
    Run,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
    kind_of,
)
from sim.records.tables import ACTIONS

ROWS_IN_GROUP = 65_536
NAN = float("nan")


class ActionCosts(Protocol):
    """What is expected of orders: see ``sim.models.costs.CostModel``."""

    def of(self, kind: WorkerKind) -> ActionCosts:
        """For a kind of worker."""

    def expected_s(self, function: int) -> float:
        """Of a warm invocation."""

    def ladder(self, function: int) -> Ladder:
        """Of a start."""


class ActionsLog:
    """Writes the table, and passes on what it is told; an instance is a ``sim.dispatcher.Log``.

    Rows are written when their end is known. ``close()`` writes those that have none.
    """

    def __init__(self, file: Path, costs: ActionCosts, also: Log) -> None:
        self._costs = costs
        self._also = also
        self._writer = pq.ParquetWriter(file, ACTIONS.schema, write_page_checksum=True)
        self._rows: list[dict[str, Any]] = []
        self._open: dict[tuple[str, int, int], dict[str, Any]] = {}  # orders that have not ended, by what ends them
        self._functions: dict[int, int] = {}  # of invocations that arrived and have not ended
        self._of_worker: dict[int, ActionCosts] = {}  # of workers that were started and are not gone
        self._n = 0

    def __call__(self, now_s: float, event: Event, actions: Sequence[Action]) -> None:
        self._also(now_s, event, actions)
        if isinstance(event, Arrival):
            self._functions[event.invocation] = event.function
        elif isinstance(event, Finished):
            for invocation in (event.invocation, *event.others):
                self._end(("Run", invocation, 0), now_s, event.outcome.value)
                if event.outcome not in WAITS_AGAIN:
                    del self._functions[invocation]
        elif isinstance(event, WorkerReady):
            self._end(("Start", event.worker, 0), now_s, "ok")
        elif isinstance(event, WorkerStopped):
            self._end(("Start", event.worker, 0), now_s, "died" if event.died else "stopped")
            self._end(("Stop", event.worker, 0), now_s, "died" if event.died else "ok")
            self._of_worker.pop(event.worker, None)
        elif isinstance(event, Loaded):
            self._end(("Load", event.worker, event.function), now_s, "ok" if event.resident else "no room")
        elif isinstance(event, DeviceChanged):
            self._end(("Partition", event.device, 0), now_s, "ok")
        for action in actions:
            self._order(now_s, action)

    def close(self) -> None:
        """Write what is left."""
        self._rows += self._open.values()
        self._open.clear()
        self._write()
        self._writer.close()

    def _order(self, now_s: float, action: Action) -> None:
        """Begin the row of an order; of a batch a row for each invocation."""
        row = {"kind": type(action).__name__, "at_s": now_s, "ended_at_s": NAN, "outcome": "", "expected_s": NAN}
        row |= {name: getattr(action, name, -1) for name in ("worker", "device", "function", "invocation")}
        if isinstance(action, Run):
            for invocation in (action.invocation, *action.others):
                function = self._functions[invocation]
                expected_s = self._of_worker.get(action.worker, self._costs).expected_s(function)
                more = {"invocation": invocation, "function": function, "expected_s": expected_s}
                self._begin(row | more, ("Run", invocation, 0))
            return
        if isinstance(action, Start):
            costs = self._of_worker[action.worker] = self._costs.of(kind_of(action.function))
            row["expected_s"] = sum(costs.ladder(action.function))
            self._begin(row, ("Start", action.worker, 0))
        elif isinstance(action, Stop):
            self._begin(row, ("Stop", action.worker, 0))
        elif isinstance(action, Load):
            self._begin(row, ("Load", action.worker, action.function))
        elif isinstance(action, Partition):
            self._begin(row, ("Partition", action.device, 0))
        else:
            self._begin(row, None)
            if isinstance(action, Reject):
                del self._functions[action.invocation]

    def _begin(self, row: dict[str, Any], until: tuple[str, int, int] | None) -> None:
        row["action"] = self._n
        self._n += 1
        if until is None:
            self._rows.append(row)
        else:
            self._open[until] = row

    def _end(self, of: tuple[str, int, int], now_s: float, outcome: str) -> None:
        row = self._open.pop(of, None)
        if row is not None:
            self._rows.append(row | {"ended_at_s": now_s, "outcome": outcome})
            if len(self._rows) >= ROWS_IN_GROUP:
                self._write()

    def _write(self) -> None:
        columns = {name: [row[name] for row in self._rows] for name in ACTIONS.names}
        self._writer.write_table(ACTIONS.arrow(columns))
        self._rows.clear()


@contextmanager
def actions_log(directory: Path, costs: ActionCosts, also: Log) -> Iterator[ActionsLog]:
    """A table in the directory of a run in the making."""
    log = ActionsLog(directory / f"{ACTIONS.name}.parquet", costs, also)
    try:
        yield log
    finally:
        log.close()
