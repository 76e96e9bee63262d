"""The table of runs, and what is said above it in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.compare import COLUMNS, count, digits
from analysis.measures import Measure
from analysis.report import html
from analysis.report.html import Cell, Column
from analysis.report.source import Source
from sim.text import counted

_MOST_SAID = 12  # sentences of one kind
_SEPARATOR = "; "  # between the warnings of a run in a data set

Row = Mapping[str, Any]
Said = list[tuple[str, str]]  # sentences, each after its class


def summary(source: Source, compared: Said) -> str:
    """What there is, what is wrong with it, and which policy did best, in words. compared: verdicts of a comparison."""
    rows = source.rows
    policies, seeds = ({row[name] for row in rows} for name in ("policy", "seed"))
    glance = [
        (counted(len(rows), "run"), f"{sum(row['valid'] for row in rows)} valid"),
        (str(len(policies)), "policies" if len(policies) > 1 else "policy"),
        *((counted(len({row[name] for row in rows}), "value"), f"of {name}") for name in source.dataset.factors),
        (counted(len(seeds), "seed"), "replications" if len(seeds) > 1 else "no replication"),
        (count(sum(_number(row, "invocations") or 0 for row in rows)), "invocations"),
    ]
    return html.section(
        "summary", "Summary", html.facts(glance), html.bullets([*_best(source), *compared, *_verdicts(source)])
    )


def runs(source: Source) -> str:
    """Every run with the numbers of ``analyze table``, and what else the study wants to know."""
    own = [*source.dataset.factors, *(["seed"] if source.varies("seed") else [])]
    shown = _numbers(source)
    columns = [
        Column("policy", "text"),
        *(Column(name, "text" if isinstance(source.rows[0][name], str) else "") for name in own),
        Column("verdict", "text"),
        *(Column(head) for head, _, _ in shown),
        Column("run", "text"),
    ]
    cells = []
    for row in source.rows:
        numbers = [(write, _number(row, column)) for _, column, write in shown]
        cells.append(
            [
                Cell(source.labels[row["policy"]]),
                *(_setting(row[name]) for name in own),
                _verdict(row),
                *(Cell("-") if value is None else Cell(write(value), value) for write, value in numbers),
                Cell(row["run"]),
            ]
        )
    said = (
        "Click on a head to sort. Percentiles are of completed invocations; GPU % are shares of the time of all GPUs."
    )
    return html.section("runs", "Runs", html.paragraph(said, "soft"), html.table("by-run", columns, cells))


def _numbers(source: Source) -> list[tuple[str, str, Callable[[float], str]]]:
    """Head, column of the data set, and how to write it, of what the table of runs shows."""
    known = source.dataset.frame.columns
    usual = [(f"{c.upper} {c.lower}".strip(), ".".join(c.keys), c.write) for c in COLUMNS]
    shown = [(head, column, write) for head, column, write in usual if column in known]
    there = {column for _, column, _ in shown}
    wanted = [m for m in source.dataset.report.measures if m.column in known and m.column not in there]
    return [*shown, *((measure.axis, measure.column, digits) for measure in wanted)]


def _best(source: Source) -> Said:
    """For each measure that is wanted the best and the worst policy, where there is one run of each and no more."""
    rows = [row for row in source.rows if row["valid"] and row["steady"]]
    if len(rows) < 2 or len({row["policy"] for row in rows}) < len(rows):
        return []
    return [("", text) for measure in source.dataset.report.measures if (text := _extremes(source, rows, measure))]


def _extremes(source: Source, rows: Sequence[Row], measure: Measure) -> str:
    known = [(value, row) for row in rows if (value := _number(row, measure.column)) is not None]
    if measure.better is None or len(known) < 2:
        return ""
    known.sort(key=lambda pair: pair[0], reverse=measure.better == "higher")
    best, worst = (
        f"{source.labels[row['policy']]} ({f'{digits(value)} {measure.unit}'.rstrip()})"
        for value, row in (known[0], known[-1])
    )
    return f"{measure.label}: best {best}, worst {worst}"


def _verdicts(source: Source) -> Said:
    invalid = [
        f"INVALID: {_who(source, row)}: {row['reasons'] or row['error']}" for row in source.rows if not row["valid"]
    ]
    warned: dict[str, list[str]] = {}
    for row in source.rows:
        for warning in filter(None, row["warnings"].split(_SEPARATOR)):
            warned.setdefault(warning.partition(":")[0], []).append(f"{_who(source, row)}: {warning}")
    notes = [
        first if not others else f"{first} (and {counted(len(others), 'run')} more: {kind})"
        for kind, (first, *others) in warned.items()
    ]
    said = [*(("bad", text) for text in _few(invalid)), *(("warn", text) for text in _few(notes))]
    return said or [("good", "All runs are valid, and none has a warning: in none of them did work pile up")]


def _few(said: list[str]) -> list[str]:
    left = len(said) - _MOST_SAID
    return said if left <= 0 else [*said[:_MOST_SAID], f"and {left} more, see the table of runs"]


def _who(source: Source, row: Row) -> str:
    """What a run is called in a sentence."""
    seed = [f"seed {row['seed']}"] if source.varies("seed") else []
    settings = [f"{name} {_setting(row[name]).text}" for name in source.dataset.factors]
    return ", ".join([source.labels[row["policy"]], *settings, *seed])


def _verdict(row: Row) -> Cell:
    if not row["valid"]:
        return Cell("INVALID", kind="bad")
    if not row["steady"]:
        return Cell("not steady", kind="warn")
    return Cell("warning", kind="warn") if row["warnings"] else Cell("valid", kind="good")


def _setting(value: str | float) -> Cell:
    return Cell(value) if isinstance(value, str) else Cell(f"{value:g}", value)


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    return None if value is None or math.isnan(value) else float(value)
