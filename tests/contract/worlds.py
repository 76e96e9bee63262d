"""Every world behind one call: a policy and a load in, the log of what the world told and was answered out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sim.errors import PolicyError
from sim.models.calibration import GraphCosts, Startup
from sim.protocol import Action, Event, Policy, WorkerReady
from sim.records.decisions import FILE_NAME, read_decisions
from sim.records.results import open_run
from tests.contract.scripted import ScriptedWorld
from tests.replay import worlds as replay
from tests.support import ListTrace, ideal, own, simulate

BATCHED = dict.fromkeys(
    ("kaas", "exclusive"), GraphCosts(1.0, batch_fixed_frac=0.5)
)  # n take (n + 1) / 2 times as long


@dataclass
class ScriptLoad:
    """Arrivals (instant, function) in order; seconds that an invocation of each function and a start take.

    of_each: seconds of each invocation, where functions don't say it. What the replay takes for a start is its own.
    """

    arrivals: Sequence[tuple[float, int]]
    run_s: Sequence[float]
    n_gpus: int = 1
    start_s: float = 0.5
    of_each: Sequence[float] = ()

    @property
    def script(self) -> list[tuple[float, int, float]]:
        """(instant, function, seconds) of each arrival."""
        of_each = self.of_each or [self.run_s[function] for _, function in self.arrivals]
        return [(at_s, function, run_s) for (at_s, function), run_s in zip(self.arrivals, of_each, strict=True)]


@dataclass
class Told:
    """The log of (instant, event, actions), and with which words the world refused an order, if it did."""

    log: list[tuple[float, Event, list[Action]]]
    refusal: str = ""

    @property
    def events(self) -> list[Event]:
        """What the policy was told, in order."""
        return [event for _, event, _ in self.log]

    @property
    def devices(self) -> dict[int, int]:
        """Where started workers got ready."""
        return {event.worker: event.device for event in self.events if isinstance(event, WorkerReady)}


def scripted(policy: Policy, load: ScriptLoad, directory: Path) -> Told:
    """The scripted world: it has the rules of placement in words of its own, and so is what the others are held to."""
    world = ScriptedWorld(policy, load.n_gpus, load.script, len(load.run_s), load.start_s)
    try:
        world.run()
    except PolicyError as refused:
        return Told(world.log, str(refused))
    return Told(world.log)


def simulated(policy: Policy, load: ScriptLoad, directory: Path) -> Told:
    """The simulator, on GPUs where nothing takes time but runs and starts."""
    told = Told([])
    at_s, function, run_s = zip(*load.script, strict=True)
    workload = own(ListTrace(at_s, function, run_s, len(load.run_s)))
    known = tuple(replace(its, run_s=None) for its in workload.functions)  # whose batches are known, see BATCHED
    start = Startup(kill_release=0, process=load.start_s, runtime=0, context=0, first_run=0)
    try:
        simulate(
            replace(workload, functions=known),
            policy,
            directory,
            gpus=load.n_gpus,
            calibration=ideal(startup_s=start, graphs={"opaque": BATCHED}),
            sharing="turns",
            log=lambda now_s, event, actions: told.log.append((now_s, event, list(actions))),
        )
    except PolicyError as refused:
        told.refusal = str(refused)
    return told


def replayed_on_cpu(policy: Policy, load: ScriptLoad, directory: Path) -> Told:
    """The replay on processes without a device, whose invocations sleep."""
    return _replayed(policy, load, directory, "cpu")


def replayed_on_gpu(policy: Policy, load: ScriptLoad, directory: Path) -> Told:
    """The replay on GPUs: every worker has a context there, and its memory is awaited; its invocations sleep."""
    cuda = pytest.importorskip("cupy.cuda")
    try:
        n_there = cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        pytest.skip(f"no GPU: {error}")
    if n_there < load.n_gpus:
        pytest.skip(f"{load.n_gpus} GPUs are needed, {n_there} are here")
    return _replayed(policy, load, directory, "cuda:0")


def _replayed(policy: Policy, load: ScriptLoad, directory: Path, device: str) -> Told:
    served = replay.functions([f"sleep-{1000 * run_s:g}" for run_s in load.run_s])
    made = replay.experiment(served, load.arrivals, "exclusive", gpus=load.n_gpus, device=device)
    replay.follow(made, policy)
    summary = made.run(directory, force=False)
    log = [(now_s, event, actions) for now_s, event, actions in read_decisions(directory / FILE_NAME)]
    if summary["valid"]:
        replay.check_run(open_run(directory))
        return Told(log)
    assert summary["reasons"][0] == "the policy ordered something impossible"
    return Told(log, summary["reasons"][1])
