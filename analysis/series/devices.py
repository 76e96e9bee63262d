"""What each GPU did when: one run a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from analysis import metrics
from analysis.curves import horizon_s
from analysis.dataset import Dataset
from analysis.runs import positive
from analysis.series.table import Series, choose, n_unsteady
from analysis.study_report import Value
from sim.records.results import Run
from sim.records.tables import GPU_PARTS

if TYPE_CHECKING:
    import pandas as pd

Part: TypeAlias = Literal["kernels", "loads", "dispatch", "startup", "occupied"]

_CELLS = 100  # of a row
_SAID = {
    "kernels": "in kernels",
    "loads": "in copies alone",
    "dispatch": "waiting for dispatch",
    "startup": "in cold starts",
    "occupied": "occupied",
}


def heat(dataset: Dataset, where: Mapping[str, Value], *, part: Part = "kernels") -> Series:
    """Share of the time of each GPU, by interval: of the first seed, a panel a policy.

    part: of GPU time, or all but idle. The time axis ends with the shortest run. Columns: policy, gpu, start_at_s,
    end_at_s, share, unsteady (0 or 1), run. Raises RunError when another factor differs.
    """
    import pandas as pd

    chosen = choose(dataset, where, panels=False)
    first = {key["policy"]: group.sort_values("seed").iloc[0] for key, group in chosen.groups()}
    runs = {policy: dataset.open(row["run"]) for policy, row in first.items()}
    end_s = horizon_s(list(runs.values()))
    frames = []
    for policy, run in runs.items():
        unsteady = n_unsteady(first[policy].to_frame().T)
        frames.append(_shares(run, end_s, part).assign(policy=policy, unsteady=unsteady, run=first[policy]["run"]))
    seeds = sorted({int(row["seed"]) for row in first.values()})
    notes = (f"Seed {', '.join(map(str, seeds))}.", *chosen.notes)
    table = pd.concat(frames, ignore_index=True)
    return Series(table, "Time", f"GPU time {_SAID[part]} (%)", tuple(row["run"] for row in first.values()), notes)


def _shares(run: Run, end_s: float, part: Part) -> pd.DataFrame:
    import pandas as pd

    interval_s = positive(run, "interval_s")
    columns = list(GPU_PARTS.values()) if part == "occupied" else [GPU_PARTS[part]]
    rows = run.table("devices", ("device", "start_at_s", *columns))
    width_s = max(metrics.interval_width_s(end_s, _CELLS), interval_s)
    edges = metrics.interval_edges(end_s, width_s)
    n = int(positive(run, "scenario", "fleet", "gpus"))
    interval = np.searchsorted(edges, rows["start_at_s"], "right") - 1
    inside = interval < len(edges) - 1
    spent_s = np.zeros((n, len(edges) - 1))
    values = rows[columns].sum(axis=1).to_numpy()
    np.add.at(spent_s, (rows["device"].to_numpy()[inside], interval[inside]), values[inside])
    share = np.minimum(spent_s / np.diff(edges), 1.0)
    gpu, cell = np.indices(share.shape).reshape(2, -1)
    return pd.DataFrame({"gpu": gpu, "start_at_s": edges[cell], "end_at_s": edges[cell + 1], "share": share.ravel()})
