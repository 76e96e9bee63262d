"""Policies against a baseline: a verdict of each in words, and the table behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from analysis.comparison import Effect, compare_policies
from analysis.report import html
from analysis.report.html import Cell, Column
from analysis.report.source import Source
from analysis.statistics.interval import CONFIDENCE
from analysis.verdicts import tabulate

_KINDS = {"better": "good", "worse": "bad", "not steady": "warn", "too few seeds": "warn", "no value": "warn"}


def effects_of(source: Source) -> list[Effect]:
    """All policies against that which the study names, or else the first; none where points can't be told apart.

    Of what the study wants to know that which any run has: a run that failed has no numbers.
    """
    frame, report = source.dataset.frame, source.dataset.report
    measures = [measure for measure in report.measures if measure.column in frame]
    alike = frame.duplicated(["policy", "seed", *source.dataset.factors]).any()
    if frame["policy"].nunique() < 2 or alike or not measures:
        return []
    return compare_policies(source.dataset, report.baseline or next(iter(report.looks)), measures)


def in_words(source: Source, effects: Sequence[Effect]) -> list[tuple[str, str]]:
    """For each measure and policy how often which verdict was given, each sentence after its class."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for effect in effects:
        counts.setdefault((effect.measure.label, effect.policy), Counter())[effect.verdict] += 1
    said = []
    for (label, policy), verdicts in counts.items():
        n = verdicts.total()
        told = ", ".join(verdict if n == 1 else f"{verdict} at {count}" for verdict, count in verdicts.most_common())
        kinds = {_KINDS.get(verdict, "") for verdict in verdicts}
        points = "" if n == 1 else f", {n} points"
        who = f"{source.labels[policy]} against {source.labels[effects[0].baseline]}{points}"
        said.append((kinds.pop() if len(kinds) == 1 else "", f"{label}, {who}: {told}"))
    return said


def comparison(source: Source, effects: Sequence[Effect]) -> str:
    """Effect, interval and verdict of each policy, as ``analyze compare`` prints them."""
    if not effects:
        return ""
    table = tabulate(effects, source.dataset.report.looks, CONFIDENCE)
    *heads, _ = (" ".join(filter(None, head)) for head in table.heads)
    texts = ("policy", "metric", *(name for name, value in effects[0].at.items() if isinstance(value, str)))
    columns = [Column(head, "text" if head in texts else "") for head in heads]
    place = len(effects[0].at) + 2  # of the verdict, behind what it is about
    columns.insert(place, Column("verdict", "text"))
    rows = [_row(effect, row, place) for effect, row in zip(effects, table.rows, strict=True)]
    notes = html.bullets(("soft", note) for note in table.notes)
    return html.section("comparison", "Comparison", html.table("by-effect", columns, rows), notes)


def _row(effect: Effect, texts: Sequence[str], place: int) -> list[Cell]:
    """Cells for a row of ``tabulate``, whose last is the verdict. place: where it goes."""
    pairing = effect.pairing
    numbers = (effect.baseline_value, effect.value, pairing.difference.estimate, None, pairing.ratio.estimate, None)
    settings = [value if isinstance(value, int | float) else None for value in effect.at.values()]
    values = [None, *settings, None, *numbers, effect.p]
    cells = [Cell(text, _finite(value)) for text, value in zip(texts[:-1], values, strict=True)]
    cells.insert(place, Cell(effect.verdict, kind=_KINDS.get(effect.verdict, "")))
    return cells


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
