"""The comparison table: one row a run, from the summaries alone."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.labels import differing_settings, hidden_differences, identity, labels, named, wrap_label
from analysis.runs import fault, flatten, number, warnings
from sim.records.results import Run

_LABEL_CHARACTERS = 28  # of a line of a label in a terminal


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people: a heading of two lines, the keys of its number in the summary, how to write it."""

    upper: str
    lower: str
    keys: tuple[str, ...]
    write: Callable[[float], str]


def count(value: float) -> str:
    """A whole number, with thousands separated."""
    return f"{value:,.0f}"


def digits(value: float) -> str:
    """Three significant digits, without an exponent where a reader can do without."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}"
    places = 2 - math.floor(math.log10(abs(float(f"{value:.2e}"))))
    return f"{round(value, places):,.{max(places, 0)}f}"


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f}"


COLUMNS = (
    Column("completed", "", ("completed",), count),
    Column("rate", "1/s", ("throughput_per_s",), digits),
    Column("latency", "p50 s", ("latency_s", "p50"), digits),
    Column("latency", "p90 s", ("latency_s", "p90"), digits),
    Column("latency", "p99 s", ("latency_s", "p99"), digits),
    Column("queue", "p99 s", ("queue_s", "p99"), digits),
    Column("cold", "starts", ("cold_starts",), count),
    Column("cache", "hits %", ("cache_hit_frac",), percent),
    Column("kernels", "GPU %", ("gpu_frac", "kernels"), percent),
    Column("occupied", "GPU %", ("gpu_frac", "idle"), lambda idle: percent(1 - idle)),
    Column("evictions", "", ("evictions",), count),
    Column("copied", "in GB", ("h2d_bytes",), lambda size_bytes: digits(size_bytes / 1e9)),
    Column("Jain", "fairness", ("jain_fairness",), lambda index: f"{index:.3f}"),
)


@dataclass(frozen=True)
class Comparison:
    """Rows of text under heads of two lines, what the run is called first, and sentences that belong below."""

    heads: list[tuple[str, str]]
    rows: list[list[str]]
    notes: list[str]


def compare(runs: Sequence[Run], names: Sequence[str] = (), more: Sequence[Column] = ()) -> Comparison:
    """Put the summaries side by side. names: what a user calls the runs. more: columns after COLUMNS.

    Settings in which the runs differ are columns; what else differs is in the first. Unknown numbers (nothing
    completed) are a dash. Invalid runs have a star, and a note with the reasons; a run which lost invocations has a
    note too, for its latencies are those of the others alone, and so has one with warnings. Raises RunError when a
    summary lacks a key.
    """
    columns = (*COLUMNS, *more)
    settings = differing_settings(runs)
    policies = [run.label for run in runs]
    called = named(labels(runs, policies), names)
    rows, notes = [], []
    for run, first, label in zip(runs, named(labels(runs, policies, without=settings), names), called, strict=True):
        reasons, own = fault(run), identity(run)
        shown = ["-" if own[name] is None else str(own[name]) for name in settings]
        rows.append([f"{first} *" if reasons else first, *shown, *(_cell(run, column) for column in columns)])
        if reasons:
            notes.append(f"* {label}: INVALID: {reasons}")
        lost = [f"{_of(run, s):,} {s}" for s in ("rejected", "failed", "unfinished") if _of(run, s)]
        if lost:
            notes.append(f"{label}: of {_of(run, 'invocations') or 0:,} invocations, {', '.join(lost)}")
        notes += [f"{label}: warning: {warning}" for warning in warnings(run)]
    if hidden := hidden_differences(runs):
        notes.append(f"These runs differ in {', '.join(hidden)} too")
    heads = [("policy", ""), *((name, "") for name in settings), *((c.upper, c.lower) for c in columns)]
    return Comparison(heads, rows, notes)


def as_text(comparison: Comparison) -> str:
    """Aligned columns for a terminal; a long label takes several lines."""
    table = [list(line) for line in zip(*comparison.heads, strict=True)]
    for label, *cells in comparison.rows:
        first, *rest = wrap_label(label, _LABEL_CHARACTERS)
        table.append([first, *cells])
        table += [[f"  {line}", *("" for _ in cells)] for line in rest]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip() for row in table]
    return "\n".join([*lines, *(["", *comparison.notes] if comparison.notes else [])])


def as_markdown(comparison: Comparison) -> str:
    """A table of GitHub-flavoured Markdown; notes as paragraphs."""
    escape = str.maketrans({"|": r"\|", "*": r"\*"})
    heads = _one_line(comparison.heads)
    rule = ["---", *("---:" for _ in heads[1:])]
    cells = [heads, rule, *([cell.translate(escape) for cell in row] for row in comparison.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, *(f"\n{note.translate(escape)}" for note in comparison.notes)])


def as_latex(comparison: Comparison) -> str:
    """A tabular with the rules of the booktabs package; notes as lines of their own below it."""
    heads = _one_line(comparison.heads)
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in [heads, *comparison.rows]]
    return "\n".join(
        [
            r"\begin{tabular}{l" + "r" * len(heads[1:]) + "}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *(f"\n{_latex(note)}" for note in comparison.notes),
        ]
    )


def records(runs: Sequence[Run], names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The summaries, each after what its run is called, its path and the settings that tell runs apart."""
    called = named(labels(runs, [run.label for run in runs]), names)
    return [{"label": label, **identity(run), **run.summary} for label, run in zip(called, runs, strict=True)]


def _text(item: object) -> str:
    """An item of a list in one cell."""
    return item if isinstance(item, str) else json.dumps(item)


def as_csv(runs: Sequence[Run], names: Sequence[str] = ()) -> str:
    """``records`` with every number as it is, one row a run; nested keys joined by a dot, unknown numbers empty."""
    flat = [flatten(record) for record in records(runs, names)]
    rows = [{k: "; ".join(map(_text, v)) if isinstance(v, list) else v for k, v in row.items()} for row in flat]
    return write_csv(rows)


def write_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Flat objects as CSV, a column for each key of any of them; None is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def as_json(runs: Sequence[Run], names: Sequence[str] = ()) -> str:
    """``records`` as an array of objects."""
    return json.dumps(records(runs, names), indent=1)


def _of(run: Run, *keys: str) -> float | None:
    return number(run.path / "summary.json", run.summary, *keys)


def _cell(run: Run, column: Column) -> str:
    value = _of(run, *column.keys)
    return "-" if value is None else column.write(value)


def _one_line(heads: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{upper} {lower}".rstrip() for upper, lower in heads]


def _latex(text: str) -> str:
    escapes: dict[str, str | int | None] = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
    escapes |= {sign: "\\" + sign for sign in "&%$#_{}"}
    return text.translate(str.maketrans(escapes))
