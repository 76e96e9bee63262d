"""Simulated beside measured, quantile by quantile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.dataset import Dataset, open_dataset
from analysis.measures import measure
from analysis.series.table import Series, names
from analysis.study_report import Value
from sim.errors import RunError

QUANTILES = ("p50", "p90", "p99")


def validation(dataset: Dataset, where: Mapping[str, Value], *, against: str) -> Series:
    """Latencies of simulated runs over those of measured ones.

    against: the folder of the measured runs, relative to the data set. Runs belong together that have the same policy,
    and the same values of those factors of both data sets that have a value in common. Columns: policy, these factors,
    quantile (of latency), measured and simulated (means over repeats and seeds) and the least and greatest of each,
    error_frac (simulated / measured - 1), runs, measured_runs. Raises RunError when none belong together.
    """
    other = open_dataset(Path(dataset.path, against))
    both = [name for name in dataset.factors if name in other.factors]
    common = ["policy", *(name for name in both if set(dataset.frame[name]) & set(other.frame[name]))]
    chosen, measured = _valid(dataset.where(where)), _valid(other.frame)
    rows = []
    for key, group in chosen.groupby(common, sort=False):
        like = measured[(measured[common] == list(key)).all(axis=1)]
        if len(like):
            rows += [_pair(dict(zip(common, key, strict=True)), quantile, group, like) for quantile in QUANTILES]
    if not rows:
        raise RunError(f"{dataset.path}: no run has the {', '.join(common)} of a run in {other.path}")
    table = pd.DataFrame(rows)
    used = [run for cell in dict.fromkeys([*table["runs"], *table["measured_runs"]]) for run in cell.split()]
    several = table["several"].any()
    notes = ("Bands: 10 % and 25 %.", *(["Bars: from the lowest to the highest repeat or seed."] if several else []))
    return Series(table.drop(columns="several"), "Measured latency", "Simulated latency", tuple(used), notes)


def _valid(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["valid"]]


def _pair(key: dict[str, Any], quantile: str, simulated: pd.DataFrame, measured: pd.DataFrame) -> dict[str, Any]:
    cells: dict[str, Any] = {**key, "quantile": quantile}
    for name, rows in {"measured": measured, "simulated": simulated}.items():
        values = measure(quantile).of(rows)
        cells |= {name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()}
    cells["error_frac"] = cells["simulated"] / cells["measured"] - 1
    cells["several"] = len(simulated) + len(measured) > 2
    return {**cells, "runs": names(simulated), "measured_runs": names(measured)}
