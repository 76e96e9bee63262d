"""What the figures of a page draw, as plain values for JSON: a few thousand numbers a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.curves import Curves, horizon_s, measure, plot_labels
from analysis.metrics import Floats
from analysis.palette import look_of
from analysis.report.source import Source
from sim.records.parts import PARTS
from sim.records.results import Run
from sim.records.tables import GPU_PARTS
from sim.text import printable

MOST_DRAWN = 48  # runs of which the tables are read
_POINTS = 400  # of a distribution


@dataclass(frozen=True)
class Group:
    """Runs that are drawn at once: the place of the line of each in the legend. at: indices of values of factors."""

    at: list[int]
    runs: dict[int, Run]


def drawn(source: Source, groups: Sequence[Group]) -> dict[str, Any]:
    """The data of a page.

    lines: label, colour and dashes (widths of the line on and off) of each entry of the legend. groups: what is drawn
    at once, ``at`` these indices of the values of factors, the curves of each run by its line. parts: of GPU time.
    latencyParts: of latency. factors: names and values.
    """
    return {
        "lines": lines(source),
        "groups": [{"at": group.at, "runs": _group(group)} for group in groups],
        "parts": list(GPU_PARTS),
        "latencyParts": [text(part.replace("_", " ")) for part in PARTS],
        "factors": [] if source.together else factors(source),
    }


def lines(source: Source) -> list[dict[str, Any]]:
    """A line for each run, or for each policy in the order and the colours of the study."""
    if source.together:
        labels = plot_labels(list(source.runs.values()))
        return [_line(label, *look_of(i)) for i, label in enumerate(labels)]
    looks = sorted(source.dataset.report.looks.items(), key=lambda item: item[1].order)
    found = []
    for policy, look in looks:
        colour, dashes = look_of(look.order)
        found.append(_line(source.labels[policy], look.colour or colour, dashes))
    return found


def groups(source: Source) -> list[Group]:
    """All runs at once; or at each combination of factors the valid run of each policy with the least seed.

    Of the latter so many that no more than MOST_DRAWN runs are read, but one group.
    """
    if source.together:
        return [Group([], dict(enumerate(source.runs.values())))]
    rows = [row for row in keyed(source) if row["valid"] and _has_tables(source.runs.get(row["run"]))]
    first: dict[tuple[int, ...], dict[int, str]] = {}
    for row in sorted(rows, key=lambda row: (row["at"], row["line"], row["seed"])):
        first.setdefault(row["at"], {}).setdefault(row["line"], row["run"])
    found: list[Group] = []
    for at, names in first.items():
        if found and sum(len(other.runs) for other in found) + len(names) > MOST_DRAWN:
            break
        found.append(Group(list(at), {line: source.runs[name] for line, name in names.items()}))
    return found


def factors(source: Source) -> list[dict[str, Any]]:
    """Name and values of each factor: numbers ascending, text in the order of the rows."""
    return [
        {"name": text(name), "values": [value if _is_number(value) else text(value) for value in _values(source, name)]}
        for name in source.dataset.factors
    ]


def keyed(source: Source) -> list[dict[str, Any]]:
    """The rows of the table, each with the ``line`` of its policy and, ``at``, which of its values each factor has."""
    looks = source.dataset.report.looks
    indices = [(name, {value: i for i, value in enumerate(_values(source, name))}) for name in source.dataset.factors]
    return [
        {**row, "line": looks[row["policy"]].order, "at": tuple(index[row[name]] for name, index in indices)}
        for row in source.rows
    ]


def text(value: object) -> str:
    """Text of a user for a page, without what has no shape."""
    return printable(str(value))


def numbers(values: Floats | Sequence[float], digits: int = 4) -> list[float | None]:
    """Numbers of so many significant digits, four of which no reader can tell from all; None for NaN."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in np.asarray(values).tolist()]


def _values(source: Source, factor: str) -> list[Any]:
    values = list(dict.fromkeys(row[factor] for row in source.rows))
    return sorted(values) if all(map(_is_number, values)) else values


def _has_tables(run: Run | None) -> bool:
    """Whether there is more of a run than its summary: a sweep may keep no tables."""
    return run is not None and (run.path / "invocations.parquet").is_file()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _line(label: str, colour: str, dashes: Sequence[float]) -> dict[str, Any]:
    return {"label": text(label), "colour": colour, "dashes": list(dashes)}


def _group(group: Group) -> list[dict[str, Any]]:
    end_s = horizon_s(list(group.runs.values()))
    return [_curves(line, run, end_s) for line, run in group.runs.items()]


def _curves(line: int, run: Run, end_s: float) -> dict[str, Any]:
    curves = measure(run, "", end_s)
    return {
        "line": line,
        "latency": _above(curves.latency_s),
        "slowdown": _above(curves.slowdown),
        "parts": _parts(run),
        **_by_interval(curves),
    }


def _by_interval(curves: Curves) -> dict[str, Any]:
    return {
        "edges": numbers(curves.edges_s, 8),
        "p50": numbers(curves.latency_p50_s),
        "p99": numbers(curves.latency_p99_s),
        "queue": numbers(curves.queue_length),
        "gpuEdges": numbers(curves.gpu_edges_s, 8),
        "gpu": [numbers(part) for part in curves.gpu_frac],
    }


def _parts(run: Run) -> list[float | None] | None:
    """Mean seconds of each part of latency; None where nothing completed, and of runs from before there were parts."""
    means = run.summary.get("latency_parts_s") or {}
    known = [means.get(part) for part in PARTS]
    return None if None in known else numbers([float(mean) for mean in known if mean is not None])


def _above(points: tuple[Floats, Floats]) -> list[list[float | None]]:
    """Of a distribution (``metrics.cdf``) x and the share of greater values, whose digits are those of the tail."""
    x, share = points[0][1:], points[1][1:]
    kept = np.unique(np.linspace(0, len(x) - 1, min(_POINTS, len(x))).round().astype(np.int64))
    return [numbers(x[kept], 6), numbers(1 - share[kept])]
