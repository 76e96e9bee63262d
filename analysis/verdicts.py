"""Comparisons of policies as tables: for people, for papers and for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.compare import Comparison, digits, write_csv
from analysis.comparison import Effect
from analysis.labels import brief
from analysis.statistics.interval import Interval
from analysis.study_report import Look
from sim.text import counted

_LEAST_P = 0.001  # smaller ones are not told apart


def tabulate(effects: Sequence[Effect], looks: Mapping[str, Look], confidence: float) -> Comparison:
    """Rows for people: a policy at a combination of factors, measure by measure. looks: what policies are called."""
    factors = list(effects[0].at) if effects else []
    interval = ("interval", f"{100 * confidence:g} %")
    rows = [
        [
            looks[effect.policy].label,
            *(brief(effect.at[factor]) for factor in factors),
            effect.measure.axis,
            _number(effect.baseline_value),
            _number(effect.value),
            _signed(effect.pairing.difference.estimate),
            _ends(effect.pairing.difference, _signed),
            _number(effect.pairing.ratio.estimate),
            _ends(effect.pairing.ratio, _number),
            _p(effect.p),
            effect.verdict,
        ]
        for effect in effects
    ]
    called = looks[effects[0].baseline].label if effects else "baseline"
    heads = [("policy", ""), *((factor, "") for factor in factors), ("metric", ""), (called, ""), ("value", "")]
    heads += [("difference", ""), interval, ("ratio", ""), interval, ("p", "adjusted"), ("verdict", "")]
    return Comparison(heads, rows, _notes(effects, looks, confidence))


def records(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """Flat objects with every number as it is; None for what is unknown."""
    return [
        {
            "metric": effect.measure.name,
            "unit": effect.measure.unit,
            **effect.at,
            "policy": effect.policy,
            "baseline": effect.baseline,
            "baseline_value": _known(effect.baseline_value),
            "value": _known(effect.value),
            **_fields("difference", effect.pairing.difference),
            **_fields("ratio", effect.pairing.ratio),
            "confidence": effect.pairing.difference.confidence,
            "n": effect.pairing.difference.n,
            "p": _known(effect.pairing.p),
            "p_adjusted": _known(effect.p),
            "verdict": effect.verdict,
            "notes": "; ".join(effect.notes),
        }
        for effect in effects
    ]


def as_csv(effects: Sequence[Effect]) -> str:
    """``records``, one row each."""
    return write_csv(records(effects))


def as_json(effects: Sequence[Effect]) -> str:
    """``records`` as an array of objects."""
    return json.dumps(records(effects), indent=1)


def _fields(name: str, interval: Interval) -> dict[str, Any]:
    numbers = {"": interval.estimate, "_low": interval.low, "_high": interval.high}
    return {**{name + end: _known(number) for end, number in numbers.items()}, f"{name}_method": interval.method}


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(value: float) -> str:
    return digits(value) if math.isfinite(value) else "-"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{_number(value)}"


def _ends(interval: Interval, write: Any) -> str:
    return f"[{write(interval.low)}, {write(interval.high)}]" if interval.known else "-"


def _p(p: float) -> str:
    return "-" if math.isnan(p) else f"<{_LEAST_P}" if p < _LEAST_P else f"{p:.3f}"


def _notes(effects: Sequence[Effect], looks: Mapping[str, Look], confidence: float) -> list[str]:
    """How to read the table, then what is odd about its rows: the same words once, with all that they are about."""
    family = counted(sum(not math.isnan(effect.p) for effect in effects), "comparison")
    read = (
        f"Means over runs that share their seeds. Verdicts need an interval without 0, and p of at most "
        f"{1 - confidence:.3g}, adjusted over the {family} here (Holm)"
    )
    how = "; ".join(f"{kind}s {_methods(effects, kind)}" for kind in ("difference", "ratio"))
    made = f"Intervals are not adjusted; {how}"
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for effect in effects:
        where = " ".join(f"{factor} {brief(value)}" for factor, value in effect.at.items())
        for note in effect.notes:
            rows.setdefault((looks[effect.policy].label, note), {})[where] = None
    odd = [f"{label}{' at ' if any(at) else ''}{', '.join(at)}: {note}" for (label, note), at in rows.items()]
    return [read, made, *odd]


def _methods(effects: Sequence[Effect], kind: str) -> str:
    """How the intervals that are shown were made."""
    intervals = [getattr(effect.pairing, kind) for effect in effects]
    return " and ".join(dict.fromkeys(f"by {i.method}" for i in intervals if i.known)) or "unknown"
