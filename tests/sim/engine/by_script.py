"""The simulated world under a script, with instants that can be told by hand: everything takes quarters of seconds.

A kernel takes 0.25 s and wants all multiprocessors; a byte of constants takes 0.25 s where ``slow`` copies it, else
nothing does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sim.compose import assemble, simulate_into
from sim.dispatcher import Dispatcher
from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role, WorkerKind
from sim.engine.simulation import Simulation
from sim.models.calibration import Copies, GraphCosts, Roofline, Startup
from sim.protocol import Event, Need, Standing, Wake
from sim.records.results import Run
from sim.scenario import FleetSettings
from sim.workload import Workload
from tests.contract.policies import Answers, Script
from tests.support import ListTrace, check_run, ideal

KERNEL_S = 0.25
MEMORY_BYTES = 1000
START_S = 0.5
GPU = ideal(
    device=replace(ideal().device, memory_bytes=MEMORY_BYTES),
    roofline=Roofline(flops_per_s=1000.0, bytes_per_s=1e9, compute_frac=1.0, bandwidth_frac=1.0),
    n_multiprocessors=80,
    startup_s=Startup(kill_release=0.0, process=START_S, runtime=0.0, context=0.0, first_run=0.0),
)
SLOW = Copies(h2d_bytes_per_s=4.0, h2d_first_bytes_per_s=4.0, d2h_bytes_per_s=1e30)
BATCHED = {"g0": {kind.value: GraphCosts(1.0, batch_fixed_frac=0.5) for kind in WorkerKind}}


def function(
    number: int,
    n_kernels: int = 4,
    constants: Sequence[int] = (1,),
    *,
    scratch_bytes: int = 0,
    input_bytes: int = 0,
    output_bytes: int = 0,
) -> Function:
    """A function of so many kernels; the i-th uses the i-th constant, the last all that are left."""
    buffers = [Buffer(f"c{i}", size, Role.CONSTANT) for i, size in enumerate(constants)]
    used = [(b,) for b in buffers[: n_kernels - 1]] + [tuple(buffers[n_kernels - 1 :])]
    used += [()] * (n_kernels - len(used))
    kernels = tuple(
        Kernel("k", "k", (80, 1, 1), (32, 1, 1), tuple(BufferArg(b.name, Direction.IN) for b in its), flops=250)
        for its in used
    )
    others = [
        ("scratch", scratch_bytes, Role.TEMPORARY),
        ("in", input_bytes, Role.INPUT),
        ("out", output_bytes, Role.OUTPUT),
    ]
    buffers += [Buffer(name, size, role) for name, size, role in others if size]
    return Function(number, f"f{number}", KernelGraph(f"g{number}", kernels, tuple(buffers)))


@dataclass
class Played:
    """log: what the policy was told, as (instant, event). run: the tables."""

    log: list[tuple[float, Event]]
    run: Run

    def after(self, at_s: float) -> list[tuple[float, Event]]:
        """What was told after an instant."""
        return [(now_s, event) for now_s, event in self.log if now_s > at_s]

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Columns of the completed invocations, in their order; without the seconds of ideal copies."""
        table = self.run.table("invocations").sort_values("invocation").round(9)
        return [*table[table.status == "completed"][list(columns)].itertuples(index=False, name=None)]


def play(
    directory: Path,
    answers: Answers,
    arrivals: Sequence[tuple[float, int]],
    functions: Sequence[Function] = (),
    *,
    needs: Iterable[Need] = (),
    standing: Sequence[Standing] = (),
    workers: Sequence[WorkerKind] = tuple(WorkerKind),
    gpu: Any = GPU,
    gpus: int = 1,
    sharing: str = "mps",
    per_kernel: bool = False,
    constants: Any = None,
    gpus_per_link: int = 1,
    stays: bool = False,
    **fleet: Any,
) -> Played:
    """Simulate a script; after each event the belief is checked, after the run all that must hold of it.

    functions: one of 4 kernels each where none is given. fleet: changes of the FleetSpec.
    """
    functions = functions or [function(i) for i in range(max(f for _, f in arrivals) + 1)]
    trace = ListTrace([t for t, _ in arrivals], [f for _, f in arrivals], [1.0] * len(arrivals), len(functions))
    workload = Workload(trace, tuple(functions), own_durations=False)
    policy = Script(answers, standing, needs, workers)
    settings = FleetSettings(gpus=gpus, gpus_per_link=gpus_per_link, sharing=sharing)
    inputs = assemble(workload, policy, gpu, settings, constants=constants, per_kernel=per_kernel)
    inputs = replace(inputs, fleet=replace(inputs.fleet, **fleet))
    log: list[tuple[float, Event]] = []
    held: list[Simulation] = []
    report, close = Dispatcher.report, Simulation.close

    def checked(dispatcher, now_s, event):
        log.append((now_s, event))
        actions = report(dispatcher, now_s, event)
        dispatcher.check()
        return actions

    directory.mkdir(parents=True, exist_ok=True)
    with (
        patch.object(Dispatcher, "report", checked),
        patch.object(Simulation, "close", lambda simulation: held.append(simulation) or close(simulation)),
    ):
        recorder, ending = simulate_into(directory, inputs, stays=stays)
    if ending.failure is not None:
        raise ending.failure
    run = Run(directory, {"policy": "script", "warnings": []}, recorder.summary(ending.end_s))
    check_run(run, workload, held[0], recorder)
    return Played(log, run)


def at(at_s: float, tag: str = "go") -> Wake:
    """The order to be woken at an instant."""
    return Wake(tag, at_s)
