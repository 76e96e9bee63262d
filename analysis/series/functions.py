"""How functions fare: each by itself, and whether all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from analysis import metrics
from analysis.dataset import Dataset
from analysis.measures import measure
from analysis.runs import measured, require_functions
from analysis.series.table import Series, choose, n_unsteady
from analysis.statistics.replications import replicated
from analysis.study_report import Value

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run

Quantity: TypeAlias = Literal["slowdown", "mean", "p99"]

_LABELS = {"slowdown": "Slowdown", "mean": "Mean latency (s)", "p99": "p99 latency (s)"}


def functions(dataset: Dataset, where: Mapping[str, Value], *, quantity: Quantity = "slowdown") -> Series:
    """A point a function: how it fared, against how often it was called, over the invocations of all seeds.

    quantity: slowdown (mean latency / isolated latency), or its mean or 99th percentile of latency. Columns: panel,
    policy, function (its key), invocations (completed), value, seeds, unsteady. Functions without a completed
    invocation are left out.
    """
    return _by_function(dataset, where, quantity, True, "Completed invocations", _LABELS[quantity])


def fairness(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Slowdown of the functions, share by share, and Jain's index beside it.

    Columns as of ``functions``, ascending by value, and share (of functions with at most that), jain, jain_low and
    jain_high (mean over seeds and its 95 % interval). Raises RunError when another factor differs.
    """
    import pandas as pd

    drawn = _by_function(dataset, where, "slowdown", False, "Slowdown (mean latency / isolated latency)", "Functions")
    rows = dataset.frame[dataset.frame["run"].isin(drawn.runs)]
    frames = []
    for policy, group in drawn.table.groupby("policy", sort=False):
        ordered = group.sort_values("value", kind="stable")
        known = measure("jain").of(rows[rows["policy"] == policy]).dropna()
        jain = replicated(np.asarray(known, np.float64))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        frames.append(ordered.assign(share=share, jain=jain.estimate, jain_low=jain.low, jain_high=jain.high))
    table = pd.concat(frames, ignore_index=True)
    return Series(table, drawn.x, "Share of functions", drawn.runs, drawn.notes)


def _by_function(
    dataset: Dataset, where: Mapping[str, Value], quantity: Quantity, panels: bool, x: str, y: str
) -> Series:
    import pandas as pd

    chosen = choose(dataset, where, panels=panels)
    frames = []
    for key, group in chosen.groups():
        told = {"seeds": len(group), "unsteady": n_unsteady(group)}
        frames.append(_fared([dataset.open(run) for run in group["run"]], quantity).assign(**key, **told))
    frame = pd.concat(frames, ignore_index=True)
    first = ["panel", "policy"]
    return Series(frame[[*first, *(c for c in frame if c not in first)]], x, y, chosen.runs, chosen.notes)


def _fared(runs: Sequence[Run], quantity: Quantity) -> pd.DataFrame:
    """Functions of the runs, which are called alike in all of them."""
    import pandas as pd

    done = []
    for run in runs:
        rows = measured(run, run.table("invocations", ("function", "status", "arrival_at_s", "completed_at_s")))
        known = run.table("functions", ("key", "isolated_s"))
        require_functions(run, rows, len(known))
        number = metrics.of_completed(rows, "function")
        latency_s = metrics.latency_s(rows)
        keys = known["key"].astype(str).to_numpy()[number]
        isolated_s = known["isolated_s"].where(known["isolated_s"] > 0).to_numpy()[number]
        done.append(pd.DataFrame({"function": keys, "latency_s": latency_s, "slowdown": latency_s / isolated_s}))
    grouped = pd.concat(done).groupby("function", sort=True)
    values = {
        "slowdown": lambda: grouped["slowdown"].mean(),
        "mean": lambda: grouped["latency_s"].mean(),
        "p99": lambda: grouped["latency_s"].quantile(0.99),
    }[quantity]()
    return pd.DataFrame({"invocations": grouped.size(), "value": values}).dropna().reset_index()
