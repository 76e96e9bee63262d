"""What invocations and workers did when, from the tables of a run, whichever world wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.runs import lookup
from sim.records.tables import STAGES

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run

_LONGEST_KEY = 40  # public traces name functions by hashes of 64 and more


def end_s(run: Run) -> float:
    """When a run ended: no invocation or worker of its tables goes on after that."""
    return float(lookup(run.path / "summary.json", run.summary, "simulated_s"))


def invocations(run: Run) -> pd.DataFrame:
    """The table of invocations in order of their numbers, with the instants at which their steps began.

    dispatch_at_s: their worker stood idle for them. kernels_at_s: the first kernel; store_at_s: after the last, copies
    back. left_at_s: their worker was done with them. over_at_s: their end, or that of the run. All but the last are
    NaN where no device began on them. Behind a frontend a reply comes after its worker is done, and the copy back
    counts to it: tables do not tell them apart.
    """
    rows = run.table("invocations").sort_values("invocation", ignore_index=True)
    started_at_s = rows["started_at_s"].to_numpy()
    dispatch_at_s = np.maximum(started_at_s - rows["dispatch_s"], rows["arrival_at_s"])
    kernels_at_s = started_at_s + rows["load_s"].to_numpy()
    store_at_s = kernels_at_s + rows["run_s"].to_numpy()
    over_at_s = rows["completed_at_s"].fillna(end_s(run)).to_numpy()
    left_at_s = np.where(np.isnan(started_at_s), np.nan, over_at_s)
    if has_frontend(run):
        done = (rows["status"] == "completed").to_numpy()
        left_at_s = np.where(done, np.minimum(store_at_s + rows["host_s"].to_numpy(), over_at_s), left_at_s)
    return rows.assign(
        dispatch_at_s=dispatch_at_s,
        kernels_at_s=np.minimum(kernels_at_s, left_at_s),
        store_at_s=np.minimum(store_at_s, left_at_s),
        left_at_s=left_at_s,
        over_at_s=over_at_s,
    )


def has_frontend(run: Run) -> bool:
    """Whether a server stands before the pool, through which replies go too."""
    scenario = run.manifest.get("scenario") or {}
    return str(scenario.get("frontend", "none")) != "none"


def workers(run: Run) -> pd.DataFrame:
    """The table of workers that had a device, in order of their numbers, with the instants of their lives.

    begun_at_s: they got the device, and their start began there; climbed_at_s: it was over; over_at_s: they left, or
    the run ended. Of those that never got ready begun_at_s is the order, and climbed_at_s the end.
    """
    rows = run.table("workers").sort_values("worker", ignore_index=True)
    rows = rows[rows["device"] >= 0].reset_index(drop=True)
    over_at_s = rows["stopped_at_s"].fillna(end_s(run)).to_numpy()
    ready_at_s = rows["ready_at_s"].to_numpy()
    climbed_at_s = np.where(np.isnan(ready_at_s), over_at_s, ready_at_s)
    begun_at_s = rows["requested_at_s"].to_numpy()
    lasts_s = rows[[f"{name}_s" for name in stages(run)]].sum(axis=1).to_numpy()
    begun_at_s = np.where(np.isnan(ready_at_s), begun_at_s, np.maximum(ready_at_s - lasts_s, begun_at_s))
    return rows.assign(begun_at_s=begun_at_s, climbed_at_s=climbed_at_s, over_at_s=np.maximum(over_at_s, climbed_at_s))


def stages(run: Run) -> tuple[str, ...]:
    """The stages of starts, in their order, until a worker is ready. In a replay the first run is of an invocation: it
    comes after that."""
    return STAGES[:-1] if run.manifest.get("world") == "replay" else STAGES


def function_names(run: Run) -> list[str]:
    """What to call each function: its key or, where that is long, its number and its graph."""
    rows = run.table("functions", ["function", "key", "graph"])
    return [
        key if len(key) <= _LONGEST_KEY else f"function {number} ({graph})"
        for number, key, graph in rows.itertuples(index=False, name=None)
    ]


def links(run: Run, n_devices: int) -> list[int]:
    """The host link of each device, by the number of the first device on it."""
    fleet = (run.manifest.get("scenario") or {}).get("fleet") or {}
    per_node = int(fleet.get("gpus_per_node", 8)), int(fleet.get("gpus_per_link", 1))
    sizes = [(int(n["gpus"]), int(n.get("gpus_per_link", 1))) for n in fleet.get("nodes") or () for _ in _times(n)]
    while sum(size for size, _ in sizes) < n_devices:
        sizes.append(per_node)
    found: list[int] = []
    for size, per_link in sizes:
        first = len(found)
        found += [first + place - place % per_link for place in range(size)]
    return found[:n_devices]


def nodes(run: Run, n_devices: int) -> list[int]:
    """The node of each device."""
    known = dict(run.table("devices", ["device", "node"]).drop_duplicates().itertuples(index=False, name=None))
    known |= dict(run.table("workers", ["device", "node"]).drop_duplicates().itertuples(index=False, name=None))
    return [int(known.get(device, 0)) for device in range(n_devices)]


def _times(node: dict[str, object]) -> range:
    return range(int(str(node.get("count", 1))))
