"""Two policies of a data set side by side: a pair of numbers for every seed that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from analysis.dataset import steady
from analysis.measures import Measure
from analysis.statistics.interval import Floats

if TYPE_CHECKING:
    import pandas as pd


class Cell(NamedTuple):
    """A policy and seed: how many runs there are, how many are valid, steady, and have a number, the mean of these
    numbers, and what was wrong with a run."""

    n_runs: int
    n_valid: int
    n_steady: int
    n_numbers: int
    value: float
    fault: str


Cells: TypeAlias = Mapping[str, Mapping[int, Cell]]  # by policy and seed


@dataclass(frozen=True)
class Pairs:
    """value and baseline: (seeds,) each.

    unsteady: which of policy and baseline have a run in which work piled up. empty: whether no run of one of them has
    the number at all. left_out: sentences on seeds that make no pair.
    """

    seeds: tuple[int, ...]
    value: Floats
    baseline: Floats
    unsteady: tuple[str, ...]
    empty: bool
    left_out: tuple[str, ...]


def cells(frame: pd.DataFrame, measure: Measure) -> Cells:
    """The rows of a data set by policy and seed; what of it has several rows is one cell."""
    valid = frame["valid"].astype(bool)
    columns: dict[str, Any] = {
        "n_runs": 1,
        "n_valid": valid,
        "n_steady": valid & steady(frame),
        "n_numbers": valid & measure.of(frame).notna(),
        "value": measure.of(frame).where(valid),
        "fault": frame["error"].where(frame["error"] != "", frame["reasons"]),
    }
    how = {**dict.fromkeys(columns, "sum"), "value": "mean", "fault": "max"}
    table = frame[["policy", "seed"]].assign(**columns).groupby(["policy", "seed"]).agg(how)
    found: dict[str, dict[int, Cell]] = {}
    for (policy, seed), *cell in table.itertuples(name=None):
        found.setdefault(policy, {})[seed] = Cell(*cell)
    return found


def pair(table: Cells, policy: str, baseline: str, measure: Measure, n_points: int) -> Pairs:
    """Pair the cells of two policies by seed.

    n_points: how many runs a cell has, one for each combination of the factors over which its number is a mean. A seed
    is left out, for both, where a run of either is missing, invalid or lacks the number.
    """
    sides = {"policy": table.get(policy, {}), "baseline": table.get(baseline, {})}
    why = {seed: _why_not(seed, sides, measure, n_points) for seed in sorted({*sides["policy"], *sides["baseline"]})}
    kept = [seed for seed, reason in why.items() if not reason]
    value, base = (np.array([side[seed].value for seed in kept], dtype=np.float64) for side in sides.values())
    left_out = {reason: [seed for seed in why if why[seed] == reason] for reason in why.values() if reason}
    return Pairs(
        tuple(kept),
        value,
        base,
        tuple(name for name, side in sides.items() if any(cell.n_steady < cell.n_valid for cell in side.values())),
        any(_has_none(side) for side in sides.values()),
        tuple(f"seed{'s'[: len(s) > 1]} {', '.join(map(str, s))} left out: {told}" for told, s in left_out.items()),
    )


def _has_none(side: Mapping[int, Cell]) -> bool:
    """Whether there are valid runs, and none of them has the number."""
    return any(cell.n_valid for cell in side.values()) and not any(cell.n_numbers for cell in side.values())


def _why_not(seed: int, sides: Mapping[str, Mapping[int, Cell]], measure: Measure, n_points: int) -> str:
    """Why a seed makes no pair; empty if it does."""
    for name, side in sides.items():
        cell = side.get(seed)
        if cell is None or cell.n_runs < n_points:
            return f"the {name} has no run of it"
        if cell.n_valid < n_points:
            return f"the run of the {name} is invalid{f' ({cell.fault})' if cell.fault else ''}"
        if cell.n_numbers < n_points:
            return f"the run of the {name} has no {measure.label}"
    return ""
