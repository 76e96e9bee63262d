"""When invocations should be completed, by a service level objective (SLO) of their function.

An objective is a text: ``0.5s``, seconds from the scheduled arrival to the reply, or ``3x``, so many times the isolated
latency of the function, which is what the systems that set one for each model do (Clockwork, OSDI 2020; AlpaServe, OSDI
2023).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import NamedTuple

from sim.errors import ScenarioError
from sim.files.inputs import read_text
from sim.text import shown

_FORM = re.compile(r"(\d+\.?\d*|\.\d+)(s|x)")


class Objective(NamedTuple):
    """An objective: seconds, or a multiple of the isolated latency."""

    value: float
    relative: bool

    def of(self, isolated_s: float) -> float:
        """Seconds for a function."""
        return self.value * isolated_s if self.relative else self.value


def parse_objective(text: str, where: str) -> Objective:
    """Read an objective; ``where`` names it in errors. Raises ScenarioError."""
    match = _FORM.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) < inf:
        rule = "seconds above 0 as 0.5s, or a multiple of the isolated latency as 3x"
        raise ScenarioError(f"{where} is {shown(text)}, must be {rule}")
    return Objective(float(match[1]), match[2] == "x")


def read_objectives(file: Path) -> dict[str, Objective]:
    """Read a CSV file with the columns ``function``, by its key in the trace, and ``slo``. Raises ScenarioError."""
    try:
        rows = list(csv.reader(read_text(file).splitlines(keepends=True), strict=True))
    except csv.Error as error:
        raise ScenarioError(f"{file}: not CSV ({error})") from None
    header = rows[0] if rows else []
    if header != ["function", "slo"]:
        raise ScenarioError(f"{file}: has the columns {', '.join(header) or 'none'}; must be function and slo")
    found: dict[str, Objective] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 2:
            raise ScenarioError(f"{file}, row {number}: has {len(row)} cells, must have 2")
        if row[0] in found:
            raise ScenarioError(f"{file}, row {number}: the function {shown(row[0])} is there already")
        found[row[0]] = parse_objective(row[1], f"{file}, row {number}: slo")
    return found


@dataclass(frozen=True)
class Objectives:
    """Objectives by the keys of functions, and that of ``every`` other one; None if these have none."""

    every: Objective | None
    by_key: Mapping[str, Objective] = field(default_factory=dict)

    def deadlines_s(self, keys: Sequence[str], isolated_s: Sequence[float]) -> list[float]:
        """Seconds from arrival to deadline of functions with these keys and latencies; infinite without objective."""
        chosen = (self.by_key.get(key, self.every) for key in keys)
        return [inf if one is None else one.of(alone_s) for one, alone_s in zip(chosen, isolated_s, strict=True)]


def read_slo(slo: str | None, file: str | None) -> Objectives | None:
    """The objectives of a scenario by its keys ``slo`` and ``slo_file``; None without both. Raises ScenarioError."""
    if slo is None and file is None:
        return None
    every = None if slo is None else parse_objective(slo, "slo")
    return Objectives(every, {} if file is None else read_objectives(Path(file)))
