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
from sim.text import counted

_WORDS = ("policy", "metric", "verdict")  # columns that are not of numbers
_KINDS = {"better": "good", "worse": "bad", "not steady": "warn", "too few seeds": "warn", "no value": "warn"}


def effects_of(source: Source) -> list[Effect]:
    """All policies against that which the study names, or else the first; none where points can't be told apart."""
    frame = source.dataset.frame
    looks = source.dataset.report.looks
    if frame["policy"].nunique() < 2 or frame.duplicated(["policy", "seed", *source.dataset.factors]).any():
        return []
    return compare_policies(source.dataset, source.dataset.report.baseline or next(iter(looks)))


def in_words(source: Source, effects: Sequence[Effect]) -> list[tuple[str, str]]:
    """For each measure and policy how often which verdict was given, each sentence after its class."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for effect in effects:
        counts.setdefault((effect.measure.label, effect.policy), Counter())[effect.verdict] += 1
    said = []
    for (label, policy), verdicts in counts.items():
        n = verdicts.total()
        told = ", ".join(
            verdict if n == 1 else f"{verdict} at {count} of {counted(n, 'point')}"
            for verdict, count in verdicts.items()
        )
        kinds = {_KINDS.get(verdict, "") for verdict in verdicts}
        baseline = source.labels[effects[0].baseline]
        said.append(
            (kinds.pop() if len(kinds) == 1 else "", f"{label}: {source.labels[policy]} against {baseline}: {told}")
        )
    return said


def comparison(source: Source, effects: Sequence[Effect]) -> str:
    """Effect, interval and verdict of each policy, as ``analyze compare`` prints them."""
    if not effects:
        return ""
    table = tabulate(effects, source.dataset.report.looks, CONFIDENCE)
    heads = [" ".join(filter(None, head)) for head in table.heads]
    columns = [Column(head, "text" if head in _WORDS else "") for head in heads]
    rows = [_row(source, effect, row) for effect, row in zip(effects, table.rows, strict=True)]
    notes = html.details("How to read it", html.bullets(("", note) for note in table.notes))
    return html.section("comparison", "Comparison", html.table("by-effect", columns, rows), notes)


def _row(source: Source, effect: Effect, texts: Sequence[str]) -> list[Cell]:
    pairing = effect.pairing
    numbers = (effect.baseline_value, effect.value, pairing.difference.estimate, None, pairing.ratio.estimate, None)
    settings = [value if isinstance(value, int | float) else None for value in effect.at.values()]
    values = [None, *settings, None, *numbers, effect.p, None]
    cells = [Cell(text, _finite(value)) for text, value in zip(texts, values, strict=True)]
    return [Cell(source.labels[effect.policy]), *cells[1:-1], Cell(effect.verdict, kind=_KINDS.get(effect.verdict, ""))]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
