"""Where the time of one invocation went, and what else was going on meanwhile, from the tables of its run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import spans
from sim.errors import RunError
from sim.models.watched import EVICTED
from sim.records.parts import latency_parts
from sim.records.tables import RESIDENCY

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run

_SAME_S = 1e-6  # instants of one event in two tables, which are computed apart
Span = tuple[float, float]


@dataclass(frozen=True)
class Others:
    """What others did on a worker or a GPU in a span: (function, how many, seconds in the span), the most time first,
    and starts of workers, (worker, its function or "", seconds in the span), the longest first."""

    ran: Sequence[tuple[str, int, float]]
    started: Sequence[tuple[int, str, float]]


@dataclass(frozen=True)
class Account:
    """One invocation. row: of ``analysis.spans.invocations``; worker: of ``analysis.spans.workers``, None without one.
    replayed: in a replay. parts: seconds from arrival to end, by name in the order of time; their sum is ``latency_s``.

    ahead: invocations that had not ended on its worker, or on its GPU if its worker is of one function, when it entered
    the pool, and began before it. passed: those that entered later and began before it. waited_beside: what others did
    there until it began; ran_beside: on its GPU while its kernels ran. stages_s: of the start that it waited for.
    evicted: (function, bytes) that made room for it, None where the run did not record it.
    """

    row: dict[str, Any]
    replayed: bool
    function: str
    isolated_s: float
    worker: dict[str, Any] | None
    parts: dict[str, float]
    ahead: int
    passed: int
    waited_beside: Others
    ran_beside: Others
    stages_s: dict[str, float]
    evicted: Sequence[tuple[str, int]] | None

    @property
    def latency_s(self) -> float:
        """From scheduled arrival to the end, or to that of the run."""
        return float(self.row["over_at_s"] - self.row["arrival_at_s"])


def account(run: Run, invocation: int) -> Account:
    """Look an invocation up. Raises RunError when the run has none of this number, or a table that can't be read."""
    rows = spans.invocations(run)
    row = _only(rows[rows["invocation"] == invocation])
    if row is None:
        numbers = f"; they are numbered from 0 to {rows['invocation'].iat[-1]}" if len(rows) else ", nor any other"
        raise RunError(f"{run.path}: has no invocation {invocation}{numbers}")
    workers, names = spans.workers(run), spans.function_names(run)
    worker = _only(workers[workers["worker"] == row["worker"]])
    started = not np.isnan(row["started_at_s"])
    own = worker is not None and int(worker["function"]) >= 0
    beside = _beside(rows, row, "device" if own else "worker") if started else rows.iloc[:0]
    until_s = row["dispatch_at_s"] if started else row["over_at_s"]
    waits = (row["queued_at_s"], until_s)
    early = beside[beside["dispatch_at_s"] < until_s]
    there = early["left_at_s"] > waits[0]
    first = early["queued_at_s"] <= waits[0]
    on_gpu = workers[(workers["device"] == row["device"]) & (workers["worker"] != row["worker"])]
    return Account(
        row,
        run.manifest.get("world") == "replay",
        names[row["function"]],
        run.table("functions", ["isolated_s"])["isolated_s"].tolist()[row["function"]],
        worker,
        _parts(row, worker),
        int((there & first).sum()),
        int((there & ~first).sum()),
        _others(early, on_gpu if own else on_gpu.iloc[:0], names, waits, "dispatch_at_s", "left_at_s"),
        _others(
            _beside(rows, row, "device") if started else beside,
            on_gpu.iloc[:0],
            names,
            (row["kernels_at_s"], row["store_at_s"]),
            "kernels_at_s",
            "store_at_s",
        ),
        {name: worker[f"{name}_s"] for name in spans.stages(run)} if worker and row["cold"] else {},
        _evicted(run, row, names) if started else None,
    )


def _only(rows: pd.DataFrame) -> dict[str, Any] | None:
    """The first row; None if there is none."""
    return next((dict(zip(rows.columns, row, strict=True)) for row in rows.itertuples(index=False, name=None)), None)


def _beside(rows: pd.DataFrame, row: dict[str, Any], where: str) -> pd.DataFrame:
    """The other invocations that began on its worker or device."""
    others = (rows[where] == row[where]) & (rows["invocation"] != row["invocation"]) & ~rows["started_at_s"].isna()
    found: pd.DataFrame = rows[others]
    return found


def _parts(row: dict[str, Any], worker: dict[str, Any] | None) -> dict[str, float]:
    """Seconds by part, in order of time: of what was completed those of ``sim.records.parts``."""
    waits = (row["queued_at_s"], row["dispatch_at_s"])
    start_s = 0.0
    if row["cold"] and worker is not None:
        start_s = max(min(worker["climbed_at_s"], waits[1]) - max(worker["begun_at_s"], waits[0]), 0.0)
    if row["status"] == "completed":
        columns = {name: np.array([value]) for name, value in row.items() if isinstance(value, float)}
        return {name: float(part_s[0]) for name, part_s in latency_parts(columns, np.array([start_s])).items()}
    ends = {"gate": row["admitted_at_s"], "before_pool": row["queued_at_s"]}
    ends |= {"pool": row["dispatch_at_s"], "dispatch": row["started_at_s"], "on_gpu": row["over_at_s"]}
    parts, at_s = {}, row["arrival_at_s"]
    for name, end_s in ends.items():
        end_s = row["over_at_s"] if math.isnan(end_s) else end_s
        parts[name] = float(end_s - at_s)
        at_s = end_s
    return parts


def _others(rows: pd.DataFrame, workers: pd.DataFrame, names: list[str], span: Span, begin: str, end: str) -> Others:
    """What of these was there in a span."""
    spent_s = _within(rows, span, begin, end)
    function = rows["function"].to_numpy()
    ran = [
        (names[number], int((spent_s[function == number] > 0).sum()), float(spent_s[function == number].sum()))
        for number in np.unique(function[spent_s > 0]).tolist()
    ]
    starts_s = _within(workers, span, "begun_at_s", "climbed_at_s")
    started = [
        (int(number), names[function] if function >= 0 else "", float(start_s))
        for number, function, start_s in zip(workers["worker"], workers["function"], starts_s, strict=True)
        if start_s > 0
    ]
    return Others(sorted(ran, key=lambda one: -one[2]), sorted(started, key=lambda one: -one[2]))


def _within(rows: pd.DataFrame, span: Span, begin: str, end: str) -> Any:
    """Seconds of a span in which each was there."""
    from_s, to_s = np.maximum(rows[begin].to_numpy(), span[0]), np.minimum(rows[end].to_numpy(), span[1])
    return np.maximum(to_s - from_s, 0.0)


def _evicted(run: Run, row: dict[str, Any], names: list[str]) -> Sequence[tuple[str, int]] | None:
    """Whose buffers made room for it, where the run recorded that: when its worker turned to it, or it began."""
    if not (run.path / f"{RESIDENCY.name}.parquet").exists():
        return None
    stays = run.table(RESIDENCY.name)
    left_at_s = stays["left_at_s"].to_numpy()
    then = np.minimum(abs(left_at_s - row["dispatch_at_s"]), abs(left_at_s - row["started_at_s"])) < _SAME_S
    gone = stays[then & (stays["worker"] == row["worker"]) & (stays["reason"] == EVICTED)]
    n_bytes = gone.groupby("function", as_index=False)["bytes"].sum()
    return [(names[function], its) for function, its in n_bytes.itertuples(index=False, name=None)]
