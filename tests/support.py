"""Small worlds for tests: traces in memory, functions by hand, one call to simulate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest

from sim.compose import assemble, simulate_into
from sim.dispatcher import Log
from sim.domain import (
    ArrivalChunk,
    Buffer,
    DeviceSpec,
    FleetSpec,
    Function,
    KernelGraph,
    Role,
    TraceFunction,
    TraceSource,
)
from sim.models.calibration import Calibration, Copies, load_calibration
from sim.policies import known
from sim.protocol import Need, Policy, share_devices
from sim.records.recorder import Recorder
from sim.records.results import Run
from sim.records.tables import GPU_PARTS, TABLES
from sim.scenario import FleetSettings
from sim.workload import Workload, bind

if TYPE_CHECKING:
    from sim.engine.simulation import Simulation

V100 = load_calibration("v100-kaas")
POOL = V100.without_frontend()
STANDING = ("fractional", "static")  # policies whose workers are all there from the beginning
# Those that serve any number of functions, with workers that have a device each and no timers.
ELASTIC = sorted(
    name for name, policy in known().items() if name not in STANDING and not policy.needs - {Need.EXECUTORS}
)


@dataclass
class ListTrace:
    """A trace from columns; ``chunk`` arrivals at a time."""

    at_s: Sequence[float]
    function: Sequence[int]
    run_s: Sequence[float]
    n_functions: int = 0
    mean_s: float = 1.0
    memory_bytes: int = 1000
    chunk: int = 10_000

    def __post_init__(self) -> None:
        self.source = TraceSource("list", (), (0.0, self.duration_s))
        n = self.n_functions or max(self.function, default=-1) + 1
        count = np.bincount(np.asarray(self.function, dtype=np.int64), minlength=n).tolist()
        self.functions = [
            TraceFunction(f"f{i}", f"f{i}", "http", self.mean_s, self.memory_bytes, count[i]) for i in range(n)
        ]

    @property
    def duration_s(self) -> float:
        return float(self.at_s[-1]) if len(self.at_s) else 0.0

    @property
    def n_arrivals(self) -> int:
        return len(self.at_s)

    def chunks(self) -> Iterator[ArrivalChunk]:
        for i in range(0, len(self.at_s), self.chunk):
            rows = slice(i, i + self.chunk)
            yield ArrivalChunk(
                np.asarray(self.at_s[rows], dtype=np.float64),
                np.asarray(self.function[rows], dtype=np.int32),
                np.asarray(self.run_s[rows], dtype=np.float64),
            )


def same_tables(one: Path, other: Path) -> bool:
    """Whether two run directories have the same tables, byte for byte."""
    names = [f"{table.name}.parquet" for table in TABLES]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def ideal(**changes: object) -> Calibration:
    """A GPU on which nothing costs time but the trace's own durations, with 16 GB for buffers."""
    zero = replace(V100.dispatch_s, kaas=0.0, exclusive=0.0)
    base = replace(
        POOL,
        name="ideal",
        device=replace(V100.device, memory_bytes=16_000_000_000),
        executor=replace(V100.executor, margin_bytes=0, context_bytes=0, keeps_headroom=False),
        copies=Copies(h2d_bytes_per_s=1e30, h2d_first_bytes_per_s=1e30, d2h_bytes_per_s=1e30),
        executor_first_use_s=0.0,
        executor_alloc_s=0.0,
        dispatch_s=zero,
        launch_s=zero,
        buffer_s=zero,
        module_s=zero,
    )
    return replace(base, **changes)


def simulate(
    workload: Workload,
    policy: Policy,
    directory: Path,
    *,
    gpus: int = 1,
    calibration: Calibration | None = None,
    gpus_per_link: int = 1,
    sharing: str = "mps",
    per_kernel: bool = False,
    log: Log | None = None,
    progress: Callable[[int], None] | None = None,
    check: bool = True,
    gpus_per_node: int = 8,
    stays: bool = False,
    **more: object,
) -> Run:
    """Simulate into a directory, check every invariant, and return the run. more: see ``sim.compose.assemble``."""
    from sim.engine.simulation import Simulation  # with SimPy, which tests on a GPU do without

    fleet = FleetSettings(gpus=gpus, gpus_per_node=gpus_per_node, gpus_per_link=gpus_per_link, sharing=sharing)
    inputs = assemble(workload, policy, calibration or ideal(), fleet, per_kernel=per_kernel, **more)
    directory.mkdir(parents=True, exist_ok=True)
    held: list[Simulation] = []
    close = Simulation.close
    with patch.object(Simulation, "close", lambda simulation: held.append(simulation) or close(simulation)):
        recorder, outcome = simulate_into(directory, inputs, log, stays=stays, progress=progress)
    if outcome.failure is not None:
        raise outcome.failure
    warnings = [*outcome.limits, *recorder.steadiness()]
    run = Run(directory, {"policy": policy.describe(), "warnings": warnings}, recorder.summary(outcome.end_s))
    if check:
        check_run(run, workload, held[0], recorder)
    return run


def check_run(run: Run, workload: Workload, simulation: Simulation, recorder: Recorder) -> None:
    """What must hold after every run."""
    simulation.dispatcher.check()
    for worker in simulation._workers.values():
        if worker.cache is not None:
            worker.cache.check()
    rows = run.table("invocations")
    n = sum(len(b.invocation) for b in workload.batches()) if workload.loop is None else len(rows)
    assert sorted(rows.invocation) == list(range(n)), "an invocation was lost or doubled"
    done = rows[rows.status == "completed"]
    assert (done.admitted_at_s >= done.arrival_at_s).all()
    assert (done.queued_at_s >= done.admitted_at_s).all()
    assert (done.started_at_s - done.dispatch_s >= done.queued_at_s - 1e-9).all()
    assert (done.completed_at_s >= done.started_at_s).all()
    done_at_s = done.started_at_s + done.load_s + done.run_s
    policy = simulation.dispatcher.policy
    shared = share_devices(simulation.dispatcher.standing) or policy.needs & {Need.SHARED_DEVICES, Need.PARTITIONS}
    places = () if policy.needs & {Need.CONCURRENCY, Need.BATCHES} else ("worker",) if shared else ("worker", "device")
    for place in places:
        ordered = done.sort_values([place, "started_at_s", "completed_at_s"])
        same = ordered[place].diff() == 0
        late = ordered.started_at_s[same] >= done_at_s[ordered.index].shift()[same] - 1e-9
        assert late.all(), f"two graphs ran at once on a {place}"
    devices = run.table("devices")
    kernels = zip(done.device, done.started_at_s + done.load_s, done_at_s, strict=True)
    np.testing.assert_allclose(devices.busy_s.sum(), busy_s(kernels), rtol=1e-9)
    parts_s = devices[list(GPU_PARTS.values())].sum(axis=1)
    assert (parts_s <= recorder.interval_s + 1e-9).all(), "a device was at something for longer than there is time"
    if simulation.now_s:
        assert sum(run.summary["gpu_frac"].values()) == pytest.approx(1.0)
    assert devices.h2d_bytes.sum() == rows.h2d_bytes.sum()
    assert run.summary["h2d_bytes"] == rows.h2d_bytes.sum() + run.table("workers").h2d_bytes.sum()
    if n and len(done):
        parts_s = run.summary["latency_parts_s"]
        assert sum(parts_s.values()) == pytest.approx(run.summary["latency_s"]["mean"], rel=1e-9, abs=1e-9)
        assert all(seconds >= 0 for seconds in parts_s.values()), parts_s
    assert not recorder.faults(simulation.now_s)
    assert run.summary["evictions"] == rows.n_evicted.sum() == devices.n_evicted.sum()


def busy_s(spans: Iterable[tuple[int, float, float]]) -> float:
    """Seconds of all devices in spans (device, from, to), one span or several at once."""
    total_s, device, until_s = 0.0, -1, 0.0
    for on, from_s, to_s in sorted(spans):
        if on != device:
            device, until_s = on, from_s
        total_s += max(0.0, to_s - max(from_s, until_s))
        until_s = max(until_s, to_s)
    return total_s


def poisson(n: int, rate_per_s: float, service_s: str, seed: int, n_functions: int = 1) -> ListTrace:
    """Poisson arrivals; service of mean 1 s: "exponential" or "constant"."""
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(rng.exponential(1 / rate_per_s, n))
    run_s = rng.exponential(1.0, n) if service_s == "exponential" else np.ones(n)
    return ListTrace(at_s, rng.integers(0, n_functions, n), run_s, n_functions)


def opaque_functions(sizes_bytes: Sequence[int]) -> list[Function]:
    """Functions with one constant of the given size each."""
    return [
        Function(i, f"f{i}", KernelGraph(f"g{size}", (), (Buffer("c", size, Role.CONSTANT),)))
        for i, size in enumerate(sizes_bytes)
    ]


def scripted_fleet(n_gpus: int) -> FleetSpec:
    """A fleet of 16 GB devices."""
    return FleetSpec(DeviceSpec("scripted", 16 * 10**9), n_gpus)


def own(trace: ListTrace) -> Workload:
    """The workload of a trace with its own durations."""
    return bind(trace, catalogue=None)
