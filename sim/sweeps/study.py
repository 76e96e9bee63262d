"""Studies: a scenario, the factors that are varied in it, and how often each point is repeated."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.series.kinds import check_report
from sim.errors import ScenarioError
from sim.files.plaindata import read_yaml
from sim.scenario import FleetSettings, Scenario, read_keys
from sim.schema import build
from sim.settings import require, unknown
from sim.text import shown

POLICY = "policy"
MOST_SEEDS = 10_000
_BY_OTHERS = {"policies": f"the factor {POLICY}", "seed": "seeds"}  # keys of a scenario that a study has under others
_OF_SCENARIO = {f.name for f in dataclasses.fields(Scenario)} - _BY_OTHERS.keys()
OF_FLEET = {f.name for f in dataclasses.fields(FleetSettings)} - {"nodes"}  # which is no text or number
_OF_TEXT = {POLICY, "traces", "fleet"}
_NUMBER_MAX = 2**63  # what a column of whole numbers holds
_ANY = "text or a number below 2**63"


@dataclass(frozen=True, slots=True)
class Study:
    """A product of factors x seeds, each point of which is a run.

    scenario: keys of a scenario (``sim.scenario.Scenario``) that all points share, without policies and seed.
    factors: values by factor, in the order of the study. A factor is ``policy``, a key of a scenario, a dotted one for
    a nested key (``load.clients``), or a key of the fleet (``gpus`` for ``fleet.gpus``); the value of ``traces`` is
    one path, that of ``fleet`` the file of a fleet. report: what ``analyze`` makes of it, as it is in the file.
    folder: from where the paths in scenario and factors go.
    """

    name: str
    scenario: dict[str, Any]
    factors: dict[str, tuple[Any, ...]]
    seeds: tuple[int, ...] = (0,)
    report: dict[str, Any] = field(default_factory=dict)
    folder: str = "."

    def __post_init__(self) -> None:
        require(bool(self.name.strip()), "name", self.name, "text")
        for key, other in _BY_OTHERS.items():
            require(key not in self.scenario, f"scenario: {key}", self.scenario.get(key), f"left out: {other} says it")
        require(bool(self.seeds), "seeds", list(self.seeds), "at least one")
        require(len(self.seeds) <= MOST_SEEDS, "seeds", f"{len(self.seeds):,} seeds", f"at most {MOST_SEEDS:,}")
        require(min(self.seeds) >= 0, "seeds", list(self.seeds), "at least 0")
        require(len(set(self.seeds)) == len(self.seeds), "seeds", list(self.seeds), "without one twice")
        require(POLICY in self.factors, "factors", list(self.factors), f"at least {POLICY}")
        for name, values in self.factors.items():
            _check_factor(name, values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, from which the same study is read anywhere."""
        factors = {name: list(values) for name, values in self.factors.items()}
        return dataclasses.asdict(self) | {"factors": factors, "seeds": list(self.seeds)}


def read_study(file: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study file (YAML). Paths in it are relative to it, unless it says from which ``folder``.

    ``scenario`` may be the path of a scenario file, whose policies are the factor ``policy`` where the study has none;
    its seed is not read. ``seeds: N`` is 0 to N - 1. overrides: factors and seeds in the place of those in the file;
    a factor that it lacks is added. Raises ScenarioError naming the key and the rule.
    """
    data = read_yaml(Path(file))
    if not isinstance(data, dict):
        raise ScenarioError(f"{file}: is {shown(data)}, must be a mapping of keys to values")
    return make_study(data, overrides or {}, str(file), Path(file).parent)


def make_study(data: Mapping[str, Any], overrides: Mapping[str, Any], where: str, place: Path) -> Study:
    """A study from plain values, as of a file in ``place``; see ``read_study``. where: names it in errors."""
    folder = data.get("folder", ".")
    if not isinstance(folder, str):
        raise ScenarioError(f"{where}: folder: is {shown(folder)}, must be text")
    whole = {**data, "folder": os.path.abspath(place / folder)}
    for key, value in overrides.items():
        old = whole.get(key, {})
        whole[key] = {**old, **value} if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    factors, scenario = whole.get("factors", {}), whole.get("scenario", {})
    if isinstance(scenario, str):
        keys = read_keys(Path(whole["folder"], scenario))
        named = {POLICY: keys.pop("policies")} if "policies" in keys else {}
        keys.pop("seed", None)
        whole["scenario"] = keys
        whole["factors"] = {**named, **factors} if isinstance(factors, Mapping) else factors
    if isinstance(seeds := whole.get("seeds"), int) and not isinstance(seeds, bool):
        require(1 <= seeds <= MOST_SEEDS, f"{where}: seeds", seeds, f"from 1 to {MOST_SEEDS:,}, or a list")
        whole["seeds"] = list(range(seeds))
    study = build(Study, whole, where)
    check_report(study.report, study.factors, f"{where}: report")
    return study


def _check_factor(name: str, values: tuple[Any, ...]) -> None:
    """Raise ScenarioError for a factor that no scenario has, and for values that can't be told apart in a table."""
    if name in _BY_OTHERS:
        raise ScenarioError(f"factors: {name}: can't be a factor, {_BY_OTHERS[name]} says it")
    if name.split(".")[0] not in (known := {POLICY, *_OF_SCENARIO, *OF_FLEET}):
        raise ScenarioError(f"factors: {unknown('factor', name, sorted(known))}")
    require(bool(values), f"factors: {name}", list(values), "at least one value")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _NUMBER_MAX
        ok, rule = (isinstance(value, str), "text") if name in _OF_TEXT else (is_number or isinstance(value, str), _ANY)
        require(ok, f"factors: {name}", value, rule)
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    require(not twice, f"factors: {name}", list(values), "without a value twice")
