"""Small replays for tests: functions that sleep, on processes that are real."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from replay.fleet.fleet import PATIENCE_S
from replay.fleet.modes import modes_of
from replay.run import RealExperiment, ReplaySettings
from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role
from sim.models.calibration import load_calibration
from sim.policies.base import BasePolicy
from sim.policies.static import Static
from sim.records.results import Run, open_run
from sim.scenario import FleetSettings, Scenario
from sim.workload import Workload
from tests.replay.fake_executor import PATH
from tests.support import ListTrace

LIMIT_BYTES = 1 << 20


class Beside(Static):
    """Static workers, as many on a device as there are functions; all of them may use all of it."""

    name = "beside"

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self._standing = [worker._replace(memory_bytes=None) for worker in self._standing]

    def _shares(self, fleet, functions, costs):
        return [0.0] * len(functions)


def functions(names: Sequence[str], constants_bytes: int = 4096) -> tuple[Function, ...]:
    """Functions of ``fake_executor`` by the names of their graphs."""
    weights = BufferArg("w", Direction.IN)
    kernel = Kernel("nn", "softmax", (1, 1, 1), (1, 1, 1), (weights, weights), (("i", 1), ("i", 1)))  # is never run
    buffers = (Buffer("w", constants_bytes, Role.CONSTANT),)
    return tuple(Function(i, f"f{i}", KernelGraph(name, (kernel,), buffers)) for i, name in enumerate(names))


def experiment(
    served: Sequence[Function],
    arrivals: Sequence[tuple[float, int]],
    policy: str = "balance",
    *,
    gpus: int = 1,
    device: str = "cpu",
    executor: str = PATH,
    limit_bytes: int = LIMIT_BYTES,
    patience_s: float = PATIENCE_S,
    mode: str | None = None,
) -> RealExperiment:
    """A replay of (instant, function), instants ascending."""
    at_s, function = zip(*arrivals, strict=True)
    trace = ListTrace(at_s, function, [1.0] * len(at_s), n_functions=len(served))
    workload = Workload(trace, tuple(served), own_durations=False)
    scenario = Scenario(traces=("list",), policies=(policy,), fleet=FleetSettings(gpus=gpus))
    setup = ReplaySettings(device, mode, limit_bytes, executor, patience_s)
    return RealExperiment(scenario, policy, workload, load_calibration("v100-kaas"), setup)


def follow(made: RealExperiment, policy: BasePolicy) -> None:
    """Let a replay follow another policy, which is in no file and needs no ``reset`` to tell its standing workers."""
    made.policy = policy
    made.mode = modes_of(policy, policy.standing(None))[0]


def replay(directory: Path, *args: object, **options: object) -> Run:
    """Replay into a directory, check what must hold after every run, and return the run."""
    made = experiment(*args, **options)
    made.run(directory, force=False)
    run = open_run(directory)
    check_run(run)
    assert not workers_of(os.getpid()), "a worker is left"
    return run


def check_run(run: Run) -> None:
    """What must hold after every replay."""
    rows = run.table("invocations")
    assert rows.invocation.is_unique
    assert run.summary["invocations"] == len(rows)
    done = rows[rows.status == "completed"].sort_values(["device", "started_at_s"])
    assert (done.queued_at_s >= done.arrival_at_s).all()
    assert (done.started_at_s >= done.queued_at_s).all()
    on_worker_s = done.completed_at_s - done.started_at_s
    assert (done.host_s >= 0).all()
    assert (done.load_s + done.run_s + done.host_s <= on_worker_s + 1e-4).all()
    workers = run.table("workers")
    stands = workers.requested_at_s == workers.ready_at_s
    shared = set(workers[stands].device[workers[stands].device.duplicated()])
    if run.manifest["replay"]["mode"] == "shared":
        shared = set(workers.device)
    for place, mine in [*done.groupby("worker"), *done[~done.device.isin(shared)].groupby("device")]:
        assert (mine.started_at_s.iloc[1:].to_numpy() >= mine.completed_at_s.iloc[:-1].to_numpy()).all(), place
    mine = done.merge(workers, on="worker")
    assert (mine.started_at_s >= mine.ready_at_s).all()
    for _, on_device in workers[~stands & workers.ready_at_s.notna() & ~workers.device.isin(shared)].groupby("device"):
        starts = on_device.sort_values("ready_at_s")
        assert (starts.ready_at_s.iloc[1:].to_numpy() > starts.stopped_at_s.iloc[:-1].to_numpy()).all()


def workers_of(parent: int) -> list[int]:
    """Processes that say on their command line that they are workers of this driver, and are not dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if b"replay.fleet.worker_main" in words and str(parent).encode() in words and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until(holds: object, timeout_s: float = 120.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, "it never happened"
        time.sleep(0.01)
