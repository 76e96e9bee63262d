"""Policies of a data set against a baseline: effect, interval and verdict of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from analysis.dataset import Dataset
from analysis.measures import Measure
from analysis.onerun import has_batches, paired_inside
from analysis.pairs import Pairs, cells, pair
from analysis.statistics.holm import holm
from analysis.statistics.interval import CONFIDENCE, no_interval
from analysis.statistics.replications import Pairing, paired
from analysis.study_report import Value
from sim.errors import RunError
from sim.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

Verdict: TypeAlias = Literal[
    "better", "worse", "higher", "lower", "no difference shown", "not steady", "too few seeds", "no value"
]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a policy changes, against the baseline, at one combination of factors.

    at: their values. value, baseline_value: means over pairs, NaN where they must not be quoted. pairing: difference
    and ratio with intervals, and p before correction. p: adjusted over all effects that were asked for, NaN where there
    is no test. notes: what was left out, or else keeps a verdict from being given.
    """

    measure: Measure
    at: Mapping[str, Value]
    policy: str
    baseline: str
    value: float
    baseline_value: float
    pairing: Pairing
    p: float
    verdict: Verdict
    notes: tuple[str, ...] = ()


def compare_policies(
    data: Dataset,
    baseline: str | None = None,
    measures: Sequence[Measure] = (),
    *,
    by: Sequence[str] | None = None,
    where: Mapping[str, Value] | None = None,
    confidence: float = CONFIDENCE,
) -> list[Effect]:
    """Compare every other policy with the baseline, by measure, combination of factors and policy, in this order.

    baseline, measures: by default those that the study's report names. by: factors whose combinations are told apart,
    by default all; over others a seed's number is the mean. where: values of factors that rows must have. A difference
    is shown where p, with Holm's correction over all effects, is at most 1 - confidence, and its
    interval is without 0. Raises RunError
    for names that the data set lacks, and for two rows of the same point.
    """
    baseline = baseline or data.report.baseline
    frame = data.where(where or {})
    if baseline is None:
        raise RunError(f"{data.path}: its study names no baseline; choose one with --baseline")
    policies = [policy for policy in data.report.looks if policy in set(frame["policy"])]
    if baseline not in policies:
        raise RunError(f"{data.path}: {unknown('policy', baseline, policies)}")
    if len(policies) < 2:
        raise RunError(f"{data.path}: has no policy but {baseline}, and nothing to compare it with")
    _check_unique(data, frame)
    chosen = measures or data.report.measures
    effects = [e for measure in chosen for e in _effects(data, frame, policies, baseline, measure, by, confidence)]
    return _correct(effects, confidence)


def _check_unique(data: Dataset, frame: pd.DataFrame) -> None:
    point = ["policy", "seed", *data.factors]
    twice = frame[frame.duplicated(point)]
    if len(twice):
        words = ", ".join(f"{name} {twice.iloc[0][name]}" for name in point)
        raise RunError(f"{data.path}: has two runs of {words}, which can't be told apart; take one away")


def _effects(
    data: Dataset,
    frame: pd.DataFrame,
    policies: Sequence[str],
    baseline: str,
    measure: Measure,
    by: Sequence[str] | None,
    confidence: float,
) -> Iterator[Effect]:
    """Before correction."""
    told = data.factors if by is None else tuple(by)
    for factor in told:
        if factor not in data.factors:
            raise RunError(f"{data.path}: {unknown('factor', factor, data.factors)}")
    others = [factor for factor in data.factors if factor not in told]
    groups: Iterable[tuple[Any, pd.DataFrame]] = frame.groupby(list(told)) if told else [((), frame)]
    for values, rows in groups:
        at: dict[str, Value] = dict(zip(told, values, strict=True))
        n_points = len(rows[others].drop_duplicates()) if others else 1
        table = cells(rows, measure)
        for policy in policies:
            if policy != baseline:
                pairs = pair(table, policy, baseline, measure, n_points)
                effect = _effect(pairs, measure, at, policy, baseline, confidence)
                if len(pairs.seeds) == n_points == 1 and effect.verdict == "too few seeds":
                    effect = _of_one_run(data, rows[rows["seed"] == pairs.seeds[0]], effect, confidence)
                yield effect


def _effect(
    pairs: Pairs, measure: Measure, at: Mapping[str, Value], policy: str, baseline: str, confidence: float
) -> Effect:
    """The effect over seeds, whose verdict is still to be given where there is a p."""
    n = len(pairs.seeds)
    value, base = (float(np.mean(side)) if n else math.nan for side in (pairs.value, pairs.baseline))
    if pairs.empty or pairs.unsteady:
        verdict: Verdict = "no value" if pairs.empty else "not steady"
        why = f"work piles up under the {' and the '.join(pairs.unsteady)}, so its numbers say how long a run lasted"
        value = math.nan if "policy" in pairs.unsteady else value
        base = math.nan if "baseline" in pairs.unsteady else base
        nothing = no_interval(math.nan, confidence, n, verdict)
        nowhere = Pairing(nothing, nothing, math.nan)
        notes = () if pairs.empty else (why,)
        return Effect(measure, at, policy, baseline, value, base, nowhere, math.nan, verdict, notes)
    pairing = paired(pairs.value, pairs.baseline, skewed=measure.quantile, confidence=confidence)
    return Effect(measure, at, policy, baseline, value, base, pairing, pairing.p, "too few seeds", pairs.left_out)


def _of_one_run(data: Dataset, rows: pd.DataFrame, effect: Effect, confidence: float) -> Effect:
    """The effect within the single run of each policy, where its invocations tell it; else why not."""

    def with_note(effect: Effect, note: str) -> Effect:
        return replace(effect, notes=(*effect.notes, f"there is one seed, {note}"))

    if not has_batches(effect.measure):
        return with_note(effect, "and one run is no interval; only means of times can be told from batches within it")
    of = rows.set_index("policy")["run"]
    try:
        run, base = data.open(str(of[effect.policy])), data.open(str(of[effect.baseline]))
        found = paired_inside(run, base, effect.measure, confidence)
    except RunError as error:
        return with_note(effect, f"and one run is no interval; {error}")
    if found.pairing is None:
        why = found.means.interval.method.removeprefix("none: ")
        return with_note(effect, f"and one run is no interval; {why}")
    told = replace(effect, value=found.value, baseline_value=found.baseline, pairing=found.pairing, p=found.pairing.p)
    batches = f"{found.means.interval.n} batches of the {found.n:,} invocations that both completed"
    return with_note(told, f"and the interval is from {batches}, without the first {found.n_cut:,}")


def _correct(effects: Sequence[Effect], confidence: float) -> list[Effect]:
    """Adjusted p, and verdicts where there is one."""
    adjusted = holm(np.array([effect.p for effect in effects])).tolist()
    return [
        effect if math.isnan(p) else replace(effect, p=p, verdict=_verdict(effect, p, confidence))
        for effect, p in zip(effects, adjusted, strict=True)
    ]


def _verdict(effect: Effect, p: float, confidence: float) -> Verdict:
    difference = effect.pairing.difference
    if p > 1 - confidence or difference.low <= 0 <= difference.high:  # a bootstrap may know better than the t test
        return "no difference shown"
    higher = difference.estimate > 0
    if effect.measure.better is None:
        return "higher" if higher else "lower"
    return "better" if higher == (effect.measure.better == "higher") else "worse"
