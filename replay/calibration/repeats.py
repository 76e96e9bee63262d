"""Errors of a simulation beside the spread of repeated real runs: what the machine does by itself is no error.

A quantity whose repeats come apart by more than NOISY_FRAC is not judged. An error is beyond the spread when it is
larger than what the repeats differ by, and than NEGLIGIBLE_FRAC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from replay.calibration.validate import ComparedValue
from sim.records.results import Run

LEAST_REPEATS = 3  # two may be alike by chance
NOISY_FRAC = 0.15  # what simulations are to be within: where the machine differs by more, nobody could tell

NEGLIGIBLE_FRAC = 0.01  # repeats of what a trace decides, as the throughput, differ by less than anybody cares for


@dataclass(frozen=True, slots=True)
class Judged:
    """A quantity of repeated runs and of their simulation. measured: by repeat; None where it is not defined."""

    name: str
    measured: tuple[float | None, ...]
    simulated: float | None

    @property
    def middle(self) -> ComparedValue:
        """The median of the repeats beside the simulation."""
        known = [value for value in self.measured if value is not None]
        return ComparedValue(self.name, median(known) if len(known) == len(self.measured) else None, self.simulated)

    @property
    def spread_frac(self) -> float | None:
        """(most - least) / median of the repeats; None where they are too few or that is not defined."""
        middle, known = self.middle.measured, [value for value in self.measured if value is not None]
        if len(self.measured) < LEAST_REPEATS or middle is None:
            return None
        if middle == 0:
            return 0.0 if max(known) == min(known) else None
        return (max(known) - min(known)) / middle

    @property
    def verdict(self) -> str:
        """What the error says; empty where repeats are too few or there is nothing to compare."""
        middle, spread, error = self.middle, self.spread_frac, self.middle.error_frac
        if len(self.measured) < LEAST_REPEATS or middle.measured is None or self.simulated is None:
            return ""
        if spread is None or spread > NOISY_FRAC:
            return "too noisy"
        is_small = error is not None and abs(error) <= max(spread, NEGLIGIBLE_FRAC)
        return "within spread" if is_small else "beyond spread"


def group_repeats(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of the same scenario on the same device, in the order in which the first of each was given."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        replay = run.manifest.get("replay", {})
        device = replay.get("device", {})
        what: list[Any] = [run.manifest.get(key) for key in ("policy", "scenario", "source")]
        what += [replay.get("mode"), device.get("name"), device.get("capacity_bytes")]
        groups.setdefault(json.dumps(what, sort_keys=True), []).append(run)
    return list(groups.values())


def judge(compared: Sequence[Sequence[ComparedValue]]) -> list[Judged]:
    """By quantity, from what ``replay.calibration.validate.compare`` gave for each repeat."""
    return [
        Judged(row[0].name, tuple(value.measured for value in row), row[0].simulated)
        for row in zip(*compared, strict=True)
    ]


def noise(rows: Sequence[Judged]) -> str:
    """A sentence on what can't be judged; empty when all can."""
    n = len(rows[0].measured)
    if n < LEAST_REPEATS:
        runs = "1 run tells" if n == 1 else f"{n} runs tell"
        return f"{runs} nothing of the spread: errors are judged from {LEAST_REPEATS} repeats on"
    noisy = [f"{row.name} ({_percent(row.spread_frac)} %)" for row in rows if row.verdict == "too noisy"]
    if not noisy:
        return ""
    return f"the machine was too noisy to judge {', '.join(noisy)}: repeats may come apart by {NOISY_FRAC:.0%}"


def as_text(label: str, rows: Sequence[Judged]) -> str:
    """Aligned columns for a terminal, and what can't be judged."""
    lines = [(label, "measured", "spread %", "simulated", "error %", "")]
    for row in rows:
        middle, error = row.middle, row.middle.error_frac
        numbers = (_number(middle.measured), _percent(row.spread_frac), _number(row.simulated))
        lines.append((row.name, *numbers, "-" if error is None else f"{100 * error:+.1f}", row.verdict))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:5], widths[1:5]), line[5]]) for line in lines]
    return "\n".join([*map(str.rstrip, table), *filter(None, [noise(rows)])])


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{100 * part:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
