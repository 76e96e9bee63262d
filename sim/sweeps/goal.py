"""Goals: a limit for a metric, such as ``p99<1s``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from analysis.measures import Measure, measure
from analysis.statistics.interval import Interval
from sim.errors import ScenarioError
from sim.sweeps.search import Verdict
from sim.text import shown

_FORM = re.compile(r"([a-z][a-z0-9._-]*)\s*(<=?|>=?)\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(s|ms|%|)")
_UNITS = {"s": 1.0, "": 1.0, "ms": 1e-3, "%": 1e-2}
_RULE = "a metric, < or >, and a number, with s, ms or % if need be, as 'p99<1s' or 'attainment>99%'"


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric has to stay below ``limit``, or above it; the limit itself is as good."""

    measure: Measure
    limit: float
    below: bool

    @property
    def text(self) -> str:
        """As a user would write it."""
        return f"{self.measure.name}{'<' if self.below else '>'}{self.limit:g}{self.measure.unit}"

    def judge(self, found: Interval) -> Verdict:
        """What an estimate and its interval say; without an interval the estimate is all there is, and not certain."""

        def meets(value: float) -> bool:
            return value <= self.limit if self.below else value >= self.limit

        best, worst = (found.low, found.high) if self.below else (found.high, found.low)
        if meets(found.estimate):
            return Verdict.MEETS if found.known and meets(worst) else Verdict.MEETS_BY_ESTIMATE
        return Verdict.FAILS if found.known and not meets(best) else Verdict.FAILS_BY_ESTIMATE


def parse_goal(text: str, where: str) -> Goal:
    """Read a goal; ``where`` names it in errors. Raises ScenarioError for another form, RunError for no metric."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ScenarioError(f"{where} is {shown(text)}, must be {_RULE}")
    name, sign, number, unit = match.groups()
    try:
        limit = float(number) * _UNITS[unit]
    except ValueError:
        raise ScenarioError(f"{where} is {shown(text)}, must be {_RULE}") from None
    its = measure(name)
    times = its.unit == "s"
    if (unit in ("s", "ms") and not times) or (unit == "%" and its.unit):
        raise ScenarioError(f"{where} is {shown(text)}, but {its.label} has the unit {its.unit or 'of a share'}")
    return Goal(its, limit, below=sign.startswith("<"))
