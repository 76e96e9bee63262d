"""The figures that a data set can have, by name, and what each may be told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from analysis.dataset import Dataset
from analysis.measures import measure
from analysis.series.devices import heat
from analysis.series.distributions import attainment, ccdf, cdf
from analysis.series.factors import DEVICES, lines, needed
from analysis.series.functions import fairness, functions
from analysis.series.parts import breakdown, coldstart
from analysis.series.residency import residency
from analysis.series.table import Series
from analysis.series.tradeoffs import pareto
from analysis.series.validation import validation
from analysis.series.widths import width_in
from analysis.study_report import FigureSpec, Report, Value, read_report
from sim.errors import RunError, ScenarioError
from sim.settings import unknown
from sim.text import shown

Kind = Callable[..., Series]
"""(data set, values of factors, settings by keyword) -> what is drawn. Its keywords are what it may be told."""

KINDS: Mapping[str, Kind] = {
    kind.__name__: kind
    for kind in (
        cdf, ccdf, attainment, lines, needed, breakdown, coldstart, heat, residency, functions,
        fairness, pareto, validation,
    )
}  # fmt: skip

NAME, WIDTH = "name", "width"  # settings of every figure: of its files; column, text or inches


def series(dataset: Dataset, spec: FigureSpec) -> Series:
    """What a figure draws. Raises RunError for runs that don't have it, ScenarioError for a bad specification."""
    check(spec, spec.figure, dataset.factors)
    return KINDS[spec.figure](dataset, spec.where, **_own(spec))


def check(spec: FigureSpec, where: str, factors: Sequence[str]) -> None:
    """Raise ScenarioError, naming the key and the rule, unless a figure is known and may be told what it is told.

    where: what names the figure in errors. factors: of the study.
    """
    if spec.figure not in KINDS:
        raise ScenarioError(f"{where}: {unknown('figure', spec.figure, KINDS)}")
    keys = settings_of(KINDS[spec.figure])
    for key, value in _own(spec).items():
        if key not in keys:
            known = ", ".join(["where", NAME, WIDTH, *keys])
            raise ScenarioError(f"{where}: unknown key {shown(key)}; the keys of {spec.figure} are {known}")
        _check_value(f"{where}: {key}", key, value, keys[key][0], factors)
    for key, (_, default) in keys.items():
        if default is inspect.Parameter.empty and key not in spec.settings:
            raise ScenarioError(f"{where}: the key {key!r} is missing; {spec.figure} needs it")
    if spec.figure == needed.__name__ and DEVICES not in factors:
        raise ScenarioError(f"{where}: the study has no factor {DEVICES}, of which {spec.figure} looks for the fewest")
    name = spec.settings.get(NAME, "figure")
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name):
        raise ScenarioError(f"{where}: {NAME}: is {shown(name)}, must be letters, digits, - and _")
    try:
        width_in(spec.settings.get(WIDTH, "column"))
    except ValueError as error:
        raise ScenarioError(f"{where}: {WIDTH}: {error}") from None


def check_report(data: object, factors: Mapping[str, Sequence[Value]], where: str) -> Report:
    """The ``report`` of a study, and all its figures checked, before the study is run.

    factors: values by factor, the policies among them. where: names the key in errors. Raises ScenarioError naming the
    key, its value and the rule.
    """
    names = tuple(name for name in factors if name != "policy")
    report = read_report(data, where, [str(policy) for policy in factors["policy"]], names)
    for i, spec in enumerate(report.figures):
        for factor, value in spec.where.items():
            if value not in (values := factors[factor]):
                rule = f"must be one of {', '.join(map(str, values))}"
                raise ScenarioError(f"{where}: figures[{i}]: where: {factor}: is {shown(value)}, {rule}")
    check_all(report.figures, f"{where}: figures", names)
    return report


def check_all(specs: Sequence[FigureSpec], where: str, factors: Sequence[str]) -> None:
    """``check`` all figures of a study, and that each has files of its own. where: names their list in errors."""
    names: dict[str, int] = {}
    for i, spec in enumerate(specs):
        check(spec, f"{where}[{i}]", factors)
        if (name := file_name(spec)) in names:
            raise ScenarioError(
                f"{where}[{i}]: has the files {name} of {where}[{names[name]}] too; give one of them another {NAME}"
            )
        names[name] = i


def file_name(spec: FigureSpec) -> str:
    """What its files are called, without suffix: its ``name``, or figure, settings and values of factors."""
    told = [value for key, value in _own(spec).items() if isinstance(value, str) and key != "against"]
    chosen = [f"{factor}{value}" for factor, value in spec.where.items()]
    whole = str(spec.settings.get(NAME, "-".join([spec.figure, *told, *chosen])))
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in whole)


def settings_of(kind: Kind) -> dict[str, tuple[Any, object]]:
    """Type and default (``inspect.Parameter.empty`` without one) of what a figure may be told."""
    hints = get_type_hints(kind)
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: (hints[p.name], p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}


def _own(spec: FigureSpec) -> dict[str, Value]:
    return {key: value for key, value in spec.settings.items() if key not in (NAME, WIDTH)}


def _check_value(where: str, key: str, value: Value, hint: Any, factors: Sequence[str]) -> None:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ScenarioError(f"{where}: is {shown(value)}, must be one of {', '.join(get_args(hint))}")
    elif hint is float:
        if isinstance(value, str):
            raise ScenarioError(f"{where}: is {shown(value)}, must be a number")
    elif not isinstance(value, str):
        raise ScenarioError(f"{where}: is {shown(value)}, must be text")
    elif key == "x" or (key == "cost" and value in factors):
        if value not in (known := ["policy", *factors]):
            raise ScenarioError(f"{where}: {unknown('factor', value, known)}")
    elif key in ("metric", "cost", "fairness"):
        try:
            measure(value)
        except RunError as error:
            raise ScenarioError(f"{where}: {error}") from None
