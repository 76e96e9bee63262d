"""What samples of replays say of each number of a calibration, and what a probe says where they have no use for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from replay.calibration.bootstrap import Floats
from replay.calibration.estimates import (
    MIN_SAMPLES,
    Estimate,
    Statistic,
    estimate,
    mean,
    non_negative,
    nothing,
    ratio,
    spread,
)
from replay.calibration.samples import Samples
from replay.kernels.sources import LIBRARIES
from sim.domain import WorkerKind

KINDS = tuple(kind.value for kind in WorkerKind)
Fit = Callable[[str, pd.DataFrame, str], Estimate]  # name of the number, rows, kind of worker
RARE_FRAC = 0.05  # what concerns fewer than MIN_SAMPLES invocations, and no more than these, is of no use to the runs


class Fits:
    """Estimates from samples. measurements: of ``replay.calibration.probe``.

    Raises ReplayError, when it is made or asked, for a number that the runs need with too few samples of it.
    """

    def __init__(self, samples: Samples, measurements: dict[str, dict[str, Any]]) -> None:
        self._rows = samples.invocations
        self._workers = samples.workers
        self._measurements = measurements
        library_s = {name: found.value for name, found in self.library_s().items()}
        sources = {name: entry.graph.sources for name, entry in samples.graphs.items()}
        self._n_modules = {name: sum(s not in library_s for s in its) for name, its in sources.items()}
        self._library_s = {name: sum(library_s.get(s, 0.0) for s in its) for name, its in sources.items()}
        executor = self._rows["kind"] == "kaas"
        self._loads = self._rows[executor & (self._rows["constant_bytes"] > 0)]
        self.module_s = self._module_s()
        self.h2d = self._h2d()
        self.first_use_s, self.h2d_first = self._first_use()
        self.dispatch_s = {kind: self._dispatch_s(kind) for kind in KINDS}
        self.startup_s = self._startup_s()
        self.run_s = self._by_graph("run_s", self._run_s)
        self.host_s = self._by_graph("host_s", self._host_s)
        self.host_of_all_s = {kind: self._host_s(f"host_s.{kind}", self._rows, kind) for kind in KINDS}

    def probed(self, name: str) -> Estimate:
        """A number of the probe."""
        m = self._measurements[name]
        return Estimate(m["value"], f"probe: {name}, median of {m['n']}, {m['least']:.4g} to {m['most']:.4g}")

    def has_probed(self, name: str) -> bool:
        """Whether the probe has a number: it lacks those of libraries that it didn't find."""
        return name in self._measurements

    def library_s(self) -> dict[str, Estimate]:
        """What it takes to load each library that the probe found."""
        return {name: self.probed(f"{name}_load_s") for name in LIBRARIES if self.has_probed(f"{name}_load_s")}

    def runtime_s(self) -> dict[str, Estimate]:
        """By graph, what a cold start takes beyond the stages that are the same for all graphs."""
        first = self._rows[(self._rows["kind"] == "exclusive") & ~self._rows["is_warm"]].groupby("graph")["total_s"]
        common_s = self.startup_s["context"].value + self.startup_s["first_run"].value
        found = {}
        for name, starts in self._workers.groupby("graph"):
            graph = str(name)
            if graph not in first.groups:
                continue
            own_s = (starts["context_s"] + starts["constants_s"]).mean() + first.mean()[graph]
            warm_s = self.run_s[graph]["exclusive"].value + self.host_s[graph]["exclusive"].value
            common_and_warm_s = common_s + starts["h2d_bytes"].mean() / self.h2d.value + warm_s
            source = (
                "measured: stages context and constants and the first run, less startup_s.context, constants / "
                f"h2d_bytes_per_s, run_s, host_s and startup_s.first_run; n = {len(starts)}"
            )
            found[graph] = Estimate(max(float(own_s - common_and_warm_s), 0.0), source)
        return found

    def spread(self) -> dict[tuple[str, str], Estimate]:
        """By graph and kind, how much the kernels' time of warm invocations varies, where there are enough."""
        warm = self._rows[self._rows["is_warm"] & (self._rows["run_s"] > 0)]
        found = {}
        for (graph, kind), rows in warm.groupby(["graph", "kind"]):
            if len(rows) >= MIN_SAMPLES:
                how = f"standard deviation / mean of run_s on {kind} workers, warm"
                what = f"graphs.{graph}.{kind}.spread"
                found[str(graph), str(kind)] = _of(rows, ["run_s"], spread, what, how, each=nothing)
        return found

    def _is_rare(self, rows: pd.DataFrame) -> bool:
        return len(rows) < MIN_SAMPLES and len(rows) <= RARE_FRAC * len(self._rows)

    # Copies and modules

    def _h2d(self) -> Estimate:
        """Constants that come back after an eviction. The stage ``constants`` does not tell: it pins memory too."""
        what = "copies.h2d_bytes_per_s"
        again = self._loads[self._loads["rank"] > 0]
        if not self._is_rare(again):
            how = "bytes / load_s of evicted constants that were loaded again"
            return _of(again, ["constant_bytes", "load_s"], ratio, what, how)
        return self.probed("h2d_pinned_bytes_per_s")

    def _first_use(self) -> tuple[Estimate, Estimate]:
        """(seconds, bytes/s): load_s of a function's first use on an executor, less new modules, over its bytes."""
        rows = self._loads[self._loads["rank"] == 0]
        if self._is_rare(rows):
            return none("functions were hardly used for the first time"), self.probed("h2d_pinned_bytes_per_s")
        modules_s = rows["graph"].map(self._n_modules) * self.module_s.value + rows["graph"].map(self._library_s)
        table = rows.assign(own_s=rows["load_s"] - modules_s * (rows["graph_rank"] == 0))
        how = "load_s of first uses less new modules, least squares over bytes"
        columns = ["own_s", "constant_bytes"]
        return (
            _of(table, columns, lambda t: _line(t)[0], "executor_first_use_s", f"{how}: intercept", each=nothing),
            _of(table, columns, lambda t: _line(t)[1], "copies.h2d_first_bytes_per_s", f"{how}: slope", each=nothing),
        )

    def _module_s(self) -> Estimate:
        """Loading one module, from the starts of exclusive workers; executors load them in the same way."""
        if self._is_rare(self._workers):
            return self.probed("module_s")
        graph = self._workers["graph"]
        own_s = self._workers["modules_s"] - graph.map(self._library_s)
        table = self._workers.assign(n=graph.map(self._n_modules), own_s=own_s)
        return _of(table, ["own_s", "n"], ratio, "module_s", "stage modules / modules of exclusive workers")

    def _dispatch_s(self, kind: str) -> Estimate:
        """From issue to start when the worker was idle. One driver serves both kinds: the rarer one has it from the
        other."""
        idle = self._rows[self._rows["wait_s"].notna()]
        counts = idle["kind"].value_counts()
        source = kind if counts.get(kind, 0) >= MIN_SAMPLES or not len(counts) else str(counts.idxmax())
        how = f"issue to start on idle {source} workers"
        return _of(idle[idle["kind"] == source], ["wait_s"], mean, f"dispatch_s.{kind}", how)

    # Cold starts

    def _startup_s(self) -> dict[str, Estimate]:
        """The stages of exclusive workers that are the same for all graphs."""
        starts = self._workers
        if self._is_rare(starts):
            stages = {stage: self.probed(f"{stage}_s") for stage in ("kill_release", "process", "runtime", "context")}
            return {**stages, "first_run": self._first_run_s()}
        by_graph = starts.groupby("graph")["context_s"]
        context_s = by_graph.mean()[by_graph.count() >= MIN_SAMPLES]
        quickest = starts if context_s.empty else starts[starts["graph"] == context_s.idxmin()]
        killed = starts[starts["kill_release_s"] > 0]
        stages = {
            stage: _of(rows, [f"{stage}_s"], mean, f"startup_s.{stage}", f"stage {stage} of exclusive workers{which}")
            for stage, rows, which in (
                ("kill_release", killed, " that replaced one"),
                ("process", starts, ""),
                ("runtime", starts, ""),
                ("context", quickest, ", of the graph where it is shortest"),
            )
            if not self._is_rare(rows)
        }
        stages.setdefault("kill_release", self.probed("kill_release_s"))
        return {**stages, "first_run": self._first_run_s()}

    def _first_run_s(self) -> Estimate:
        """How much longer the first run of an exclusive worker takes than warm ones of its graph take on average."""
        rows = self._rows[self._rows["kind"] == "exclusive"]
        warm = rows[rows["is_warm"]].groupby("graph")["total_s"]
        warm_s = warm.mean()[warm.count() >= MIN_SAMPLES]
        first = rows[~rows["is_warm"] & rows["graph"].isin(warm_s.index)]
        if len(first) < MIN_SAMPLES:
            return none("too few graphs ran both cold and warm on exclusive workers; run_s has it")
        table = first.assign(excess_s=first["total_s"] - first["graph"].map(warm_s))
        found = _of(table, ["excess_s"], mean, "startup_s.first_run", "first run less the mean warm run of its graph")
        return replace(found, value=max(found.value, 0.0))

    # Graphs

    def _by_graph(self, number: str, fit: Fit) -> dict[str, dict[str, Estimate]]:
        """A number by graph and kind, for the kinds that ran it."""
        found: dict[str, dict[str, Estimate]] = {}
        for name, rows in self._rows.groupby("graph"):
            kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
            found[str(name)] = {kind: fit(f"graphs.{name}.{kind}.{number}", rows, kind) for kind in kinds}
        return found

    def _run_s(self, what: str, rows: pd.DataFrame, kind: str) -> Estimate:
        """Mean time on the device, of warm invocations where there are enough."""
        source, warm = _warm(rows, kind)
        if source:
            return _of(warm, ["device_s"], mean, what, f"time on the device of {source} workers, warm")
        first_run_s = self.startup_s["first_run"].value * (~rows["is_warm"] & (rows["kind"] == "exclusive"))
        table = rows.assign(own_s=(rows["device_s"] - rows["load_s"] - first_run_s).clip(lower=0))
        return _of(table, ["own_s"], mean, what, "time on all devices less that of loading and of first_run")

    def _host_s(self, what: str, rows: pd.DataFrame, kind: str) -> Estimate:
        """Mean time beside that on the device, of warm invocations where there are enough."""
        source, warm = _warm(rows, kind)
        how = f"time of {source} workers beside that on the device, warm" if source else "time of all workers beside it"
        return _of(warm, ["host_s"], mean, what, how)


def _warm(rows: pd.DataFrame, kind: str) -> tuple[str, pd.DataFrame]:
    """Warm invocations on workers of a kind; where they are few, of the other, which runs a graph alike. Also which
    it was: empty where all are few, and the rows then are all there are."""
    for source in sorted(KINDS, key=lambda k: k != kind):
        warm = rows[rows["is_warm"] & (rows["kind"] == source)]
        if len(warm) >= MIN_SAMPLES:
            return source, warm
    return "", rows


def none(why: str) -> Estimate:
    """A number that nothing needs."""
    return Estimate(0.0, f"none: {why}")


def _of(
    rows: pd.DataFrame, columns: list[str], statistic: Statistic, what: str, how: str, *, each: Statistic | None = None
) -> Estimate:
    values: Floats = rows[columns].to_numpy(dtype=np.float64)
    is_late: npt.NDArray[np.bool_] = rows["is_late"].to_numpy(dtype=np.bool_)
    return estimate(what, values, is_late, statistic, how, each=each)


def _line(rows: Floats) -> tuple[float, float]:
    """(intercept in seconds, bytes/s) of seconds over bytes; both non-negative, and the bandwidth finite."""
    seconds, size = rows[:, 0], rows[:, 1]
    intercept, slope = non_negative([np.ones(len(rows)), size], seconds)
    return intercept, 1 / slope if slope else float(size.sum() / max(seconds.sum(), 1e-9))
