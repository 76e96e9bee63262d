"""The smallest fleet that meets a goal: sizes are tried as points of a study, with several seeds each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.dataset import steady
from analysis.statistics.interval import CONFIDENCE, Interval, no_interval, t_interval
from sim.errors import ScenarioError
from sim.processes.pool import Jobs
from sim.records.prices import Prices
from sim.sweeps.goal import Goal
from sim.sweeps.search import Found, Verdict, search
from sim.sweeps.study import Study
from sim.sweeps.sweep import SweepBar, run_study

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Size:
    """A size that was tried. interval: of the metric's mean over seeds. why_not: why it has no estimate, else empty.
    per_hour: what an hour of its GPUs costs; None where that is not asked, or it can't be run."""

    n: int
    interval: Interval
    verdict: Verdict
    why_not: str = ""
    per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Sizing:
    """What was found, and all sizes that were tried, ascending."""

    goal: Goal
    over: str
    found: Found
    tried: Sequence[Size]


class Stopped(Exception):
    """It was told to stop."""


def smallest(
    study: Study,
    goal: Goal,
    out: Path,
    *,
    over: str = "gpus",
    least: int = 1,
    most: int = 1024,
    confidence: float = CONFIDENCE,
    prices: Prices | None = None,
    jobs: Jobs = "auto",
    note: Callable[[str], None] = lambda _: None,
    bar: SweepBar,
) -> Sizing:
    """Search the least value of the factor ``over``, from ``least`` to ``most``, at which one policy meets a goal.

    study: with one policy, the seeds, and no factor of several values. A size fails as well where a run is not valid,
    is not steady, or can't be run. prices: of GPUs. Runs are those of a sweep in ``out``, which is gone on with, and
    whose table has all sizes that were tried at the end. Raises ProjectError for what can't be simulated at any size,
    and Stopped.
    """
    several = [name for name, values in study.factors.items() if len(values) > 1]
    if several:
        raise ScenarioError(f"{several[0]}: has several values; a size is searched for one policy and one scenario")
    tried: dict[int, Size] = {}
    refused: dict[int, ScenarioError] = {}

    def run(sizes: Sequence[int], note: Callable[[str], None]) -> pd.DataFrame:
        came = run_study(
            replace(study, factors={**study.factors, over: tuple(sizes)}), out, jobs=jobs, note=note, bar=bar
        )
        if came.interrupted:
            raise Stopped
        return came.frame

    def judge(n: int) -> Verdict:
        said = note if not tried else lambda _: None  # what it says is the same for all
        try:
            frame = run([n], said)
            per_hour = None if prices is None else _per_hour(frame, prices)
            tried[n] = replace(_size(frame, n, goal, confidence), per_hour=per_hour)
        except ScenarioError as error:  # it can't be run, as where a function needs more memory
            refused[n] = error
            tried[n] = _failing(n, confidence, str(error))
        return tried[n].verdict

    found = search(judge, least, most)
    if len(refused) == len(tried):
        raise refused[max(refused)]
    run(sorted(tried.keys() - refused.keys()), lambda _: None)
    return Sizing(goal, over, found, [tried[n] for n in sorted(tried)])


def _size(frame: pd.DataFrame, n: int, goal: Goal, confidence: float) -> Size:
    """What the runs of a size say."""
    why_not = ""
    if not frame["valid"].all():
        bad = frame[~frame["valid"].astype(bool)].iloc[0]
        why_not = str(bad["error"] or bad["reasons"])
    elif not steady(frame).all():
        why_not = "not steady"
    elif goal.measure.of(frame).isna().any():
        why_not = f"some runs have no {goal.measure.label}"
    if why_not:
        return _failing(n, confidence, why_not)
    interval = t_interval(np.array(goal.measure.of(frame)), confidence)
    return Size(n, interval, goal.judge(interval))


def _per_hour(frame: pd.DataFrame, prices: Prices) -> float:
    """What an hour of the GPUs costs, of those that are there in the mean."""
    of = "gpu_hours_of."
    hours = {name.removeprefix(of): float(frame[name].mean()) for name in frame.columns if name.startswith(of)}
    return prices.cost(hours) / (float(frame["simulated_s"].mean()) / 3600)


def _failing(n: int, confidence: float, why_not: str) -> Size:
    return Size(n, no_interval(np.nan, confidence, 0, why_not), Verdict.FAILS, why_not)
