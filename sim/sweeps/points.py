"""The points of a study: one scenario with one policy each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.scenario import Scenario, read_fleet, rebase
from sim.schema import build
from sim.sweeps.study import OF_FLEET, POLICY, Study


@dataclass(frozen=True)
class Point:
    """One run of a study. values: by factor, as in the study. scenario: with one policy and the seed."""

    values: Mapping[str, Any]
    seed: int
    scenario: Scenario

    @property
    def name(self) -> str:
        """What tells it from the other points, for messages: ``policy=affinity gpus=2 seed=0``."""
        return " ".join(f"{key}={value}" for key, value in {**self.values, "seed": self.seed}.items())


def points_of(study: Study) -> list[Point]:
    """All points, sorted by the factors in the order of the study, then by policy, then by seed.

    Raises ScenarioError naming the point whose values make no scenario.
    """
    return list(_points(study))


def _points(study: Study) -> Iterator[Point]:
    names = sorted(study.factors, key=POLICY.__eq__)  # the policy comes last
    for chosen in product(*(study.factors[name] for name in names)):
        by_name = dict(zip(names, chosen, strict=True))
        values = {name: by_name[name] for name in study.factors}
        for seed in study.seeds:
            where = Point(values, seed, None).name  # type: ignore[arg-type]
            try:
                yield Point(values, seed, build(Scenario, _keys(study, values, seed), "scenario"))
            except ScenarioError as error:
                raise ScenarioError(f"{where}: {error}") from None


def _keys(study: Study, values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The keys of the scenario of a point, with absolute paths."""
    keys = {key: _copied(value) for key, value in study.scenario.items()}
    for name in sorted(values, key=lambda name: name != "fleet"):  # others change a fleet
        value = values[name]
        if name == POLICY:
            keys["policies"] = [value]
        elif name == "traces":
            keys["traces"] = [value]
        elif name == "fleet":
            keys["fleet"] = read_fleet(Path(study.folder, value))
        else:
            _put(keys, ["fleet", name] if name in OF_FLEET else name.split("."), value)
    keys["seed"] = seed
    rebase(keys, Path(study.folder))
    return keys


def _put(keys: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a nested key. Raises ScenarioError where what is above it is no mapping."""
    for i, name in enumerate(path[:-1]):
        keys = keys.setdefault(name, {})
        if not isinstance(keys, dict):
            raise ScenarioError(f"{'.'.join(path)}: can't be a factor, {'.'.join(path[: i + 1])} has no keys")
    keys[path[-1]] = value


def _copied(value: Any) -> Any:
    return {key: _copied(inner) for key, inner in value.items()} if isinstance(value, dict) else value
