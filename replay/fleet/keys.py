"""Which keys of a scenario say something to a replay."""

from __future__ import annotations

import dataclasses

from sim.scenario import FleetSettings, Scenario
from sim.settings import require

OF_SCENARIO = {
    *("traces", "format", "placement", "window", "rate_scale"),
    *("policies", "seed", "functions", "catalogue", "fleet"),
    *("warmup_s", "cooldown_s"),
}
OF_FLEET = {"gpus", "calibration"}


def check_keys(scenario: Scenario) -> None:
    """Raise ScenarioError for what a replay would silently ignore, naming the key."""
    _check(scenario, OF_SCENARIO)
    _check(scenario.fleet, OF_FLEET)


def _check(settings: Scenario | FleetSettings, keys: set[str]) -> None:
    for its in dataclasses.fields(settings):
        value = getattr(settings, its.name)
        default = its.default if its.default_factory is dataclasses.MISSING else its.default_factory()
        require(its.name in keys or value == default, its.name, value, "left out: only a simulation has it")
