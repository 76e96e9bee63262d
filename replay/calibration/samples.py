"""What the tables of replays tell, as samples for a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from replay.errors import ReplayError
from replay.fleet.modes import TOGETHER
from sim.models.workloads.catalogue import CatalogueEntry, load_catalogue
from sim.records.results import Run


@dataclass(frozen=True)
class Samples:
    """Rows of several replays on equal devices, run by run in the order of time.

    invocations: completed ones, with the columns of the table and ``run`` (number), ``kind`` (of worker), ``graph``,
    ``total_s`` (its worker was at it), ``device_s`` (the part of that on the device), ``wait_s`` (from when it was
    issued and its worker idle to its start; NaN where the worker was not), ``rank`` (from 0, of this function on its
    worker), ``graph_rank`` (of this graph), ``is_late`` (second half of its run). workers: exclusive ones that were
    started in the run and got ready, with ``run``, ``graph`` and ``is_late``.
    """

    device: str
    capacity_bytes: int
    graphs: Mapping[str, CatalogueEntry]
    invocations: pd.DataFrame
    workers: pd.DataFrame


def valid_of(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Those of the runs that are valid, and of the others which they are and why; all of them when none is."""
    valid = [run for run in runs if run.manifest["valid"]]
    left_out = [f"{run.path}: {_invalid(run)}" for run in runs if not run.manifest["valid"]]
    return (valid, left_out) if valid else (list(runs), [])


def read_samples(runs: Sequence[Run]) -> Samples:
    """Read replays.

    Raises ReplayError for other runs, invalid ones, such of workers that shared a GPU (their times are not those of
    the GPU alone), and such of different devices or memory.
    """
    facts = {_facts(run) for run in runs}
    if len(facts) != 1:
        told = "; ".join(f"{device} with {size:,} B for buffers" for device, size in sorted(facts))
        raise ReplayError(f"the runs must be of equal devices and memory, but there are {told or 'none'}")
    device, capacity_bytes = facts.pop()
    graphs: dict[str, CatalogueEntry] = {}
    for run in runs:
        graphs |= load_catalogue(run.manifest["scenario"]["catalogue"])
    invocations = pd.concat([_invocations(run, number) for number, run in enumerate(runs)], ignore_index=True)
    workers = pd.concat([_workers(run, number) for number, run in enumerate(runs)], ignore_index=True)
    return Samples(device, capacity_bytes, graphs, invocations, workers)


def _facts(run: Run) -> tuple[str, int]:
    """(device, memory for buffers) of a valid replay."""
    if run.manifest.get("world") != "replay":
        raise ReplayError(f"{run.path}: is a run of {run.manifest.get('world')!r}, must be one of 'replay run'")
    if not run.manifest["valid"]:
        raise ReplayError(f"{run.path}: {_invalid(run)}, must be a valid run")
    if (mode := run.manifest["replay"]["mode"]) in TOGETHER:
        raise ReplayError(f"{run.path}: is of the mode {mode!r}, must be of workers that had their GPUs for themselves")
    device = run.manifest["replay"]["device"]
    return device["name"], device["capacity_bytes"]


def _invalid(run: Run) -> str:
    return f"is INVALID ({'; '.join(run.manifest['reasons'])})"


def _invocations(run: Run, number: int) -> pd.DataFrame:
    rows = run.table("invocations")
    rows = rows[rows["status"] == "completed"].sort_values(["worker", "started_at_s"], ignore_index=True)
    kinds = run.table("workers", ["worker", "kind"]).set_index("worker")["kind"].astype(str)
    rows["run"] = number
    rows["kind"] = rows["worker"].map(kinds)
    rows["graph"] = rows["function"].map(_graph_of(run))
    rows["total_s"] = rows["completed_at_s"] - rows["started_at_s"]
    rows["device_s"] = rows["total_s"] - rows["host_s"]
    worker = rows.groupby("worker")
    idle_since_s = worker["completed_at_s"].shift().fillna(0.0)
    waited_s = rows["started_at_s"] - rows["queued_at_s"]
    rows["wait_s"] = waited_s.where((idle_since_s <= rows["queued_at_s"]) & ~rows["cold"])
    rows["rank"] = rows.groupby(["worker", "function"]).cumcount()
    rows["graph_rank"] = rows.groupby(["worker", "graph"]).cumcount()
    first = (rows["kind"] == "exclusive") & (rows["rank"] == 0)
    rows["is_warm"] = (rows["constant_bytes"] == 0) & ~first
    rows["is_late"] = rows["arrival_at_s"] > run.manifest["simulated_s"] / 2
    return rows.sort_values("started_at_s", ignore_index=True)


def _workers(run: Run, number: int) -> pd.DataFrame:
    rows = run.table("workers")
    rows = rows[(rows["kind"] == "exclusive") & (rows["ready_at_s"] > rows["requested_at_s"])].copy()
    rows["run"] = number
    rows["graph"] = rows["function"].map(_graph_of(run))
    rows["is_late"] = rows["requested_at_s"] > run.manifest["simulated_s"] / 2
    return rows.sort_values("requested_at_s", ignore_index=True)


def _graph_of(run: Run) -> pd.Series[str]:
    return run.table("functions", ["function", "graph"]).set_index("function")["graph"].astype(str)
