"""Simulate points of the KaaS study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.compose import assemble, simulate_into
from sim.domain import Trace
from sim.errors import ScenarioError
from sim.files.output import scratch
from sim.loads import Clients, make_load
from sim.records.results import Run
from sim.scenario import FleetSettings
from sim.studies.kaas.experiments import LOAD_FRAC, N_GPUS, OUTSTANDING, SETUPS, Point, System, duration_s
from sim.studies.kaas.warm import Warmed
from sim.studies.processes import TaskBar, in_processes, no_bar
from sim.workload import bind

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

SHARES = np.linspace(0, 1, 201)  # at which latencies are kept


@dataclass(frozen=True)
class PointResult:
    """What a point came to.

    throughput_qps: None where the policy refused the point, and ``note`` tells why. latency_s: quantiles at SHARES;
    empty if it wasn't asked for.
    """

    throughput_qps: float | None
    latency_s: tuple[float, ...] = ()
    note: str = ""

    def latency(self, share: float) -> float | None:
        """A quantile of the latency."""
        return float(np.quantile(self.latency_s, share)) if self.latency_s else None


def simulate_points(
    setup: str, points: Mapping[Point, bool], seed: int, *, jobs: int, bar: TaskBar = no_bar
) -> dict[Point, PointResult]:
    """Simulate points of a setup; True asks for latencies as well. See ``in_processes``."""
    tasks = [(setup, point, wanted, seed) for point, wanted in points.items()]
    results = in_processes(_simulate, tasks, cost=_cost, jobs=jobs, bar=bar)
    return dict(zip(points, results, strict=True))


def _simulate(task: tuple[str, Point, bool, int]) -> PointResult:
    setup, point, wants_latency, seed = task
    try:
        return measure(SETUPS[setup].system(point), point, seed, wants_latency=wants_latency)
    except ScenarioError as refused:
        return PointResult(None, note=str(refused))


def _cost(task: tuple[str, Point, bool, int]) -> float:
    """Requests of a point, roughly: of the others resnet50 has four times as many."""
    _, point, wants_latency, _ = task
    thrashes = point.mode == "exclusive" and point.clients > N_GPUS
    return (0.05 if thrashes else 1.0) * (4 if point.workload == "resnet50" else 1) * (1.7 if wants_latency else 1)


def measure(system: System, point: Point, seed: int, *, wants_latency: bool) -> PointResult:
    """Throughput of a point, and the latency at 70 % of it. Raises ScenarioError for what the policy refuses.

    Throughput counts replies for ``duration_s`` after the fleet is warm. Latency is of requests that are offered for
    as long, and runs from the scheduled arrival until the reply.
    """
    lasts_s = duration_s(point)
    serve_load = partial(serve, system, point, seed)
    _, replied_at_s = serve_load(f"closed[outstanding={OUTSTANDING},duration={lasts_s!r}]")
    throughput_qps = float(np.sum(replied_at_s <= lasts_s)) / lasts_s
    if not wants_latency:
        return PointResult(throughput_qps)
    offered_per_s = point.offered_per_s or LOAD_FRAC * throughput_qps
    arrival_at_s, replied_at_s = serve_load(f"poisson[rate={offered_per_s!r},duration={lasts_s!r}]")
    quantiles_s = np.quantile(replied_at_s - arrival_at_s, SHARES)
    return PointResult(throughput_qps, tuple(quantiles_s.tolist()))


def serve(system: System, point: Point, seed: int, load: str) -> tuple[Floats, Floats]:
    """Serve a load on a warm fleet; (arrival, reply) of each request, from the instant when all clients are warm."""
    trace = Warmed(make_load(load).trace(Clients(point.clients, point.workload, seed)), OUTSTANDING, seed)
    invocations = simulate(system, point.workload, trace, seed, n_gpus=N_GPUS)["invocations"]
    rows = invocations[["arrival_at_s", "completed_at_s"]].to_numpy()
    rows = rows[rows[:, 0] >= trace.begun_at_s] - trace.begun_at_s
    return rows[:, 0], rows[:, 1]


def simulate(system: System, workload: str, trace: Trace, seed: int, *, n_gpus: int) -> dict[str, pd.DataFrame]:
    """Simulate a trace whose functions all run the graph of a system; returns the tables invocations and workers."""
    bound = bind(trace, catalogue={workload: system.entry})
    inputs = assemble(bound, system.policy, system.calibration, FleetSettings(gpus=n_gpus), seed)
    with scratch() as place:
        _, outcome = simulate_into(place, inputs)
        if outcome.failure is not None:
            raise outcome.failure
        run = Run(place, {}, {})
        return {table: run.table(table) for table in ("invocations", "workers")}
