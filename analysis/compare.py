"""The comparison table: one row a run, from the summaries alone."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.runs import fault, labels, number, wrap_label
from sim.results import Run

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
    Column("GPU", "busy %", ("gpu_busy_frac",), percent),
    Column("evictions", "", ("evictions",), count),
    Column("copied", "in GB", ("h2d_bytes",), lambda size_bytes: digits(size_bytes / 1e9)),
    Column("Jain", "fairness", ("jain_fairness",), lambda index: f"{index:.3f}"),
)


@dataclass(frozen=True)
class Comparison:
    """Rows of text under ``COLUMNS``, the label of the run first, and sentences that belong below."""

    rows: list[list[str]]
    notes: list[str]


def compare(runs: Sequence[Run]) -> Comparison:
    """Put the summaries side by side. Raises RunError when one lacks a key.

    Unknown numbers (nothing completed) are a dash. Invalid runs have a star, and a note with the reasons;
    a run which lost invocations has a note too, for its latencies are those of the others alone, and so have runs of
    different scenarios.
    """
    rows, notes = [], []
    for run, label in zip(runs, labels(runs), strict=True):
        reasons = fault(run)
        rows.append([f"{label} *" if reasons else label, *(_cell(run, column) for column in COLUMNS)])
        if reasons:
            notes.append(f"* {label}: INVALID: {reasons}")
        lost = [f"{_of(run, s):,} {s}" for s in ("rejected", "failed", "unfinished") if _of(run, s)]
        if lost:
            notes.append(f"{label}: of {_of(run, 'invocations') or 0:,} invocations, {', '.join(lost)}")
    if differ := _differences(runs):
        notes.append(f"These runs are not of one scenario; they differ in {', '.join(differ)}")
    return Comparison(rows, notes)


def _differences(runs: Sequence[Run]) -> list[str]:
    """Keys of the scenario, besides the policies, in which runs differ."""
    scenarios = [_flat({**(run.manifest.get("scenario") or {}), "policies": None}) for run in runs]
    keys = dict.fromkeys(key for scenario in scenarios for key in scenario)
    return [key for key in keys if any(s.get(key) != scenarios[0].get(key) for s in scenarios)]


def as_text(comparison: Comparison) -> str:
    """Aligned columns for a terminal; a long label takes several lines."""
    table = [["policy", *(c.upper for c in COLUMNS)], ["", *(c.lower for c in COLUMNS)]]
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
    rule = ["---", *("---:" for _ in COLUMNS)]
    cells = [_one_line_head(), rule, *([cell.translate(escape) for cell in row] for row in comparison.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, *(f"\n{note.translate(escape)}" for note in comparison.notes)])


def as_latex(comparison: Comparison) -> str:
    """A tabular with the rules of the booktabs package; notes as lines of their own below it."""
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in [_one_line_head(), *comparison.rows]]
    return "\n".join(
        [
            r"\begin{tabular}{l" + "r" * len(COLUMNS) + "}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *(f"\n{_latex(note)}" for note in comparison.notes),
        ]
    )


def as_csv(runs: Sequence[Run]) -> str:
    """Every number of the summaries as it is, one row a run; nested keys joined by a dot, unknown numbers empty."""
    records = [_flat({"run": str(run.path), **run.summary}) for run in runs]
    names = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().rstrip("\n")


def as_json(runs: Sequence[Run]) -> str:
    """The summaries, each with the path of its run, as an array of objects."""
    return json.dumps([{"run": str(run.path), **run.summary} for run in runs], indent=2)


def _of(run: Run, *keys: str) -> float | None:
    return number(run.path / "summary.json", run.summary, *keys)


def _cell(run: Run, column: Column) -> str:
    value = _of(run, *column.keys)
    return "-" if value is None else column.write(value)


def _one_line_head() -> list[str]:
    return ["policy", *(f"{c.upper} {c.lower}".rstrip() for c in COLUMNS)]


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _latex(text: str) -> str:
    escapes: dict[str, str | int | None] = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    escapes |= {sign: "\\" + sign for sign in "&%$#_{}"}
    return text.translate(str.maketrans(escapes))
