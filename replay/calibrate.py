"""A calibration file from replays and a probe, in the schema of ``sim.models.calibration``.

Every number says how many samples it has, and how well the first half of each run predicts the second. A number that
the runs had no use for comes from the probe; one that they needed but don't determine is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from replay.errors import ReplayError
from replay.fit import MIN_SAMPLES, Estimate, Floats, estimate, mean, non_negative, ratio
from replay.samples import Samples, read_samples
from sim.domain import KernelGraph, WorkerKind
from sim.models.calibration import SCHEMA_VERSION
from sim.results import Run

KINDS = tuple(kind.value for kind in WorkerKind)


def calibrate(runs: Sequence[Run], probe: dict[str, Any], name: str) -> dict[str, Any]:
    """The content of a calibration file, for JSON. ``probe``: what ``replay.probe.probe`` gave on the same device.

    Raises ReplayError for a quantity with too few samples.
    """
    samples = read_samples(runs)
    if probe["device"]["name"] != samples.device:
        raise ReplayError(f"the probe is of {probe['device']['name']}, must be of the runs' {samples.device}")
    fits = _Fits(samples, probe["measurements"])
    modules = fits.module_s()
    first_use, h2d_first = fits.first_use(modules["kaas"].value)
    exact = {"source": f"capacity of the replay's executor, {samples.capacity_bytes:,} B, is what the device has"}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "provenance": _provenance(runs, probe, samples),
        "device": {"name": samples.device, "memory_bytes": {"value": samples.capacity_bytes, **exact}},
        "executor": {
            "margin_bytes": {"value": 0, **exact},
            "context_bytes": {"value": 0, **exact},
            "keeps_headroom": {"value": False, "source": "design of replay.executor"},
            "caches_temporaries": {"value": False, "source": "design of replay.executor"},
        },
        "copies": {
            "h2d_bytes_per_s": fits.h2d().as_entry(),
            "h2d_first_bytes_per_s": h2d_first.as_entry(),
            "d2h_bytes_per_s": fits.probed("d2h_pinned_bytes_per_s").as_entry(),
        },
        "executor_first_use_s": first_use.as_entry(),
        "dispatch_s": {kind: fits.dispatch_s(kind).as_entry() for kind in KINDS},
        "launch_s": {kind: fits.probed("launch_s").as_entry() for kind in KINDS},
        "buffer_s": {kind: _none("run_s of each graph has it").as_entry() for kind in KINDS},
        "roofline": fits.roofline(),
        "module_s": {kind: modules[kind].as_entry() for kind in KINDS},
        "startup_s": {stage: number.as_entry() for stage, number in fits.startup_s().items()},
        "graphs": fits.graphs(),
    }


class _Fits:
    """The estimates, one method for each part of the file."""

    def __init__(self, samples: Samples, measured: dict[str, dict[str, Any]]) -> None:
        self._graphs = samples.graphs
        self._rows = samples.invocations
        self._workers = samples.workers
        self._measured = measured
        self._first_run = self._first_runs()
        self._run_s = {kind: self._graph_run_s(kind) for kind in KINDS}

    def probed(self, name: str) -> Estimate:
        """A number of the probe."""
        m = self._measured[name]
        return Estimate(m["value"], f"probe: {name}, median of {m['n']}, {m['least']:.4g} to {m['most']:.4g}")

    # Copies and first use

    def h2d(self) -> Estimate:
        """Constants that come back after an eviction; else those of exclusive workers as they start."""
        again = self._rows[
            (self._rows["constant_bytes"] > 0) & (self._rows["kind"] == "kaas") & (self._rows["rank"] > 0)
        ]
        if len(again):
            how = "bytes / load_s of evicted constants that were loaded again"
            return _of(again, ["constant_bytes", "load_s"], ratio, "copies.h2d_bytes_per_s", how)
        starts = self._workers[self._workers["h2d_bytes"] > 0]
        if len(starts):
            how = "bytes / stage constants of exclusive workers"
            return _of(starts, ["h2d_bytes", "constants_s"], ratio, "copies.h2d_bytes_per_s", how)
        return self.probed("h2d_pinned_bytes_per_s")

    def first_use(self, module_s: float) -> tuple[Estimate, Estimate]:
        """(executor_first_use_s, h2d_first_bytes_per_s): load_s of first uses, less modules, over bytes."""
        rows = self._rows[
            (self._rows["kind"] == "kaas") & (self._rows["rank"] == 0) & (self._rows["constant_bytes"] > 0)
        ]
        if not len(rows):
            bandwidth = self.probed("h2d_pinned_bytes_per_s")
            return _none("no function was used for the first time"), bandwidth
        modules = rows["graph"].map(self._n_modules()) * (rows["graph_rank"] == 0)
        table = pd.DataFrame(
            {"y": rows["load_s"] - modules * module_s, "bytes": rows["constant_bytes"], "is_late": rows["is_late"]}
        )
        how = "load_s of first uses less their modules, least squares over bytes"
        columns = ["y", "bytes"]
        first_use = _of(table, columns, lambda t: _line(t)[0], "executor_first_use_s", f"{how}: intercept")
        first_bandwidth = _of(table, columns, lambda t: _line(t)[1], "copies.h2d_first_bytes_per_s", f"{how}: slope")
        return first_use, first_bandwidth

    def module_s(self) -> dict[str, Estimate]:
        """Loading one module, from the starts of exclusive workers; what executors take is the same."""
        if not len(self._workers):
            return dict.fromkeys(KINDS, self.probed("module_s"))
        table = self._workers.assign(n=self._workers["graph"].map(self._n_modules()))
        found = _of(table, ["modules_s", "n"], ratio, "module_s", "stage modules / modules of exclusive workers")
        return dict.fromkeys(KINDS, found)

    def dispatch_s(self, kind: str) -> Estimate:
        """From issue to start when the worker was idle."""
        rows = self._rows[(self._rows["kind"] == kind) & self._rows["wait_s"].notna()]
        if not len(self._rows[self._rows["kind"] == kind]):
            return _none("the runs have no such workers")
        return _of(rows, ["wait_s"], mean, f"dispatch_s.{kind}", "issue to start on an idle worker")

    # Graphs

    def graphs(self) -> dict[str, Any]:
        """run_s by graph and kind; what the start of a graph's exclusive worker takes beyond that of the quickest."""
        found: dict[str, Any] = {}
        for kind in KINDS:
            for graph, run_s in self._run_s[kind].items():
                found.setdefault(graph, {})[kind] = {"run_s": run_s.as_entry()}
        extra_s = self._context_s() - self._context_s().min()
        for graph, seconds in extra_s.items():
            if graph in found and "exclusive" in found[graph]:
                source = "measured: mean stage context of its workers less that of the quickest graph's"
                found[graph]["exclusive"]["runtime_s"] = Estimate(float(seconds), source).as_entry()
        return found

    def roofline(self) -> dict[str, Any]:
        """What the best of the measured graphs reach: only for graphs without a measurement."""
        run_s = self._run_s["kaas"] or self._run_s["exclusive"]
        work = [(self._graphs[g].graph, s.value) for g, s in run_s.items()]
        flops = np.array([_sum(graph, "flops") / s for graph, s in work])
        moved = np.array([_sum(graph, "moved_bytes") / s for graph, s in work])
        source = "derived: the best graph; only for graphs without a measurement"
        reached = float(np.exp(np.log(flops[flops > 0] / flops.max()).mean()))
        return {
            "flops_per_s": {"value": float(flops.max()), "source": source},
            "bytes_per_s": {"value": float(moved.max()), "source": source},
            "compute_frac": {"value": reached, "source": "derived: geometric mean of the graphs / the best"},
            "bandwidth_frac": {"value": 1.0, "source": source},
        }

    def _graph_run_s(self, kind: str) -> dict[str, Estimate]:
        """Mean time on the device of warm invocations; where they are few, of all less what they had to load, and of
        first runs less first_run."""
        found = {}
        of_kind = self._rows[self._rows["kind"] == kind]
        for name, rows in of_kind.groupby("graph"):
            graph = str(name)  # of the frame
            warm, how = rows[rows["is_warm"]], "time on the device, warm"
            if len(warm) < MIN_SAMPLES:
                first_run_s = self._first_run.value * (~rows["is_warm"]) if kind == "exclusive" else 0.0
                warm = rows.assign(total_s=rows["total_s"] - rows["load_s"] - first_run_s)
                how = "time on the device less that of loading and of first_run"
            found[graph] = _of(warm, ["total_s"], mean, f"graphs.{graph}.{kind}.run_s", how)
        return found

    def _first_runs(self) -> Estimate:
        """How much longer the first run of an exclusive worker takes than warm ones of its graph take on average."""
        rows = self._rows[self._rows["kind"] == "exclusive"]
        warm = rows[rows["is_warm"]].groupby("graph")["total_s"]
        warm_s = warm.mean()[warm.count() >= MIN_SAMPLES]
        first = rows[~rows["is_warm"] & rows["graph"].isin(warm_s.index)]
        if len(first) < MIN_SAMPLES:
            return _none("too few graphs ran both cold and warm on exclusive workers; run_s has it")
        table = first.assign(excess_s=first["total_s"] - first["graph"].map(warm_s))
        found = _of(table, ["excess_s"], mean, "startup_s.first_run", "first run less the mean warm run of its graph")
        return replace(found, value=max(found.value, 0.0))

    # Cold starts

    def startup_s(self) -> dict[str, Estimate]:
        """The stages of exclusive workers that are the same for all graphs."""
        starts = self._workers
        if not len(starts):
            stages = {stage: self.probed(f"{stage}_s") for stage in ("kill_release", "process", "runtime", "context")}
            return {**stages, "first_run": self._first_run}
        stages = {
            stage: _of(starts, [f"{stage}_s"], mean, f"startup_s.{stage}", f"stage {stage} of exclusive workers")
            for stage in ("process", "runtime")
        }
        stages["first_run"] = self._first_run
        killed = starts[starts["kill_release_s"] > 0]
        how = "from the kill of the worker before to the release of its memory"
        stages["kill_release"] = (
            _of(killed, ["kill_release_s"], mean, "startup_s.kill_release", how)
            if len(killed)
            else self.probed("kill_release_s")
        )
        quickest = str(self._context_s().idxmin())
        rows = starts[starts["graph"] == quickest]
        how = f"stage context of workers of {quickest}, the quickest graph"
        stages["context"] = _of(rows, ["context_s"], mean, "startup_s.context", how)
        return stages

    def _context_s(self) -> pd.Series[float]:
        """Mean stage context by graph; graphs with too few starts count as the mean of all."""
        by_graph = self._workers.groupby("graph")["context_s"]
        enough = by_graph.count() >= MIN_SAMPLES
        return by_graph.mean()[enough]

    def _n_modules(self) -> dict[str, int]:
        return {name: entry.graph.n_modules for name, entry in self._graphs.items()}


def _of(rows: pd.DataFrame, columns: list[str], statistic: Any, what: str, how: str) -> Estimate:
    values: Floats = rows[columns].to_numpy(dtype=np.float64)
    is_late: npt.NDArray[np.bool_] = rows["is_late"].to_numpy(dtype=np.bool_)
    return estimate(what, values, is_late, statistic, how)


def _line(rows: Floats) -> tuple[float, float]:
    """(intercept in seconds, bytes/s) of seconds over bytes; both non-negative, and the bandwidth finite."""
    seconds, size = rows[:, 0], rows[:, 1]
    intercept, slope = non_negative([np.ones(len(rows)), size], seconds)
    return intercept, 1 / slope if slope else float(size.sum() / max(seconds.sum(), 1e-9))


def _none(why: str) -> Estimate:
    return Estimate(0.0, f"none: {why}")


def _sum(graph: KernelGraph, what: str) -> int:
    per_pass: int = sum(getattr(kernel, what) for kernel in graph.kernels)
    return graph.n_iter * per_pass


def _provenance(runs: Sequence[Run], probe: dict[str, Any], samples: Samples) -> str:
    device, machine = probe["device"], probe["machine"]
    used = "; ".join(f"{run.label}, {run.summary['completed']} invocations, {run.manifest['started']}" for run in runs)
    return (
        f"Measured by 'replay calibrate' on {samples.device}, {machine['cpus']} cores, {machine['system']}, CUDA "
        f"driver {device['cuda_driver']}, runtime {device['cuda_runtime']}, from {used}. 'hold-out error' is how far "
        "what the first half of each run says is from what the second half says."
    )
