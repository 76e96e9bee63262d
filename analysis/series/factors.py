"""Metrics over factors: means over seeds with their intervals, and what it takes to meet a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.dataset import Dataset
from analysis.measures import Measure, measure
from analysis.series.table import Series, choose, factor_label, metric_label, n_unsteady, names
from analysis.statistics.replications import replicated
from analysis.study_report import Value
from sim.errors import RunError
from sim.settings import unknown
from sim.text import short

if TYPE_CHECKING:
    import pandas as pd

DEVICES = "gpus"  # the factor of which the fewest are looked for


def lines(dataset: Dataset, where: Mapping[str, Value], *, metric: str = "p99", x: str = "") -> Series:
    """A metric over a factor: means over seeds with 95 % intervals.

    x: the factor; without it the first that differs. Columns: panel, policy, x, mean, low and high (NaN of one seed),
    seeds, unsteady (runs that were not steady), runs.
    """
    import pandas as pd

    shown = measure(metric)
    x = x or _first(dataset)
    chosen = choose(dataset, where, [known_factor(dataset, x)])
    rows = [{**_line(key), **_point(group, shown, key[x])} for key, group in chosen.groups(x)]
    band = ["Shaded: 95 % intervals of the mean over seeds."] if chosen.rows["seed"].nunique() > 1 else []
    return Series(pd.DataFrame(rows), factor_label(x), metric_label(shown), chosen.runs, (*band, *chosen.notes))


def needed(dataset: Dataset, where: Mapping[str, Value], *, limit: float, metric: str = "p99", x: str = "") -> Series:
    """The fewest GPUs with which a metric, as its mean over seeds, is within a limit, and with more of them stays so.

    A limit is from above or below, as the metric is better. What isn't steady meets none. x: another factor; without
    it the first that differs, or the policy. Columns: panel, policy, x, gpus (NaN: no number that was tried), low and
    high (where the near and the far end of the 95 % interval meet it), most (tried), runs. Raises RunError for a
    metric of which nobody knows which way is better.
    """
    import pandas as pd

    shown = measure(metric)
    if shown.better is None:
        raise RunError(f"metric {shown.name}: nobody can say which way it is better, so it has no limit")
    others = [name for name in dataset.factors if name != DEVICES and dataset.where(where)[name].nunique() > 1]
    x = x or (others[0] if others else "policy")
    chosen = choose(dataset, where, [known_factor(dataset, DEVICES), known_factor(dataset, x)])
    rows = []
    for key, group in chosen.groups(x):
        points = [_point(at, shown, n) for n, at in group.groupby(DEVICES, sort=True)]
        rows.append({**_line(key), "x": key[x], **_fewest(points, shown, limit), "runs": names(group)})
    sign = "≤" if shown.better == "lower" else "≥"
    said = (
        f"Fewest GPUs of those tried with {shown.label} {sign} {short(limit)} {shown.unit}".rstrip() + ", and steady."
    )
    bars = ["Bars: 95 % intervals."] if chosen.rows["seed"].nunique() > 1 else []
    return Series(pd.DataFrame(rows), factor_label(x), "GPUs needed", chosen.runs, (said, *bars, *chosen.notes))


def _point(group: pd.DataFrame, shown: Measure, at: Any) -> dict[str, Any]:
    found = replicated(np.asarray(shown.of(group).dropna(), np.float64), skewed=shown.quantile)
    band = {"mean": found.estimate, "low": found.low, "high": found.high}
    told = {"seeds": len(group), "unsteady": n_unsteady(group), "runs": names(group)}
    return {"x": at, **band, **told}


def _line(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in ("panel", "policy")}


def _fewest(points: list[dict[str, Any]], shown: Measure, limit: float) -> dict[str, float]:
    """From points by number of GPUs the first from which on all meet the limit; by mean and ends of the interval."""
    near, far = ("low", "high") if shown.better == "lower" else ("high", "low")

    def first(end: str) -> float:
        found = np.nan
        for point in reversed(points):
            value = point["mean"] if np.isnan(point[end]) else point[end]
            ok = value <= limit if shown.better == "lower" else value >= limit
            if point["unsteady"] or not ok:
                break
            found = float(point["x"])
        return found

    return {DEVICES: first("mean"), "low": first(near), "high": first(far), "most": float(points[-1]["x"])}


def known_factor(dataset: Dataset, factor: str) -> str:
    """The factor, if the data set has it. Raises RunError naming those that it has."""
    if factor not in (known := ("policy", *dataset.factors)):
        raise RunError(f"{dataset.path}: {unknown('factor', factor, known)}")
    return factor


def _first(dataset: Dataset) -> str:
    differ = [name for name in dataset.factors if dataset.frame[name].nunique() > 1]
    return differ[0] if differ else "policy"
