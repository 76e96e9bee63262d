"""What is paid for what: latency, cost and fairness of every combination of policy and factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.dataset import Dataset
from analysis.measures import Measure, measure
from analysis.series.factors import DEVICES
from analysis.series.table import Series, choose, factor_label, metric_label, n_unsteady, names
from analysis.study_report import Value
from sim.errors import RunError

if TYPE_CHECKING:
    import pandas as pd


def pareto(
    dataset: Dataset, where: Mapping[str, Value], *, metric: str = "p99", cost: str = "", fairness: str = "jain"
) -> Series:
    """A point for every policy at every combination of factors: a metric, what it costs and how fair it is.

    cost: a metric or a factor of numbers, less of which is better; without it the GPUs, or GPU hours. A point is
    dominated when another is at least as good in all three and better in one; what isn't steady dominates none, and is
    dominated. Columns: policy, the factors, metric, cost, fairness (means over seeds), dominated, seeds, unsteady,
    runs. Raises RunError for a metric of which nobody knows which way is better.
    """
    cost = cost or (DEVICES if DEVICES in dataset.factors else "gpu-hours")
    shown, fair = measure(metric), measure(fairness)
    factors = [name for name in dataset.factors if dataset.where(where)[name].nunique() > 1]
    chosen = choose(dataset, where, factors)
    by_factor = cost in dataset.factors
    spent = None if by_factor else measure(cost)
    rows = []
    for key, group in chosen.groups(*factors):
        paid = group[cost] if spent is None else spent.of(group)
        means = {"metric": shown.of(group).mean(), "cost": paid.mean(), "fairness": fair.of(group).mean()}
        told = {"dominated": False, "seeds": len(group), "unsteady": n_unsteady(group), "runs": names(group)}
        rows.append({"policy": key["policy"], **{name: key[name] for name in factors}, **means, **told})
    table = _judged(rows, [_sign(shown), 1, _sign(fair)])
    said = "Grey: another is as good in latency, cost and fairness, and better in one; or not steady."
    x = factor_label(cost) if spent is None else metric_label(spent)
    numbers = [f"Numbers: {', '.join(map(factor_label, factors))}."] if factors else []
    notes = (said, *numbers, *chosen.notes)
    return Series(table, x, metric_label(shown), chosen.runs, notes, metric_label(fair))


def _sign(shown: Measure) -> int:
    if shown.better is None:
        raise RunError(f"metric {shown.name}: nobody can say which way it is better, so nothing is dominated in it")
    return 1 if shown.better == "lower" else -1


def _judged(rows: list[dict[str, object]], signs: list[int]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows)
    costs = table[["metric", "cost", "fairness"]].to_numpy(float) * signs  # less is better
    steady = (table["unsteady"] == 0).to_numpy()
    return table.assign(dominated=_dominated(costs, steady) | ~steady)


def _dominated(costs: npt.NDArray[np.float64], may: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether one of the rows that may is at most as dear in all columns, and cheaper in one."""
    others = costs[may]
    found = [bool(((others <= own).all(axis=1) & (others < own).any(axis=1)).any()) for own in costs]
    return np.array(found, dtype=np.bool_)
