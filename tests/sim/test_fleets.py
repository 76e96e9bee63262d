"""Fleets of different nodes: who runs where takes what its GPU takes; what can't be is refused before the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.compose import assemble, open_workload
from sim.domain import DeviceSpec, FleetSpec, NodeSpec, WorkerKind
from sim.errors import PolicyError, ScenarioError
from sim.experiment import run_scenario
from sim.models.calibration import load_calibration
from sim.models.costs import CostModel
from sim.policies import make_policy
from sim.records.results import open_run
from sim.scenario import read_fleet, read_scenario

MIXED = {
    "nodes": [
        {"gpus": 2, "calibration": "v100-kaas"},
        {"gpus": 1, "calibration": "a100-80", "count": 2, "gpus_per_link": 1},
    ]
}
LOAD = {"load": {"name": "poisson[rate=200,duration=5]", "graph": "bert", "clients": 4}, "policies": ["balance"]}


def test_gpus_are_numbered_node_by_node():
    small, large = DeviceSpec("small", 1), DeviceSpec("large", 2)
    nodes = [NodeSpec(small, 3, 1), NodeSpec(large, 2, 2, model=1), NodeSpec(large, 1, model=1, standby=True)]
    fleet = FleetSpec.of_nodes(nodes, 60.0)
    assert (fleet.n_gpus, fleet.device) == (6, small)
    assert fleet.node_of.tolist() == [0, 0, 0, 1, 1, 2]
    assert [*fleet.gpus_of(1)] == [3, 4]
    assert fleet.memory_bytes == [1, 1, 1, 2, 2, 2]
    assert (fleet.present, fleet.absent) == ([0, 1, 2, 3, 4], [5])


@pytest.mark.parametrize(("n_gpus", "gpus_per_node", "sizes"), [(4, 8, [4]), (16, 8, [8, 8]), (17, 8, [8, 8, 1])])
def test_equal_gpus_fill_nodes(n_gpus, gpus_per_node, sizes):
    fleet = FleetSpec(DeviceSpec("g", 1), n_gpus, gpus_per_node)
    assert [node.n_gpus for node in fleet.nodes] == sizes
    assert (fleet.node_of == np.arange(n_gpus) // gpus_per_node).all()


def test_an_invocation_takes_what_its_gpu_takes(tmp_path):
    scenario = read_scenario(None, {**LOAD, "fleet": MIXED})
    path, summary = next(iter(run_scenario(scenario, tmp_path).items()))
    assert summary["valid"]
    rows = open_run(path).table("invocations")
    functions = open_workload(scenario, print).functions
    took = {"v100-kaas": rows.run_s[rows.device < 2], "a100-80": rows.run_s[rows.device >= 2]}
    for name, run_s in took.items():
        costs = CostModel(load_calibration(name).without_frontend(), functions, WorkerKind.KAAS)
        assert len(run_s)
        np.testing.assert_allclose(run_s, costs.run_s[0])
    assert took["a100-80"].max() != took["v100-kaas"].max()
    nodes = open_run(path).table("devices").groupby("device").node.unique().map(list)
    assert nodes.to_dict() == {0: [0], 1: [0], 2: [1], 3: [2]}


@pytest.mark.parametrize(
    ("fleet", "story"),
    [
        ({"nodes": [{"gpus": 0, "calibration": "t4"}]}, r"fleet: nodes\[0\]: gpus is 0, must be from 1 to"),
        (
            {"nodes": [{"gpus": 2, "calibration": "t4", "gpus_per_link": 3}]},
            r"gpus_per_link is 3, must be at most gpus, 2",
        ),
        ({"nodes": [{"gpus": 2}]}, r"nodes\[0\]: the key 'calibration' is missing"),
        ({"nodes": [{"gpus": 1, "calibration": "t4", "standby": True}]}, "nodes is 'all on standby'"),
        ({"gpus": 3, "nodes": [{"gpus": 1, "calibration": "t4"}]}, "gpus is 3, must be left out where nodes say it"),
        ({"nodes": [{"gpus": 60_000, "calibration": "t4", "count": 2}]}, "must be at most 100,000"),
        ({"node_start_s": -1}, "node_start_s is -1"),
        ({"sharing": 3}, "sharing: is 3"),
    ],
)
def test_what_can_not_be_is_one_sentence(fleet, story):
    with pytest.raises(ScenarioError, match=story):
        read_scenario(None, {**LOAD, "fleet": fleet})


@pytest.mark.parametrize(
    ("fleet", "story"),
    [
        ({"sharing": "msp"}, "unknown sharing 'msp', did you mean 'mps'"),
        ({"sharing": "slices[length=-1]"}, "length is -1"),
        ({"nodes": [{"gpus": 1, "calibration": "v100"}]}, "unknown calibration 'v100'"),
    ],
)
def test_names_are_refused_before_anything_is_written(tmp_path, fleet, story):
    with pytest.raises(ScenarioError, match=story):
        run_scenario(read_scenario(None, {**LOAD, "fleet": fleet}), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_function_must_fit_on_every_kind_of_gpu(monkeypatch):
    scenario = read_scenario(None, {**LOAD, "fleet": MIXED})
    v100 = load_calibration("v100-kaas")
    small = replace(v100, name="small", device=replace(v100.device, name="small", memory_bytes=10**9))
    monkeypatch.setattr("sim.compose.load_calibration", lambda name: small)
    with pytest.raises(ScenarioError, match=r"runs bert, whose buffers need .* B of device memory on small"):
        assemble(open_workload(scenario, print), make_policy("balance"), v100, scenario.fleet)


def test_a_standing_worker_on_a_node_that_is_not_there_is_refused(monkeypatch):
    nodes = [{"gpus": 1, "calibration": "t4"}, {"gpus": 1, "calibration": "t4", "standby": True}]
    scenario = read_scenario(None, {**LOAD, "fleet": {"nodes": nodes}})
    monkeypatch.setattr(FleetSpec, "present", property(lambda fleet: [0, 1]))
    with pytest.raises(PolicyError, match="device 1 has no slot 1 now"):
        assemble(open_workload(scenario, print), make_policy("balance"), load_calibration("t4"), scenario.fleet)


def test_a_file_of_a_fleet_is_read_from_where_it_lies(tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "fleet.yaml").write_text("nodes:\n- {gpus: 2, calibration: mine.json}\n- {gpus: 1, calibration: t4}\n")
    fleet = read_fleet(tmp_path / "fleet.yaml")
    assert [node["calibration"] for node in fleet["nodes"]] == [str(tmp_path / "mine.json"), "t4"]
    (tmp_path / "fleet.yaml").write_text("[1]")
    with pytest.raises(ScenarioError, match=r"fleet.yaml: is \[1\], must be a mapping"):
        read_fleet(tmp_path / "fleet.yaml")


def test_gpus_may_have_other_memory_than_the_calibrations(tmp_path):
    settings = {**LOAD, "load": {**LOAD["load"], "clients": 40}}

    def of(memory_gib):
        scenario = read_scenario(None, settings | {"fleet": {"gpus": 1, "memory_gib": memory_gib}})
        return next(iter(run_scenario(scenario, tmp_path / str(memory_gib)).values()))

    assert of(160)["evictions"] == 0 < of(8)["evictions"]
    with pytest.raises(ScenarioError, match=r"a worker has .* B of device memory"):
        of(1)
    with pytest.raises(ScenarioError, match=r"memory_gib is -1\.0, must be above 0"):
        of(-1)
