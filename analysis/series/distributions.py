"""Distributions of times over invocations: of all seeds together, and between seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from analysis import metrics
from analysis.dataset import Dataset
from analysis.metrics import Floats
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
        values = [_values(run, time) for run in runs]
        x, share = metrics.cdf(np.concatenate(values), _POINTS)
        each = [np.searchsorted(np.sort(v), x, "right") / len(v) for v in values if len(v)]
        for one in each:
            one[:1] = 0  # the first point is where the line leaves 0
        return x, share, each

    return _lines(dataset, where, line, f"{_NAMES[time]} (s)", "Share of invocations")


def ccdf(dataset: Dataset, where: Mapping[str, Value], *, time: Time = "latency") -> Series:
    """The tail: share of completed invocations that took so long or longer. Columns as of ``cdf``."""

    def line(runs: Sequence[Run]) -> Line:
        values = [_values(run, time) for run in runs]
        x, share = metrics.at_least(metrics.cdf(np.concatenate(values), _POINTS))
        return x, share, [1 - np.searchsorted(np.sort(v), x, "left") / len(v) for v in values if len(v)]

    said = "So many took so long or longer: 1% at the 99th percentile."
    return _lines(dataset, where, line, f"{_NAMES[time]} (s)", "Slower invocations (%)", said)


def attainment(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Share of all invocations that were completed within so many times the isolated latency of their function.

    It is counted after the run, whose policy knew of no such deadline. Columns as of ``cdf``; x is the scale.
    """

    def line(runs: Sequence[Run]) -> Line:
        each = [_attained(run) for run in runs]
        weights = [run.summary["invocations"] for run in runs]
        return _SCALES, np.average(each, axis=0, weights=weights), each

    said = "SLO scale: deadline / isolated latency. Of all invocations, counted after the runs: no policy knew of it."
    return _lines(dataset, where, line, "SLO scale", "SLO attainment (%)", said)


def _values(run: Run, time: str) -> Floats:
    from_at_s, to_at_s = TIMES[f"{time}_s"]
    rows = run.table("invocations", ("status", from_at_s, to_at_s))
    values: Floats = metrics.of_completed(rows, to_at_s) - metrics.of_completed(rows, from_at_s)
    return values


def _attained(run: Run) -> Floats:
    """Of one run, at each of _SCALES."""
    rows = run.table("invocations", ("function", "status", "arrival_at_s", "completed_at_s"))
    isolated_s = run.table("functions", ("isolated_s",))["isolated_s"]
    known_s = isolated_s.where(isolated_s > 0).to_numpy()  # without it nothing is in time
    scale = metrics.latency_s(rows) / known_s[metrics.of_completed(rows, "function")]
    return np.searchsorted(np.sort(scale), _SCALES, "right") / max(len(rows), 1)


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
