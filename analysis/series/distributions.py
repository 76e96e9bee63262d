"""Distributions of times over invocations: of all seeds together, and between seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from analysis import metrics
from analysis.dataset import Dataset
from analysis.metrics import Floats
from analysis.runs import measured, require_functions
from analysis.series.table import Series, choose, n_unsteady
from analysis.study_report import Value
from sim.records.results import Run
from sim.records.totals import TIMES

Time: TypeAlias = Literal["latency", "queue", "pool"]
Line: TypeAlias = tuple[Floats, Floats, list[Floats]]  # x, share of all, and the shares of each seed

_POINTS = 400  # of a line
_NAMES = {"latency": "Latency", "queue": "Time in queue", "pool": "Time in pool"}
_SCALES = np.geomspace(1, 100, 61)  # of deadlines
_BAND = "Shaded: from the lowest to the highest seed."


def cdf(dataset: Dataset, where: Mapping[str, Value], *, time: Time = "latency") -> Series:
    """Share of completed invocations that took at most so long.

    Columns: panel, policy, x (s), share (of the invocations of all seeds), low and high (the least and the greatest
    share of a seed), seeds, unsteady (runs that were not steady).
    """

    def line(runs: Sequence[Run]) -> Line:
        values, x = _ordered(runs, time)
        whole, *each = (np.append(0.0 * x[:1], np.searchsorted(v, x, "right") / max(len(v), 1)) for v in values)
        return np.append(x[:1], x), whole, each  # the first point is where the line leaves 0

    return _lines(dataset, where, line, f"{_NAMES[time]} (s)", "Share of invocations")


def ccdf(dataset: Dataset, where: Mapping[str, Value], *, time: Time = "latency") -> Series:
    """The tail: share of completed invocations that took so long or longer. Columns as of ``cdf``."""

    def line(runs: Sequence[Run]) -> Line:
        values, x = _ordered(runs, time)
        whole, *each = (1 - np.searchsorted(v, x, "left") / max(len(v), 1) for v in values)
        return x, whole, each

    said = "So many took so long or longer: 1% at the 99th percentile."
    return _lines(dataset, where, line, f"{_NAMES[time]} (s)", "Slower invocations (%)", said)


def attainment(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Share of all invocations that were completed within so many times the isolated latency of their function.

    It is counted after the run, whose policy knew of no such deadline. Columns as of ``cdf``; x is the scale.
    """

    def line(runs: Sequence[Run]) -> Line:
        each, weights = [], []
        for run in runs:
            rows = measured(run, run.table("invocations", ("function", "status", "arrival_at_s", "completed_at_s")))
            functions = run.table("functions", ("isolated_s",))
            require_functions(run, rows, len(functions))
            each.append(metrics.attainment(rows, functions, _SCALES))
            weights.append(max(len(rows), 1))
        return _SCALES, np.average(each, axis=0, weights=weights), each

    said = "SLO scale: deadline / isolated latency. Of all invocations, counted after the runs: no policy knew of it."
    return _lines(dataset, where, line, "SLO scale", "SLO attainment (%)", said)


def _ordered(runs: Sequence[Run], time: str) -> tuple[list[Floats], Floats]:
    """Ascending times, of all runs together and of each that has some; and where a line of them has its points."""
    from_at_s, to_at_s = TIMES[f"{time}_s"]
    each = []
    for run in runs:
        columns = list(dict.fromkeys(("status", "arrival_at_s", from_at_s, to_at_s)))
        rows = measured(run, run.table("invocations", columns))
        each.append(np.sort(metrics.of_completed(rows, to_at_s) - metrics.of_completed(rows, from_at_s)))
    whole = np.sort(np.concatenate(each))
    return [whole, *(values for values in each if len(values))], np.unique(metrics.cdf(whole, _POINTS)[0])


def _lines(
    dataset: Dataset, where: Mapping[str, Value], line: Callable[[Sequence[Run]], Line], x: str, y: str, *said: str
) -> Series:
    import pandas as pd

    chosen = choose(dataset, where)
    parts = []
    for key, rows in chosen.groups():
        at, share, each = line([dataset.open(run) for run in rows["run"]])
        band = {"low": np.min(each, axis=0), "high": np.max(each, axis=0)} if each else {"low": at, "high": at}
        told = {"seeds": len(rows), "unsteady": n_unsteady(rows)}
        parts.append(pd.DataFrame({**key, "x": at, "share": share, **band, **told}))
    shaded = [_BAND] if chosen.rows["seed"].nunique() > 1 else []
    return Series(pd.concat(parts, ignore_index=True), x, y, chosen.runs, (*said, *shaded, *chosen.notes))
