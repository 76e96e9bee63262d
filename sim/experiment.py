"""Scenarios: each policy of one makes a run directory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from sim.cells.run import CellTask, MergedRecords, run_cells, write_tables
from sim.cells.split import assign_workload, cell_fleet, cell_seed, cell_workload
from sim.compose import assemble, open_workload, simulate_into
from sim.dispatcher import Log
from sim.errors import PolicyError, ProjectError, ScenarioError
from sim.files.fingerprint import changed
from sim.files.output import workshop
from sim.models.calibration import Calibration, load_calibration
from sim.models.costs import CostModel
from sim.models.deadlines import read_slo
from sim.offered import OfferedLoad, offered_load
from sim.policies import make_policy
from sim.policies.base import BasePolicy
from sim.policies.files import spell
from sim.processes.pool import Jobs, n_processes
from sim.records.actions import actions_log
from sim.records.caveats import caveats, predicted
from sim.records.decisions import decision_log
from sim.records.intervals import choose_interval_s
from sim.records.manifest import conclude, describe
from sim.records.recorder import Recorder
from sim.records.rundir import RunDirectory, check_free, new_runs, run_directory
from sim.scenario import Scenario
from sim.seam import Ending
from sim.settings import exact
from sim.terminal.signals import first_signal_calls
from sim.workload import Workload

Progress: TypeAlias = Callable[[int], None] | None  # called with the number of arrivals since its last call
Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Progress]]


class Experiment:
    """A policy on the workload of a scenario. Everything that can be refused is refused when it is made.

    policy: what names it, or itself, if no text does.
    """

    def __init__(
        self, scenario: Scenario, policy: str | BasePolicy, workload: Workload, calibration: Calibration
    ) -> None:
        self.policy: BasePolicy = make_policy(policy) if isinstance(policy, str) else policy
        if scenario.frontend == "none":
            calibration = calibration.without_frontend()
        elif calibration.frontend is None:
            raise ScenarioError(f"frontend: is {scenario.frontend!r}, but the calibration {calibration.name} has none")
        if scenario.fleet.memory_gib is not None:
            calibration = calibration.with_memory(int(scenario.fleet.memory_gib * 2**30))
        if scenario.residency is not None:
            calibration = calibration.with_eviction(scenario.residency)
        if not isinstance(scenario.spread, str):
            calibration = calibration.with_spread(scenario.spread)
        self._scenario = scenario
        self._calibration = calibration
        fleet, seed = scenario.fleet, scenario.seed
        if scenario.cells > 1:
            costs = CostModel(calibration, workload.functions, self.policy.workers[0])
            self._cell_of = assign_workload(workload, costs, scenario.cells)
            of_cell = cell_fleet(fleet, scenario.cells)
            if scenario.cell is not None:
                workload, fleet = cell_workload(workload, self._cell_of, scenario.cell), of_cell
                seed = cell_seed(seed, scenario.cell)
        self._workload = workload
        per_kernel = scenario.granularity == "kernel"
        self._inputs = assemble(
            workload,
            self.policy,
            calibration,
            fleet,
            seed,
            constants=scenario.constants,
            report_delay_s=scenario.report_delay_s,
            per_kernel=per_kernel,
            failures=scenario.failures,
            retries=scenario.retries,
            slo=read_slo(scenario.slo, scenario.slo_file),
            clients=scenario.clients,
            measured=scenario.measured(workload.trace.duration_s),
        )

    @property
    def name(self) -> str:
        """A name for the run's directory: the policy and those parameters that are not at their defaults."""
        changed = [
            f"-{f.name}={exact(getattr(self.policy, f.name))}"
            for f in dataclasses.fields(self.policy)  # type: ignore[arg-type]
            if getattr(self.policy, f.name) != f.default
        ]
        return self.policy.name + "".join(changed)

    def caveats(self) -> list[str]:
        """What a user should know before it begins, see ``sim.records.caveats``."""
        found = caveats(self._workload, self._calibration)
        for kind in self.policy.workers:
            found += predicted(self._inputs.costs.of(kind), self._calibration)
        return list(dict.fromkeys(found))

    def offered(self) -> OfferedLoad | None:
        """What the invocations ask of the fleet; None for clients in a closed loop, who ask for all they can get."""
        return offered_load(self._workload, self._inputs.costs, self._inputs.fleet)

    def run(
        self,
        directory: Path,
        *,
        force: bool,
        decisions: bool = False,
        stays: bool = False,
        progress: Progress = None,
        jobs: int = 1,
    ) -> dict[str, Any]:
        """Simulate and write the run directory; returns the summary.

        jobs: processes for its cells, where it has several.
        decisions: write the log of all decisions as well, see ``sim.records.decisions``. stays: write what was in
        device memory when, see ``sim.records.residency``.
        An interruption, a policy's mistake, or a trace that is not what it was when it was opened makes the run
        invalid: the directory then holds what was completed, and the summary says why. What a policy's code raises is
        raised again after that.
        """
        interval_s = choose_interval_s(self._workload.trace.duration_s)
        facts = describe(self.policy, self._scenario, self._workload, self._calibration, interval_s)
        facts["warnings"] = self.caveats()
        if (offered := self.offered()) is not None:
            facts["offered"] = offered.as_dict()
        with run_directory(directory, {"world": "sim", **facts}, force=force) as out:
            begun_s = time.perf_counter()
            if self._scenario.cells > 1 and self._scenario.cell is None:
                return self._run_cells(out, jobs, begun_s, facts["warnings"])
            with self._log(out.path) if decisions else nullcontext() as log:
                recorder, outcome = simulate_into(
                    out.path,
                    self._inputs,
                    log,
                    stays=stays,
                    progress=progress,
                    interrupting=first_signal_calls,
                )
            wall_s = time.perf_counter() - begun_s
            summary = self._conclude(out, recorder, outcome, wall_s, facts["warnings"])
        if isinstance(outcome.failure, Exception) and not isinstance(outcome.failure, PolicyError):
            raise outcome.failure
        return summary

    def _run_cells(self, out: RunDirectory, jobs: int, begun_s: float, warnings: list[str]) -> dict[str, Any]:
        """Run all cells, each into a run directory that is gone when their tables and sums are those of the whole."""
        scenario = dataclasses.replace(self._scenario, policies=(spell(self.policy),))
        stops: list[bool] = []
        with workshop(out.path / "cells") as folder, first_signal_calls(lambda: stops.append(True)):
            cells = run_cells(scenario, folder, jobs, _run_cell, lambda: bool(stops))
            write_tables(cells, self._workload, self._cell_of, self._inputs.fleet, out.path)
            records = MergedRecords(cells, warnings)
        times = {"simulated_s": records.simulated_s, "wall_s": time.perf_counter() - begun_s}
        return conclude(out, records, self.policy, times, records.reasons, None, warnings=warnings)

    @contextmanager
    def _log(self, directory: Path) -> Iterator[Log]:
        """All that the policy is told and orders, as a log and as a table."""
        with decision_log(directory) as log, actions_log(directory, self._inputs.costs, log) as table:
            yield table

    def _conclude(
        self, out: RunDirectory, recorder: Recorder, outcome: Ending, wall_s: float, warnings: list[str]
    ) -> dict[str, Any]:
        reasons, error = _against(outcome)
        reasons += [f"{file}: changed since it was opened" for file in changed(self._workload.inputs)]
        times = {"simulated_s": outcome.end_s, "wall_s": wall_s}
        return conclude(out, recorder, self.policy, times, reasons, error, warnings=[*warnings, *outcome.limits])


def _against(outcome: Ending) -> tuple[list[str], str | None]:
    """Reasons against a run, and the error that ended it."""
    failure = outcome.failure
    if isinstance(failure, PolicyError):
        return ["the policy ordered something impossible"], str(failure)
    if isinstance(failure, SystemExit):
        return ["the policy tried to end the process"], repr(failure)
    if failure is not None:  # of a policy's code: its author gets the traceback, and what was completed
        return ["the run crashed"], repr(failure)
    if outcome.interrupted:
        return [f"interrupted at {outcome.end_s:.6g} s of simulated time"], None
    if left := outcome.n_unfinished:
        return [f"the policy left {left} invocations waiting for ever"], None
    return [], None


def _run_cell(task: CellTask) -> str:
    """Run a cell; returns what kept it from being run, or nothing."""
    scenario = task.scenario
    try:
        workload = open_workload(scenario, lambda _: None)
        calibration = load_calibration(scenario.fleet.first_calibration)
        Experiment(scenario, scenario.policies[0], workload, calibration).run(task.folder, force=True)
    except ProjectError as error:
        return str(error)
    return ""


def run_scenario(
    scenario: Scenario,
    directory: Path | None = None,
    *,
    force: bool = False,
    decisions: bool = False,
    stays: bool = False,
    jobs: Jobs = "auto",
    note: Callable[[str], None] = lambda _: None,
    bar: Bar = lambda _, __: nullcontext(),
) -> dict[Path, dict[str, Any]]:
    """Run every policy of a scenario into a directory of its own; all are checked before the first starts.

    directory: where those are; None for a new one of ``runs``, named by the time. force: replace older runs there.
    decisions, stays: see ``Experiment.run``. jobs: processes for the cells of a run. note: told what a user should
    know. bar: by the text of a policy and the number of arrivals, a context that shows how far the run is. Returns the
    summaries by run directory.
    """
    calibration = load_calibration(scenario.fleet.first_calibration)
    workload = open_workload(scenario, note)
    experiments: dict[str, Experiment] = {}
    for text in scenario.policies:
        experiment = Experiment(scenario, text, workload, calibration)
        if experiment.name in experiments:
            raise ScenarioError(f"the policy {experiment.policy.describe()} is given twice")
        if scenario.cells > 1 and scenario.cell is None and (decisions or stays):
            raise ScenarioError(
                "cells: what is decided, and what is in memory, is recorded of a single cell: choose one"
            )
        if directory is not None:
            check_free(directory / experiment.name, force=force)
        experiments[experiment.name] = experiment
    if directory is None:
        directory = new_runs()
    for caveat in dict.fromkeys(text for experiment in experiments.values() for text in experiment.caveats()):
        note(f"Note: {caveat}")
    _tell_offered(experiments.values(), note)
    summaries = {}
    for name, experiment in experiments.items():
        path = directory / name
        with bar(experiment.policy.describe(), workload.n_arrivals) as progress:
            summaries[path] = experiment.run(
                path, force=force, decisions=decisions, stays=stays, progress=progress, jobs=n_processes(jobs)
            )
        if any("interrupted" in reason for reason in summaries[path]["reasons"]):
            break
    return summaries


def _tell_offered(experiments: Iterable[Experiment], note: Callable[[str], None]) -> None:
    """What is asked of the fleet, once where policies have the same kind of worker."""
    by_kind = {experiment.policy.workers[0].value: experiment.offered() for experiment in experiments}
    for kind, offered in by_kind.items():
        if offered is not None:
            note(f"{kind} workers: {offered.text()}" if len(by_kind) > 1 else offered.text())
