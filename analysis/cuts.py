"""The beginning and the end of runs left out: times of invocations that arrived in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.dataset import Dataset
from analysis.runs import exact_times, flatten
from sim.errors import RunError
from sim.records.totals import TIMES


def cut(data: Dataset, warm_up_s: float, cool_down_s: float) -> Dataset:
    """The data set with times of those invocations alone that arrived after the warm-up and before the cool-down.

    warm_up_s: from the beginning of each run. cool_down_s: before its last arrival; what arrives then is still waiting
    for work that a longer run would bring. Numbers of a run that are no times of invocations are those of the whole,
    and left out. Raises RunError for a table that can't be read, and a run of which nothing is left.
    """
    import pandas as pd

    runs = data.frame["run"].where(data.frame["valid"], "")
    times = [_times(data, run, warm_up_s, cool_down_s) if run else {} for run in runs]
    kept = data.frame[[column for column in data.frame.columns if column in _about(data)]]
    found = pd.DataFrame(times, index=kept.index).astype("float64")
    return replace(data, frame=pd.concat([kept, found], axis=1))


def _about(data: Dataset) -> set[str]:
    return {"run", "policy", "seed", *data.factors, "valid", "reasons", "warnings", "error"}


def _times(data: Dataset, name: str, warm_up_s: float, cool_down_s: float) -> Mapping[str, Any]:
    run = data.open(name)
    rows = run.table("invocations", ["status", *sorted({column for ends in TIMES.values() for column in ends})])
    at_s = rows["arrival_at_s"]
    inside = (at_s >= warm_up_s) & (at_s <= at_s.max() - cool_down_s)
    if not inside.any():
        last = f"its last invocation arrives at {at_s.max():.6g} s" if len(rows) else "it has no invocations"
        raise RunError(f"{run.path}: nothing is left without warm-up and cool-down: {last}")
    return flatten(exact_times(rows[inside]))
