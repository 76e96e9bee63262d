"""One point of a sweep, wherever it is run: in this process, in another one, or on another machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sim.compose import open_workload
from sim.errors import ProjectError, RunError
from sim.experiment import Experiment
from sim.models.calibration import load_calibration
from sim.records.results import open_run
from sim.records.rundir import drop_tables
from sim.scenario import Scenario
from sim.sweeps.address import address
from sim.workload import Workload

# what ``open_workload`` reads of a scenario
OF_WORKLOAD = (
    "traces",
    "format",
    "placement",
    "window",
    "limit",
    "rate_scale",
    "seed",
    "functions",
    "catalogue",
    "map",
    "load",
)
_HELD = 4  # workloads: points that share one come one after another, but for those that are tried again


@dataclass(frozen=True)
class Task:
    """A point to run. address: as it was when the sweep began. folder: its run directory, to be. tables: keep them."""

    address: str
    scenario: Scenario
    folder: Path
    tables: bool = True


def experiment(scenario: Scenario) -> tuple[Experiment, Workload, list[str]]:
    """The experiment of a scenario with one policy; its workload is opened once for all that share it.

    Beside it what a user should know of the workload. Raises ProjectError for what can't be simulated.
    """
    workload, notes = opened(Scenario(policies=("any",), **{name: getattr(scenario, name) for name in OF_WORKLOAD}))
    calibration = load_calibration(scenario.fleet.first_calibration)
    return Experiment(scenario, scenario.policies[0], workload, calibration), workload, notes


def perform(task: Task) -> str:
    """Run a point, unless it is done; returns what kept it from being run, or nothing.

    A run that ended, valid or not, says itself how it went.
    """
    if finished(task):
        return ""
    try:
        made, workload, _ = experiment(task.scenario)
        if address(task.scenario, workload, made.policy) != task.address:
            raise RunError("the code, or a file that it reads, has changed since the sweep began")
        made.run(task.folder, force=True)
        if not task.tables:
            drop_tables(task.folder)
    except ProjectError as error:
        return str(error)
    except Exception as error:  # of a policy's code, say; the other points don't depend on it
        return f"{type(error).__name__}: {error}"
    return ""


def finished(task: Task) -> bool:
    """Whether its folder has a valid run, with all files that it wrote, and with tables where they are to be kept."""
    with suppress(RunError, OSError, KeyError, TypeError, AttributeError):  # of a manifest that no run writes
        run = open_run(task.folder, verify=False)  # whose hashes would take reading all tables
        files = run.manifest["files"]
        whole = all((task.folder / name).stat().st_size == facts["size_bytes"] for name, facts in files.items())
        return run.valid and whole and (not task.tables or "invocations.parquet" in files)
    return False


@lru_cache(maxsize=_HELD)
def opened(scenario: Scenario) -> tuple[Workload, list[str]]:
    """The workload of a scenario that has no other keys, and what a user should know of it."""
    notes: list[str] = []
    return open_workload(scenario, notes.append), notes
