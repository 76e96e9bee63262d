"""One scenario, one policy, one real fleet, one run directory."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from replay.device.mps import has_daemon
from replay.device.seam import is_gpu
from replay.errors import ReplayError
from replay.fleet.assign import Assigner, device_name
from replay.fleet.clocks import ClockSample, ClockWatch
from replay.fleet.driver import Driver
from replay.fleet.fleet import PATIENCE_S, RealFleet
from replay.fleet.keys import check_keys
from replay.fleet.machine import describe, gpu_of, release_of
from replay.fleet.messages import EXECUTOR, Assignment
from replay.fleet.modes import TOGETHER, check_mode, check_needs, check_standing
from replay.fleet.parts import Against, PartCosts, order_bytes
from replay.fleet.seats import Seat, assign_seats, context_bytes
from replay.fleet.shm import SharedData
from replay.fleet.steadiness import Verdict, judge_losses, judge_times
from replay.fleet.workers import WorkerProcess, answer_of
from replay.kernels.check import check_graph
from sim.domain import FleetSpec
from sim.errors import PolicyError
from sim.files.fingerprint import changed
from sim.files.output import create
from sim.models.calibration import Calibration, DeviceFacts, ExecutorFacts
from sim.models.costs import CostModel
from sim.models.layout import ALIGNMENT_BYTES
from sim.policies import make_policy
from sim.protocol import Costs, Standing, share_devices
from sim.records.decisions import decision_log
from sim.records.intervals import choose_interval_s
from sim.records.manifest import conclude
from sim.records.manifest import describe as describe_run
from sim.records.recorder import Recorder
from sim.records.results import Run
from sim.records.rundir import run_directory
from sim.scenario import Scenario
from sim.streams import Stream, generator
from sim.terminal.signals import first_signal_calls
from sim.workload import Workload

LATE_S = 0.005  # an arrival was issued late when it was later than this: a tenth of the shortest latencies compared
LATE_FRAC = 0.01  # with more late arrivals than this, a run is no replay of the trace ...
LATE_N = 3  # ... but so few say nothing: a single hiccup of the system in a short run
MOST_DEVICES = 64  # no machine has as many GPUs
MOST_ENDS = 64  # ends of workers that don't wait for each other
BOUNDLESS_BYTES = 1 << 60  # of a device whose memory is not known yet
WORKER_LOG = "workers.log"


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How a scenario is replayed.

    device: "cpu", or "cuda:N" for the first of ``scenario.fleet.gpus`` GPUs. mode: of ``replay.fleet.modes``, None for
    the policy's own. memory_limit_bytes: of the device memory that the workers of a device take, each at a time or all
    that are there together; None for 90 % of what is free.
    executor: import path of the class that runs graphs. patience_s: how long a worker that has to get ready or to do
    a job may be silent, before it is taken for hung and killed.
    """

    device: str = "cpu"
    mode: str | None = None
    memory_limit_bytes: int | None = None
    executor: str = EXECUTOR
    patience_s: float = PATIENCE_S


class RealExperiment:
    """A policy on the workload of a scenario, on real devices. Refuses what it can without them when it is made.

    calibration: what the policy believes that things cost. What it says of memory and of host stages is replaced by
    what the replay has. workload: that of the scenario, at the pace of the replay.
    Raises ReplayError, also for graphs that no device could launch, and ScenarioError.
    """

    def __init__(
        self, scenario: Scenario, policy: str, workload: Workload, calibration: Calibration, setup: ReplaySettings
    ) -> None:
        check_keys(scenario)
        self.policy = make_policy(policy)
        check_needs(self.policy)
        if workload.own_durations:
            raise ReplayError("functions is 'trace', must be 'catalogue': a device runs kernels, not durations")
        if scenario.fleet.gpus > MOST_DEVICES:
            raise ReplayError(f"gpus is {scenario.fleet.gpus}, must be at most {MOST_DEVICES}: each has processes here")
        self._graphs = {f.graph.name: f.graph for f in workload.functions}
        for graph in self._graphs.values():
            check_graph(graph)
        self._scenario = scenario
        self._measured = scenario.measured(workload.trace.duration_s)
        self._workload = workload
        self._calibration = calibration
        self._setup = setup
        beliefs = adapt(calibration, calibration.device.name, BOUNDLESS_BYTES)
        costs = CostModel(beliefs, workload.functions, self.policy.workers[0])
        standing = self._standing(FleetSpec(beliefs.spec, scenario.fleet.gpus), costs)
        self.mode = check_mode(setup.mode, self.policy, standing, setup.device)
        self._under_mps = setup.device.startswith("cuda:") and has_daemon()
        self._devices = [device_name(setup.device, number) for number in range(scenario.fleet.gpus)]

    def run(self, directory: Path, *, force: bool, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Replay and write the run directory; returns the summary, as ``sim.experiment.Experiment.run`` does.

        An interruption, a policy's mistake, and workers that can't be kept alive end the run: the directory then
        holds what was completed, is marked invalid, and the summary says why; so it does after a run whose trace is
        not what it was when it was opened. Raises ReplayError and ScenarioError
        for what shows before the run: a device that can't be opened, functions that don't fit on it, by memory or
        because the policy refuses them. ``progress`` is called with the number of arrivals since its last call.
        """
        with ExitStack() as stack:
            log = stack.enter_context(tempfile.TemporaryFile())
            functions, seed = self._workload.functions, self._scenario.seed
            setup = self._setup
            pattern = Assignment(setup.device, functions, {}, setup.executor, setup.memory_limit_bytes, mode=self.mode)
            found = {d: _prepare(replace(pattern, device=d), log) for d in dict.fromkeys(self._devices)}
            devices = [found[d] for d in self._devices]
            first = devices[0]
            pattern = replace(pattern, memory_limit_bytes=first["limit_bytes"])
            beliefs = adapt(self._calibration, first["name"], order_bytes(self.mode, first))
            costs = CostModel(beliefs, functions, self.policy.workers[0])
            spec = FleetSpec(beliefs.spec, self._scenario.fleet.gpus)
            told, against = self._told(costs, first)
            seats = self._seats(self._begin(spec, told, against), costs, devices, pattern, log)
            data = SharedData(self._graphs.values(), seed)
            stack.callback(data.close)
            interval_s = choose_interval_s(self._workload.trace.duration_s)
            manifest = self._manifest(interval_s, first, told, seats)
            out = stack.enter_context(run_directory(directory, manifest, force=force))
            recorder = Recorder(out.path, self._workload, spec, costs, interval_s, measured=self._measured, stays=True)
            shared = self.mode == "shared"
            if shared or share_devices([worker for worker, _ in seats]):
                recorder.share_devices()
            limits_bytes = {worker: seat.limit_bytes for worker, seat in seats}
            assign = Assigner(replace(pattern, places=data.places), functions, limits_bytes, context_bytes(first))
            n_on = Counter(worker.device for worker, _ in seats)
            releases = [release_of(facts, 2 if shared else n_on[number]) for number, facts in enumerate(devices)]
            n_ends = MOST_ENDS if shared else max(len(devices), len(seats))
            fleet = RealFleet(spec.memory_bytes, releases, assign, data.fd, log, n_ends, setup.patience_s)
            with decision_log(out.path) as record:
                driver = Driver(
                    self._workload,
                    self.policy,
                    spec,
                    costs,
                    told,
                    against,
                    recorder,
                    self._rng(),
                    fleet,
                    record,
                    progress,
                )
                watch = ClockWatch([gpu_of(facts) for facts in devices], lambda: driver.now_s)
                reasons, error = _drive(driver, fleet, watch)
            _keep(log, out.path / WORKER_LOG)
            driver.close()
            recorder.close()
            reasons += [f"{file}: changed since it was opened" for file in changed(self._workload.inputs)]
            late = {**lateness(driver.late_s), "driver_is_realtime": driver.is_realtime}
            strict = is_gpu(first["name"])
            lost, times = judge_losses(driver.losses), self._judge_times(out.path, driver.end_s, watch.samples, strict)
            end = {"simulated_s": driver.end_s, "wall_s": driver.end_s, "lateness_s": late}
            reasons += [*lost.reasons, *times.reasons]
            return conclude(
                out,
                recorder,
                self.policy,
                end,
                reasons,
                error,
                warnings=times.warnings,
                details=lost.facts | times.facts,
            )

    def _begin(self, spec: FleetSpec, told: Costs, against: Against) -> Sequence[Standing]:
        """The standing workers of the policy, which may refuse the functions; now that all is known of the devices."""
        standing = self._standing(spec, told)
        check_standing(self.mode, self.policy, standing)
        for worker in standing:
            if why := against(worker):
                raise ReplayError(f"{self.policy.describe()} begins with {worker}, refused: {why}")
        return standing

    def _seats(
        self,
        standing: Sequence[Standing],
        costs: Costs,
        devices: Sequence[dict[str, Any]],
        pattern: Assignment,
        log: IO[bytes],
    ) -> list[tuple[Standing, Seat]]:
        """The standing workers, and what each gets of its device."""

        @cache
        def rehearse(device: int, share: float, limit_bytes: int) -> dict[str, Any]:
            named = replace(pattern, device=self._devices[device], functions=())
            return _prepare(replace(named, share=share, memory_limit_bytes=limit_bytes), log)

        # Shares go with memory in eighths, which is bookkeeping: these workers divide it as they need it.
        parted = standing if self.mode == "shared" else [worker._replace(memory_bytes=None) for worker in standing]
        seats = assign_seats(parted, self._workload.functions, costs, devices, rehearse)
        return list(zip(standing, seats, strict=True))

    def _standing(self, spec: FleetSpec, costs: Costs) -> Sequence[Standing]:
        """The workers with which the policy begins, which may refuse the functions."""
        self.policy.reset(spec, self._workload.functions, costs, self._rng())
        return self.policy.standing(spec)

    def _told(self, costs: CostModel, facts: dict[str, Any]) -> tuple[Costs, Against]:
        """What the policy is told of costs, and why a worker can't be had."""
        if self.mode != "shared":
            return costs, lambda order: ""
        parts = PartCosts(costs, len(self._workload.functions), context_bytes(facts), capped=self._under_mps)
        return parts, parts.against

    def _judge_times(self, path: Path, end_s: float, clocks: Sequence[ClockSample], strict: bool) -> Verdict:
        """strict: for a GPU. What stands in for one is a processor, shared with the driver and whatever else is there,
        and its times are no results: it only warns."""
        columns = ["function", "status", "device", "started_at_s", "cold", "run_s", "host_s", "constant_bytes"]
        rows = Run(path, {}, {}).table("invocations", columns)
        rows = rows[(rows["status"] == "completed") & (rows["constant_bytes"] == 0) & ~rows["cold"]]
        graphs = [f.graph.name for f in self._workload.functions]
        rows = rows.assign(graph=[graphs[function] for function in rows["function"]])
        return judge_times(rows, end_s, clocks, alone=self.mode not in TOGETHER, strict=strict)

    def _rng(self) -> np.random.Generator:
        return generator(self._scenario.seed, Stream.POLICY)

    def _manifest(
        self, interval_s: float, device: dict[str, Any], costs: Costs, seats: Sequence[tuple[Standing, Seat]]
    ) -> dict[str, Any]:
        """``told``: by graph, what the policy was told of costs; a simulation of this run tells it the same.

        Its scenario says how workers share a device here, so that the simulation lets them share it likewise.
        """
        graphs = {f.graph.name: f.id for f in self._workload.functions}
        scenario = self._scenario
        if self.mode == "shared" and not self._under_mps:
            scenario = replace(scenario, fleet=replace(scenario.fleet, sharing="slices"))
        return {
            "world": "replay",
            **describe_run(self.policy, scenario, self._workload, self._calibration, interval_s),
            "replay": {
                **dataclasses.asdict(self._setup),
                "mode": self.mode,
                "device": describe(device),
                "standing": [{**worker._asdict(), **seat._asdict()} for worker, seat in seats],
                "told": {
                    graph: {"expected_s": costs.expected_s(function), "memory_bytes": costs.memory_bytes(function)}
                    for graph, function in graphs.items()
                },
            },
        }


def adapt(calibration: Calibration, device: str, capacity_bytes: int) -> Calibration:
    """Beliefs about a fleet whose devices have ``capacity_bytes`` for buffers, and which has no frontend.

    What a worker needs of them follows from its buffers, whatever was measured elsewhere, and another GPU
    takes other power.
    """
    graphs = {
        name: {kind: replace(costs, memory_bytes=0) for kind, costs in kinds.items()}
        for name, kinds in calibration.without_frontend().graphs.items()
    }
    executor = ExecutorFacts(
        margin_bytes=0,
        context_bytes=0,
        keeps_headroom=False,
        caches_temporaries=False,
        alignment_bytes=ALIGNMENT_BYTES,
    )
    return replace(
        calibration,
        device=DeviceFacts(device, capacity_bytes),
        executor=executor,
        graphs=graphs,
        frontend=None,
        power=calibration.power if device == calibration.device.name else None,
    )


def _prepare(assignment: Assignment, log: IO[bytes]) -> dict[str, Any]:
    """Compile the kernels, in a process of its own, so that no start waits for a compiler; facts of the device."""
    process = WorkerProcess(pickle.dumps(assignment), None, log)
    try:
        return answer_of(process, log).facts
    finally:
        process.kill()


def _drive(driver: Driver, fleet: RealFleet, watch: ClockWatch) -> tuple[list[str], str | None]:
    """Run to the end, whatever that is; returns reasons against the run, and the error that ended it."""
    try:
        with first_signal_calls(driver.interrupt):
            driver.start_standing()
            with watch:
                driver.run()
    except PolicyError as refused:
        return ["the policy ordered something impossible"], str(refused)
    except ReplayError as broken:
        return ["a worker could not be kept alive"], str(broken)
    finally:
        driver.end_s = driver.now_s
        fleet.close()
    if driver.interrupted:
        return [f"interrupted after {driver.end_s:.6g} s"], None
    if driver.n_unfinished:
        return [f"the policy left {driver.n_unfinished:,} invocations waiting for ever"], None
    n_late = sum(late_s > LATE_S for late_s in driver.late_s)
    n = len(driver.late_s)
    if n_late > (most := late_at_most(n)):
        late = f"{n_late:,} of {n:,} arrivals were issued more than {LATE_S * 1e3:g} ms late"
        return [f"{late}, at most {most:,} may be ({LATE_FRAC:.0%}, but {LATE_N} in any case)"], None
    return [], None


def late_at_most(n: int) -> int:
    """How many of ``n`` arrivals may be issued late in a valid run."""
    return max(LATE_N, int(LATE_FRAC * n))


def lateness(late_s: list[float]) -> dict[str, float | None]:
    """Quantiles of how late arrivals were issued, and the share that was later than LATE_S."""
    if not late_s:
        return dict.fromkeys(("p50", "p90", "p99", "max", "late_frac"))
    values = np.array(late_s)
    quantiles = dict(
        zip(("p50", "p90", "p99", "max"), np.quantile(values, [0.5, 0.9, 0.99, 1.0]).tolist(), strict=True)
    )
    return {**quantiles, "late_frac": float(np.mean(values > LATE_S))}


def _keep(log: IO[bytes], file: Path) -> None:
    """Keep what workers wrote, if they wrote anything."""
    if log.seek(0, os.SEEK_END):
        log.seek(0)
        with create(file) as kept:
            shutil.copyfileobj(log, kept)
