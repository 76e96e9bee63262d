"""A sweep with as many seeds as it takes for a mean to be known to a precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.dataset import steady
from analysis.measures import Measure, measure
from analysis.statistics.precision import LEAST, precise
from sim.errors import ScenarioError
from sim.sweeps.study import POLICY, Study
from sim.sweeps.sweep import Sweep
from sim.text import shown

if TYPE_CHECKING:
    import pandas as pd

MOST_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Precision:
    """The mean of a metric over seeds is to be known to a share ``relative`` of itself, in (0, 1)."""

    measure: Measure
    relative: float


def parse_precision(text: str, where: str) -> Precision:
    """Read ``p99=5%``; ``where`` names it in errors. Raises ScenarioError, and RunError for an unknown metric."""
    name, equals, share = text.partition("=")
    try:
        relative = float(share.strip().removesuffix("%")) / (100 if share.strip().endswith("%") else 1)
    except ValueError:
        relative = 0.0
    if not equals or not 0 < relative < 1:
        raise ScenarioError(f"{where} is {shown(text)}, must be a metric and a share between 0 and 1, as 'p99=5%'")
    return Precision(measure(name.strip()), relative)


def until_precise(study: Study, wanted: Precision, run: Callable[[Study], Sweep], note: Callable[[str], None]) -> Sweep:
    """Run a study with more seeds each time, those of before included, until every point is precise.

    run: runs a study, of which what is done is not run again. The first round has the seeds of the study, but at least
    ``LEAST``, and none more than ``MOST_SEEDS``. Points whose runs are not all valid and steady are not waited for.
    """
    n = max(LEAST, len(study.seeds))
    while True:
        came = run(replace(study, seeds=tuple(range(n))))
        needed = _needed(came.frame, [name for name in study.factors if name != POLICY], wanted)
        if came.interrupted or needed <= n:
            return came
        if n >= MOST_SEEDS:
            note(f"{wanted.measure.name} is not known to {wanted.relative:.3g} of itself everywhere with {n} seeds")
            return came
        n = min(max(needed, n + 1), 2 * n, MOST_SEEDS)


def _needed(frame: pd.DataFrame, factors: list[str], wanted: Precision) -> int:
    """The most seeds that a point needs, if those that it has are typical."""
    needed = 0
    for _, rows in frame.groupby([POLICY, *factors]):
        if rows["valid"].all() and steady(rows).all():
            found = precise(np.array(wanted.measure.of(rows)), wanted.relative)
            needed = max(needed, len(rows) if found.reached else found.n_needed or 0)
    return needed
