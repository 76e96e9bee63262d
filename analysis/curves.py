"""What the figures draw of one run: millions of rows reduced to a few thousand numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis import metrics
from analysis.labels import brief_policies, labels, named
from analysis.metrics import Floats
from analysis.runs import fault, measured, positive, require_functions, warnings
from sim.records.results import Run
from sim.records.tables import GPU_PARTS

_INVOCATIONS = ("function", "status", "arrival_at_s", "started_at_s", "completed_at_s")
_DEVICES = ("start_at_s", *GPU_PARTS.values(), "n_cold", "n_evicted")

SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Curves:
    """The lines of one run.

    Arrays by interval are one shorter than their edges, which end with the run or at the horizon. A pair is a
    distribution as ``metrics.cdf`` gives it, of measured invocations; empty when nothing completed.
    """

    label: str
    warnings: list[str]  # each as short as it may be: what comes before its colon
    latency_s: tuple[Floats, Floats]
    edges_s: Floats
    latency_p50_s: Floats  # by interval of arrival; NaN where nothing that arrived completed
    latency_p99_s: Floats
    queue_length: Floats
    gpu_edges_s: Floats  # no finer than the devices table
    gpu_frac: Floats  # by part of GPU time (``sim.records.tables.GPU_PARTS``) and interval; the rest is idle
    n_cold: int
    n_evicted: int
    slowdown: tuple[Floats, Floats]
    slowdown_spread: Floats  # at the shares SPREAD; empty when nothing completed


def horizon_s(runs: Sequence[Run]) -> float:
    """The end of the time axis: when the first of the valid runs ended.

    Later nothing is left to compare, and an overloaded run may take days to finish an hour of arrivals.
    """
    valid = [run for run in runs if not fault(run)]
    return min(positive(run, "simulated_s") for run in valid or runs)


def plot_labels(runs: Sequence[Run], names: Sequence[str] = ()) -> list[str]:
    """Short labels, or a user's names for the runs, that don't hide an invalid run."""
    called = named(labels(runs, brief_policies(runs)), names)
    return [f"{label} (INVALID)" if fault(run) else label for run, label in zip(runs, called, strict=True)]


def measure(run: Run, label: str, horizon_s: float) -> Curves:
    """Read the tables of a run, only the columns needed, and reduce them to curves over time up to ``horizon_s``.

    The intervals of all runs with one horizon are equal, so that their curves compare. Raises RunError when a table
    or a manifest key is missing or contradicts another.
    """
    duration_s, interval_s = positive(run, "simulated_s"), positive(run, "interval_s")
    n_gpus = positive(run, "scenario", "fleet", "gpus")
    width_s = metrics.interval_width_s(horizon_s)
    edges = metrics.interval_edges(duration_s, width_s)
    gpu_edges = metrics.interval_edges(duration_s, max(width_s, interval_s))
    devices = run.table("devices", _DEVICES)
    functions = run.table("functions", ("isolated_s",))
    invocations = run.table("invocations", _INVOCATIONS)
    require_functions(run, invocations, len(functions))
    latency = metrics.latency_s(invocations)
    arrival = metrics.of_completed(invocations, "arrival_at_s")
    p50, p99 = metrics.quantiles_by_interval(arrival, latency, edges, (0.5, 0.99))
    counted = measured(run, invocations)
    slowdown = metrics.slowdown(counted, functions)
    n, n_gpu = (int(np.searchsorted(e[:-1], horizon_s)) for e in (edges, gpu_edges))
    return Curves(
        label=label if len(latency) else f"{label} (none completed)",
        warnings=list(dict.fromkeys(warning.partition(":")[0] for warning in warnings(run))),
        latency_s=metrics.cdf(metrics.latency_s(counted)),
        edges_s=edges[: n + 1],
        latency_p50_s=p50[:n],
        latency_p99_s=p99[:n],
        queue_length=metrics.queue_length(invocations, edges)[:n],
        gpu_edges_s=gpu_edges[: n_gpu + 1],
        gpu_frac=metrics.gpu_shares(devices, interval_s=interval_s, n_gpus=n_gpus, edges=gpu_edges)[:, :n_gpu],
        n_cold=int(devices["n_cold"].sum()),
        n_evicted=int(devices["n_evicted"].sum()),
        slowdown=metrics.cdf(slowdown),
        slowdown_spread=np.quantile(slowdown, SPREAD) if len(slowdown) else np.empty(0),
    )
