"""Metrics at each combination of factors, as plain values for JSON: means over seeds with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.measures import MEASURES, Measure
from analysis.report.data import keyed, numbers, text
from analysis.report.source import Source
from analysis.statistics.interval import t_interval


def measures(source: Source) -> list[Measure]:
    """Those that the study asks for, then the others that any run has."""
    wanted = {measure.column: measure for measure in (*source.dataset.report.measures, *MEASURES.values())}
    frame = source.dataset.frame
    return [measure for column, measure in wanted.items() if column in frame and frame[column].notna().any()]


def points(source: Source) -> dict[str, Any]:
    """What the figure of metrics against factors draws.

    measures: name and unit of each. points: of each policy (its line) at each combination of factors (indices of their
    values) the number of valid seeds, how many of them were not steady, and of each measure mean and 95 % t interval
    over seeds.
    """
    if source.together:
        return {"measures": [], "points": []}
    found = measures(source)
    groups: dict[tuple[tuple[int, ...], int], list[dict[str, Any]]] = {}
    for row in keyed(source):
        if row["valid"]:
            groups.setdefault((row["at"], row["line"]), []).append(row)
    return {
        "measures": [{"label": text(measure.label), "unit": text(measure.unit)} for measure in found],
        "points": [
            {"at": list(at), "line": line, **_point(rows, found)} for (at, line), rows in sorted(groups.items())
        ],
    }


def _point(rows: list[dict[str, Any]], found: list[Measure]) -> dict[str, Any]:
    values = (np.array([row[measure.column] for row in rows], dtype=np.float64) for measure in found)
    intervals = [t_interval(known[~np.isnan(known)]) for known in values]
    return {
        "seeds": len(rows),
        "unsteady": sum(not row["steady"] for row in rows),
        "measures": [numbers([i.estimate, i.low, i.high]) for i in intervals],
    }
