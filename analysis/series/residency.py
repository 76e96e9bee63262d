"""What was in device memory when: one run a policy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis import metrics
from analysis.curves import horizon_s
from analysis.dataset import Dataset
from analysis.metrics import Floats
from analysis.series.table import Series, choose, n_unsteady
from analysis.study_report import Value
from sim.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run

_CELLS = 100  # of a row
_ROWS = 20  # functions


def residency(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Bytes of each function in the memory of all GPUs, by interval: of the first seed, a panel a policy.

    Of the functions that took most over time. Runs must have the table ``residency`` (``simulate run --stays``).
    Columns: policy, function (its key), start_at_s, end_at_s, mean_bytes, unsteady (0 or 1), run. Raises RunError when
    another factor differs, or a run lacks the table.
    """
    import pandas as pd

    chosen = choose(dataset, where, panels=False)
    first = {key["policy"]: group.sort_values("seed")[:1] for key, group in chosen.groups()}
    runs = {policy: dataset.open(rows["run"].iloc[0]) for policy, rows in first.items()}
    end_s = horizon_s(list(runs.values()))
    edges = metrics.interval_edges(end_s, metrics.interval_width_s(end_s, _CELLS))
    table = pd.concat(
        _held(run, edges).assign(policy=policy, unsteady=n_unsteady(rows), run=rows["run"].iloc[0])
        for (policy, run), rows in zip(runs.items(), first.values(), strict=True)
    )
    held = table.groupby("function")["mean_bytes"].sum()
    most = held[held > 0].nlargest(_ROWS)
    shown = table[table["function"].isin(most.index)].reset_index(drop=True)
    order = {key: place for place, key in enumerate(most.index)}
    shown = shown.sort_values("function", key=lambda keys: keys.map(order), kind="stable", ignore_index=True)
    rest = int((held > 0).sum()) - len(most)
    notes = (f"The {len(most)} functions that took most, and not {rest} others.",) if rest else ()
    names = tuple(rows["run"].iloc[0] for rows in first.values())
    return Series(shown, "Time", "GB in the memory of GPUs", names, (*notes, *chosen.notes))


def _held(run: Run, edges: Floats) -> pd.DataFrame:
    """Mean bytes of each function in each interval."""
    import pandas as pd

    if not (run.path / "residency.parquet").exists():
        raise RunError(f"{run.path}: has no table residency; simulate run --stays writes it")
    stays = run.table("residency", ("function", "bytes", "loaded_at_s", "left_at_s"))
    keys = run.table("functions", ("key",))["key"].astype(str)
    held = np.zeros((len(keys), len(edges) - 1))
    until_s = stays["left_at_s"].fillna(np.inf).to_numpy()
    from_s, number, size = (stays[name].to_numpy() for name in ("loaded_at_s", "function", "bytes"))
    for cell, (low_s, high_s) in enumerate(itertools.pairwise(edges)):
        inside_s = np.maximum(np.minimum(until_s, high_s) - np.maximum(from_s, low_s), 0.0)
        held[:, cell] = np.bincount(number, inside_s * size, minlength=len(keys)) / (high_s - low_s)
    row, cell_of = np.indices(held.shape).reshape(2, -1)
    columns = {"function": keys.to_numpy()[row], "start_at_s": edges[cell_of], "end_at_s": edges[cell_of + 1]}
    return pd.DataFrame({**columns, "mean_bytes": held.ravel()})
