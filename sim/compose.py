"""The one place where trace, workload, policy, costs, engine and recorder come together.

Commands, studies, benchmarks, tests and the simulated twins of replays all go through it, as far as each needs:
``open_workload``, then ``assemble``, then ``simulate_into``. What a scenario makes of it is in ``sim.experiment``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import inf
from pathlib import Path

import numpy as np

from sim.binding import Map, read_map
from sim.dispatcher import Dispatcher, Log
from sim.domain import FleetSpec, NodeSpec, Trace
from sim.errors import ScenarioError
from sim.loads import Clients, make_load
from sim.models.calibration import Calibration, load_calibration
from sim.models.clients import ClientSettings
from sim.models.constants import ConstantsSettings, constants_of
from sim.models.costs import CostModel
from sim.models.deadlines import Objectives
from sim.models.failures import Failure, Failures
from sim.models.sharing import make_sharing
from sim.models.workloads.catalogue import load_catalogue
from sim.protocol import EVERY_FUNCTION, Need, Policy, share_devices
from sim.records.intervals import choose_interval_s
from sim.records.recorder import Recorder
from sim.scenario import FleetSettings, Scenario
from sim.seam import Ending, Engine, Inputs, Interrupting
from sim.settings import unknown
from sim.workload import Workload, bind
from traces.open import open_trace


def open_trace_of(scenario: Scenario) -> Trace:
    """The trace that a scenario names, or that of its clients."""
    if (load := scenario.load) is not None:
        return make_load(load.name).trace(Clients(load.clients, load.graph, scenario.seed))
    return open_trace(
        [Path(t) for t in scenario.traces],
        format=scenario.format,
        placement=scenario.placement,
        window=scenario.window,
        rate_scale=scenario.rate_scale,
        seed=scenario.seed,
    )


def open_workload(scenario: Scenario, note: Callable[[str], None]) -> Workload:
    """The workload of a scenario. note: told what a user should know of it."""
    catalogue = load_catalogue(scenario.catalogue) if scenario.functions == "catalogue" else None
    chosen = read_map(Path(scenario.map), catalogue) if scenario.map is not None and catalogue is not None else None
    if (load := scenario.load) is not None and catalogue is not None:
        if load.graph not in catalogue:
            raise ScenarioError(unknown("graph", load.graph, catalogue))
        catalogue = {load.graph: catalogue[load.graph]}
    trace = open_trace_of(scenario)
    if chosen is not None:
        _tell_unused(chosen, trace, note)
    workload = bind(trace, catalogue=catalogue, chosen=chosen, limit=scenario.limit)
    workload.require_arrivals()
    return workload


def _tell_unused(chosen: Map, trace: Trace, note: Callable[[str], None]) -> None:
    if unused := chosen.unused(trace.functions):
        n_rows = f"{len(unused):,} of {len(chosen.graph_of):,} rows"
        note(f"{chosen.file}: {n_rows} name no {chosen.by} that is invoked, such as {unused[0]!r}")


def assemble(
    workload: Workload,
    policy: Policy,
    calibration: Calibration,
    fleet: FleetSettings,
    seed: int = 0,
    *,
    constants: ConstantsSettings | None = None,
    report_delay_s: float = 0.0,
    per_kernel: bool = False,
    failures: Sequence[Failure] = (),
    retries: int = 0,
    slo: Objectives | None = None,
    clients: ClientSettings | None = None,
    measured: tuple[float, float] = (0.0, inf),
) -> Inputs:
    """Inputs of an engine. Everything that can be refused is refused here, with a ScenarioError or PolicyError.

    fleet: its ``calibration`` is not read, but the one given is used. constants: None where the scenario has none. slo:
    objectives of the functions. For the others see ``sim.seam.Inputs``.
    """
    spec, others = _fleet_of(fleet, calibration)
    costs = CostModel(calibration, workload.functions, policy.workers[0], others)
    costs_of_each = [  # may find that a function does not fit
        costs.of(kind, model) for kind, model in product(policy.workers, range(len(others) + 1))
    ]
    brain = Dispatcher(policy, spec, workload.functions, costs, np.random.default_rng(0))  # may refuse them
    sharing = make_sharing(fleet.sharing)
    shares = {(w.function, w.share) for w in brain.standing} if share_devices(brain.standing) else set()
    if policy.needs & {Need.SHARED_DEVICES, Need.CONCURRENCY}:
        shares.add((EVERY_FUNCTION, 1.0))
    for (owner, share), its_costs in product(sorted(shares), costs_of_each):
        for function in range(len(workload.functions)) if owner == EVERY_FUNCTION else (owner,):
            sharing.demand(its_costs, function, share)  # may not know how
    lie = None if constants is None else constants_of(constants, calibration.rungs)
    Failures(failures, spec, seed)  # may not have what is to fail
    slo_s = None
    if slo is not None:
        functions = workload.functions
        slo_s = slo.deadlines_s([f.key for f in functions], [costs.isolated_s(f.id) for f in functions])
    return Inputs(
        workload,
        policy,
        spec,
        costs,
        sharing,
        lie,
        report_delay_s,
        seed,
        per_kernel,
        failures=tuple(failures),
        retries=retries,
        slo_s=slo_s,
        clients=clients,
        measured=measured,
    )


def _fleet_of(fleet: FleetSettings, calibration: Calibration) -> tuple[FleetSpec, list[Calibration]]:
    """A fleet, and the calibrations of its GPUs beside that of the first."""
    if not fleet.nodes:
        return FleetSpec(calibration.spec, fleet.gpus, fleet.gpus_per_node, fleet.gpus_per_link), []
    names = list(dict.fromkeys(node.calibration for node in fleet.nodes))
    found = [calibration, *(load_calibration(name).without_frontend() for name in names[1:])]
    nodes = [
        NodeSpec(found[model].spec, node.gpus, node.gpus_per_link, model, node.standby)
        for node in fleet.nodes
        for model in [names.index(node.calibration)]
        for _ in range(node.count)
    ]
    return FleetSpec.of_nodes(nodes, fleet.node_start_s), found[1:]


def simulate_into(
    directory: Path,
    inputs: Inputs,
    log: Log | None = None,
    *,
    stays: bool = False,
    progress: Callable[[int], None] | None = None,
    interrupting: Interrupting | None = None,
) -> tuple[Recorder, Ending]:
    """Simulate, with the tables in a directory; see ``sim.seam.Engine``. The recorder is closed.

    stays: record what is in device memory.
    A run in which every invocation has ended is over with the last of them, or the last start of a worker: those that
    are kept warm for nobody after that make it no longer.
    """
    from sim.engine import simulate  # and SimPy, which a machine for replays alone does without

    interval_s = choose_interval_s(inputs.workload.trace.duration_s)
    recorder = Recorder(
        directory,
        inputs.workload,
        inputs.fleet,
        inputs.costs,
        interval_s,
        inputs.slo_s,
        inputs.measured,
        stays=stays,
    )
    engine: Engine = simulate
    outcome = engine(inputs, recorder, log, progress=progress, interrupting=interrupting)
    recorder.close()
    if not (outcome.n_unfinished or outcome.interrupted or outcome.failure):
        outcome = replace(outcome, end_s=min(outcome.end_s, recorder.last_end_s))
    return recorder, outcome
