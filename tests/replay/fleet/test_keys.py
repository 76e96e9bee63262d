"""Which keys of a scenario a replay refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.fleet.keys import check_keys
from replay.run import RealExperiment, ReplaySettings
from sim.errors import ScenarioError
from sim.models.calibration import load_calibration
from sim.models.clients import ClientSettings
from sim.models.constants import ConstantsSettings
from sim.models.failures import Failure
from sim.scenario import FleetSettings, NodeSettings, Scenario
from sim.workload import Workload
from tests.replay.worlds import functions
from tests.support import ListTrace

SCENARIO = Scenario(
    traces=("t",), policies=("balance",), format="azure2019", placement="poisson", window="00:00-00:01", seed=3,
    rate_scale=0.5, catalogue="small", fleet=FleetSettings(gpus=2, calibration="h100-80"),
)  # fmt: skip


def test_what_a_replay_reads_may_be_said():
    check_keys(SCENARIO)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("frontend", "kaas"), ("spread", 0.1), ("granularity", "kernel"), ("constants", ConstantsSettings("pageable")),
        ("limit", 10), ("map", "map.csv"), ("failures", (Failure("device", 0, at_s=1.0),)), ("retries", 2),
        ("slo", "2x"), ("clients", ClientSettings(timeout_s=1.0)), ("report_delay_s", 0.1),
    ],
)  # fmt: skip
def test_what_only_a_simulation_has_is_refused_by_its_key(key, value):
    with pytest.raises(ScenarioError, match=rf"^{key} is .*, must be left out: only a simulation has it$"):
        check_keys(replace(SCENARIO, **{key: value}))


@pytest.mark.parametrize(
    "fleet",
    [
        FleetSettings(sharing="slices"), FleetSettings(gpus_per_link=2), FleetSettings(node_start_s=1.0),
        FleetSettings(nodes=(NodeSettings(1, "t4"), NodeSettings(1, "h100-80"))),
    ],
)  # fmt: skip
def test_so_it_is_of_a_fleet(fleet):
    with pytest.raises(ScenarioError, match=r"^(sharing|gpus_per_link|node_start_s|nodes) is .*, must be left out"):
        check_keys(replace(SCENARIO, fleet=fleet))


def test_they_are_refused_before_anything_is_opened():
    workload = Workload(ListTrace([0.0], [0], [1.0]), functions(["sleep-1"]), own_durations=False)
    with pytest.raises(ScenarioError, match=r"^spread is 0\.5, must be left out"):
        RealExperiment(
            replace(SCENARIO, spread=0.5), "balance", workload, load_calibration("v100-kaas"), ReplaySettings("none:0")
        )
