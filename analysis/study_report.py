"""What a study asks of ``analyze``: the key ``report`` of its file, parsed strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from analysis.measures import Measure, measure
from sim.errors import RunError, ScenarioError
from sim.schema import build
from sim.settings import unknown
from sim.text import shown

Value: TypeAlias = str | float  # of a factor
DEFAULT_METRICS = ("mean-latency", "p99", "jain")


@dataclass(frozen=True, slots=True)
class Look:
    """How a policy looks in tables and figures, the same in all of them.

    label: what to call it. colour: ``#RRGGBB``, or None for that of its place. order: its place, from 0.
    """

    label: str
    colour: str | None
    order: int


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """A figure that a study asks for.

    figure: which. where: values of factors that its runs must have. settings: its other keys, which the figure checks.
    """

    figure: str
    where: Mapping[str, Value] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Of a study.

    baseline: the policy with which others are compared, if any. measures: in their order. looks: of every policy of
    the study, in their order. figures: in theirs.
    """

    baseline: str | None
    measures: tuple[Measure, ...]
    looks: Mapping[str, Look]
    figures: tuple[FigureSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class _LookKeys:
    label: str | None = None
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class _Keys:
    baseline: str | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS
    policies: dict[str, _LookKeys | None] = field(default_factory=dict)


def read_report(data: object, where: str, policies: Sequence[str], factors: Sequence[str]) -> Report:
    """A report from plain values, as YAML has them. where: names the key ``report`` in errors.

    policies, factors: those of the study, which a report may speak of. Policies that it doesn't name come after those
    that it does, in the order of the study. Raises ScenarioError naming the key, its value and the rule.
    """
    if not isinstance(data, Mapping):
        raise ScenarioError(f"{where}: is {shown(data)}, must be a mapping of keys to values")
    figures = _figures(data.get("figures", []), f"{where}: figures", factors)
    keys = build(_Keys, {key: value for key, value in data.items() if key != "figures"}, where)
    for key, names in {"baseline": [keys.baseline] if keys.baseline else [], "policies": keys.policies}.items():
        for name in names:
            if name not in policies:
                raise ScenarioError(f"{where}: {key}: {unknown('policy of this study', name, policies)}")
    try:
        measures = tuple(measure(name) for name in dict.fromkeys(keys.metrics))
    except RunError as error:
        raise ScenarioError(f"{where}: metrics: {error}") from None
    return Report(keys.baseline, measures, _looks(keys.policies, policies, where), figures)


def _looks(given: Mapping[str, _LookKeys | None], policies: Sequence[str], where: str) -> dict[str, Look]:
    looks: dict[str, Look] = {}
    for order, policy in enumerate(dict.fromkeys([*given, *policies])):
        keys = given.get(policy) or _LookKeys()
        if keys.colour is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", keys.colour):
            rule = 'must be six hexadecimal digits after #, as in "#0072B2"'
            raise ScenarioError(f"{where}: policies: {policy}: colour: is {shown(keys.colour)}, {rule}")
        looks[policy] = Look(keys.label or policy, keys.colour, order)
    called: dict[str, str] = {}
    for policy, look in looks.items():
        if look.label in called:
            both = f"{called[look.label]} and {policy}"
            raise ScenarioError(f"{where}: policies: {both} have the label {shown(look.label)}; each must have its own")
        called[look.label] = policy
    return looks


def _figures(data: object, where: str, factors: Sequence[str]) -> tuple[FigureSpec, ...]:
    if not isinstance(data, list):
        raise ScenarioError(f"{where}: is {shown(data)}, must be a list")
    return tuple(_figure(entry, f"{where}[{i}]", factors) for i, entry in enumerate(data))


def _figure(data: object, where: str, factors: Sequence[str]) -> FigureSpec:
    if not isinstance(data, Mapping) or not isinstance(data.get("figure"), str):
        raise ScenarioError(f"{where}: is {shown(data)}, must be a mapping with the key figure, which says which")
    settings: dict[str, Any] = {str(key): value for key, value in data.items() if key not in ("figure", "where")}
    wanted = data.get("where", {})
    if not isinstance(wanted, Mapping):
        raise ScenarioError(f"{where}: where: is {shown(wanted)}, must be a mapping of factors to values")
    for factor in wanted:
        if factor not in ("policy", *factors):
            raise ScenarioError(f"{where}: where: {unknown('factor', str(factor), ['policy', *factors])}")
    for key, value in {**settings, **{f"where: {factor}": value for factor, value in wanted.items()}}.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ScenarioError(f"{where}: {key}: is {shown(value)}, must be text or a number")
    return FigureSpec(data["figure"], dict(wanted), settings)
