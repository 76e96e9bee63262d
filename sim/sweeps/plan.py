"""What a sweep has to do: all its points, built once to see that they can be run, and where each will lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.errors import ProjectError, ScenarioError
from sim.sweeps.address import address
from sim.sweeps.points import Point, points_of
from sim.sweeps.study import Study
from sim.sweeps.work import Task, experiment, opened


@dataclass(frozen=True)
class Planned:
    """A point with its task. n_arrivals: of its workload, about: those of the first seed; the measure of its time."""

    point: Point
    task: Task
    n_arrivals: int


def plan(study: Study, runs: Path, note: Callable[[str], None], *, tables: bool = True) -> list[Planned]:
    """All points of a study, in its order. runs: the folder of their run directories. tables: keep those.

    note: told what a user should know, once. Raises ProjectError, naming the point, for one that can't be run.
    """
    points = points_of(study)
    planned: list[Planned] = []
    told: dict[str, None] = {}
    point_of: dict[str, Point] = {}
    for i in range(0, len(points), len(study.seeds)):
        seeds = points[i : i + len(study.seeds)]
        try:
            made, workload, notes = experiment(seeds[0].scenario)
        except ProjectError as error:
            raise type(error)(f"{seeds[0].name}: {error}") from None
        told |= dict.fromkeys([*notes, *(f"Note: {caveat}" for caveat in made.caveats())])
        for point in seeds:
            named = address(point.scenario, workload, made.policy)
            if point_of.setdefault(named, point) is not point:
                raise ScenarioError(f"{point_of[named].name} and {point.name} are the same run")
            planned.append(Planned(point, Task(named, point.scenario, runs / named, tables), workload.n_arrivals))
    opened.cache_clear()  # this process needs them no longer
    for text in told:
        note(text)
    return planned
