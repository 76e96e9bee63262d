"""A sweep: all points of a study that are not done yet, and the table of all that are."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import yaml

from sim.errors import OutputError, ScenarioError
from sim.files.output import PREFIX, clear_workshops, make_directory, new_file, told, workshop, write_text
from sim.files.plaindata import read_yaml
from sim.processes.pool import Jobs, in_processes, n_processes
from sim.settings import require
from sim.sweeps.plan import Planned, plan
from sim.sweeps.study import Study
from sim.sweeps.table import RESULTS, results, write_results
from sim.sweeps.work import Task, finished, perform
from sim.terminal.signals import first_signal_calls

if TYPE_CHECKING:
    import pandas as pd

STUDY, RUNS = "study.yaml", "runs"
Tables: TypeAlias = Literal["all", "summary"]
Runner: TypeAlias = Callable[..., Generator[tuple[Task, str], None, None]]
"""Does work on tasks until it is stopping; gives each with what the work returned, as they end."""
SweepBar: TypeAlias = Callable[[int, int], AbstractContextManager[Callable[[int], None]]]
"""Shows progress: is given the number of points, and the sum of their arrivals; while it is open, those of each."""


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep. frame: the table of results. n_points: of the study. n_before: done before it began.

    failed: why points could not be run, or are not valid, by their name. interrupted: it was told to stop.
    """

    frame: pd.DataFrame
    n_points: int
    n_before: int
    failed: Mapping[str, str]
    interrupted: bool


def run_study(
    study: Study,
    out: Path,
    *,
    jobs: Jobs = "auto",
    ray: str | None = None,
    tables: Tables = "all",
    note: Callable[[str], None] = lambda _: None,
    bar: SweepBar = lambda _, __: nullcontext(lambda _: None),
) -> Sweep:
    """Run all points of a study that have no valid run in ``out`` yet, those of most arrivals first.

    out: a new folder, or one of an earlier sweep, for the study, the runs and the results. jobs: processes; "auto" for
    one a CPU. ray: "local", or the address of a Ray cluster whose nodes all see ``out``; jobs are then the CPUs that
    a local one has. tables: "summary" keeps manifest and summary of a run alone. note: told what a user should know.

    The first SIGINT or SIGTERM stops it, with what is done kept. Raises ProjectError for what can be refused before it
    begins; what goes wrong with a point after that is in what is returned.
    """
    out = Path(os.path.abspath(out))
    _check_place(out)
    require(jobs == "auto" or jobs >= 1, "jobs", jobs, "auto, or at least 1")
    planned = plan(study, out / RUNS, note, tables=tables == "all")
    with _runner(jobs, ray) as run:
        make_directory(out / RUNS)
        with workshop(out / RUNS):  # nobody else sweeps here now
            return _sweep(study, out, planned, run, bar)


def _sweep(study: Study, out: Path, planned: Sequence[Planned], run: Runner, bar: SweepBar) -> Sweep:
    clear_workshops(out / RUNS)
    with new_file(out / STUDY, _is_study) as part:
        write_text(part, yaml.safe_dump(study.as_dict(), sort_keys=False))
    todo = sorted((each for each in planned if not finished(each.task)), key=lambda each: -each.n_arrivals)
    of_address = {each.task.address: each for each in todo}
    errors: dict[str, str] = {}
    stops: list[bool] = []
    try:
        with (
            first_signal_calls(lambda: stops.append(True)),
            bar(len(todo), sum(each.n_arrivals for each in todo)) as advance,
            closing(run(perform, [each.task for each in todo], stopping=lambda: bool(stops))) as ended,
        ):
            for task, error in ended:
                errors |= {task.address: error} if error else {}
                advance(of_address[task.address].n_arrivals)
    finally:
        clear_workshops(out / RUNS)
        frame = results(planned, errors)
        write_results(frame, out / RESULTS)
    return Sweep(frame, len(planned), len(planned) - len(todo), _failed(planned, frame), bool(stops))


@contextmanager
def _runner(jobs: Jobs, ray: str | None) -> Iterator[Runner]:
    """What runs tasks: processes, or a cluster that is joined meanwhile."""
    n = n_processes(jobs)
    if ray is None:
        yield partial(in_processes, jobs=n)
        return
    from sim.sweeps.cluster import joined, on_ray

    with joined(ray, n):
        yield on_ray


def _failed(planned: Sequence[Planned], frame: pd.DataFrame) -> dict[str, str]:
    """Why points could not be run, or are not valid, by their name."""
    name_of = {each.task.address: each.point.name for each in planned}
    bad = frame[~frame["valid"].astype(bool)]
    return {
        name_of[run]: reasons or error
        for run, reasons, error in zip(bad["run"], bad["reasons"], bad["error"], strict=True)
    }


def _check_place(out: Path) -> None:
    """Raise OutputError unless a sweep may write there: where nothing is, or an earlier one has begun."""
    with told(out):
        names = [name for name in os.listdir(out) if not name.startswith(PREFIX)] if os.path.lexists(out) else []
    if names and not (set(names) == {RUNS} or _is_study(out / STUDY)):
        raise OutputError(f"{out}: holds {min(names)}, and is not the folder of a sweep; choose another one")


def _is_study(file: Path) -> bool:
    """Whether a file is a study as a sweep writes it, which says from which folder paths go."""
    try:
        found = read_yaml(file)
    except ScenarioError:
        return False
    return isinstance(found, dict) and found.keys() >= {"factors", "folder"}
