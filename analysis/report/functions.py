"""How single functions fared: the most popular ones of the runs that are drawn first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis import metrics
from analysis.compare import count, digits, percent
from analysis.report import html
from analysis.report.data import Group, factors, lines
from analysis.report.html import Cell, Column
from analysis.report.source import Source
from sim.records.results import Run

MOST = 15  # functions of a run
_SHORT = 24  # characters of a name: those of the Azure traces are hashes of 192
_COLUMNS = (
    Column("policy", "text"),
    Column("function", "text"),
    Column("graph", "text"),
    Column("completed"),
    Column("latency p50 s"),
    Column("latency p99 s"),
    Column("cold %"),
    Column("slowdown"),
)


def functions(source: Source, shown: Sequence[Group]) -> str:
    """A table of the functions with the most completed invocations, in the runs of the first group."""
    if not shown:
        return ""
    labels = [line["label"] for line in lines(source)]
    rows = [row for line, run in shown[0].runs.items() for row in _rows(labels[line], run)]
    if not rows:
        return ""
    values = zip(() if source.together else factors(source), shown[0].at, strict=True)
    where = "".join(f", at {factor['name']} {factor['values'][i]}" for factor, i in values)
    said = f"The {MOST} functions of each run with the most completed invocations{where}."
    isolated = "Slowdown is mean latency over latency when warm and alone."
    return html.section(
        "functions",
        "Functions",
        html.paragraph(f"{said} {isolated}", "soft"),
        html.table("by-function", _COLUMNS, rows),
    )


def _rows(label: str, run: Run) -> Iterator[list[Cell]]:
    known = run.table("functions", ("key", "graph", "isolated_s"))
    rows = run.table("invocations", ("function", "status", "arrival_at_s", "completed_at_s", "cold"))
    number, cold = metrics.of_completed(rows, "function"), metrics.of_completed(rows, "cold")
    latency_s = metrics.latency_s(rows)
    counts = np.bincount(number, minlength=len(known))
    for function in np.argsort(-counts, kind="stable")[:MOST].tolist():
        if not counts[function]:
            return
        own = number == function
        p50, p99 = np.quantile(latency_s[own], (0.5, 0.99)).tolist()
        isolated_s = float(known["isolated_s"].iloc[function])
        slowdown = float(latency_s[own].mean()) / isolated_s if isolated_s > 0 else None
        yield [
            Cell(label),
            Cell(_shortened(str(known["key"].iloc[function]))),
            Cell(str(known["graph"].iloc[function])),
            Cell(count(counts[function]), int(counts[function])),
            Cell(digits(p50), p50),
            Cell(digits(p99), p99),
            Cell(percent(cold[own].mean()), float(cold[own].mean())),
            Cell("-") if slowdown is None else Cell(digits(slowdown), slowdown),
        ]


def _shortened(name: str) -> str:
    return name if len(name) <= _SHORT else f"{name[: _SHORT // 2]}…{name[-_SHORT // 2 :]}"
