"""Times in parts, as bars: of a request, and of a cold start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from analysis.dataset import Dataset
from analysis.measures import measure
from analysis.series.table import Series, choose, n_unsteady, names
from analysis.study_report import Value
from sim.records.parts import PARTS
from sim.records.tables import STAGES

if TYPE_CHECKING:
    import pandas as pd

Sums: TypeAlias = tuple[dict[str, float], int]
"""Seconds in each part, and over how many they are the sum."""


def breakdown(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Mean latency of completed invocations in the parts that follow each other, see ``sim.records.parts``.

    Columns: panel, policy, part, mean_s (over the invocations of all seeds), invocations, seeds, unsteady, runs.
    """

    def sums(rows: pd.DataFrame) -> Sums:
        n = measure("measured.completed").of(rows).fillna(0.0)
        means = {part: measure(f"latency_parts_s.{part}").of(rows) for part in PARTS}
        return {part: float((mean * n).sum()) for part, mean in means.items()}, int(n.sum())

    return _bars(dataset, where, sums, "Mean latency (s)", "invocations")


def coldstart(dataset: Dataset, where: Mapping[str, Value]) -> Series:
    """Mean cold start of the workers that got ready, in its stages.

    Workers that were there from the start have none. Columns: those of ``breakdown``, with ``starts``.
    """

    columns = [f"{stage}_s" for stage in STAGES]

    def sums(rows: pd.DataFrame) -> Sums:
        parts, n = dict.fromkeys(STAGES, 0.0), 0
        for run in rows["run"]:
            workers = dataset.open(run).table("workers", ("ready_at_s", *columns))
            stages_s = workers.loc[workers["ready_at_s"].notna(), columns]
            n += int((stages_s.sum(axis=1) > 0).sum())
            for stage, column in zip(STAGES, columns, strict=True):
                parts[stage] += float(stages_s[column].sum())
        return parts, n

    return _bars(dataset, where, sums, "Mean cold start (s)", "starts")


def _bars(
    dataset: Dataset, where: Mapping[str, Value], of: Callable[[pd.DataFrame], Sums], y: str, what: str
) -> Series:
    import pandas as pd

    chosen = choose(dataset, where)
    rows: list[dict[str, Any]] = []
    for key, group in chosen.groups():
        parts, n = of(group)
        told = {what: n, "seeds": len(group), "unsteady": n_unsteady(group), "runs": names(group)}
        for part, total_s in parts.items():
            rows.append({**key, "part": part.replace("_", " "), "mean_s": total_s / n if n else 0.0, **told})
    frame = pd.DataFrame(rows)
    shown = frame.groupby("part")["mean_s"].transform("max") > 0  # a part that nobody has needs no key
    return Series(frame[shown] if shown.any() else frame, "", y, chosen.runs, chosen.notes)
