"""Studies are read strictly, from files and flags alike, and each of their points is a scenario."""

from __future__ import annotations

import pytest
import yaml

from sim.errors import ScenarioError
from sim.sweeps.points import points_of
from sim.sweeps.study import read_study

STUDY = """
name: fleet-size
scenario:
  traces: [traces/azure]
  fleet: {calibration: v100-kaas, gpus_per_node: 2}
factors:
  policy: [affinity, balance, "keepalive[ttl=60,reuse=oldest]"]
  gpus: [1, 2]
  rate_scale: [0.5, 1]
seeds: 3
report: {baseline: balance, figures: [{figure: cdf}]}
"""


@pytest.fixture
def write(tmp_path):
    def put(text=STUDY, **changes):
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(text) | changes, sort_keys=False))
        return file

    return put


def test_a_study_is_read_and_its_report_kept_as_it_is(write):
    study = read_study(write())
    assert study.seeds == (0, 1, 2)
    assert list(study.factors) == ["policy", "gpus", "rate_scale"]
    assert study.factors["rate_scale"] == (0.5, 1)
    assert study.report == {"baseline": "balance", "figures": [{"figure": "cdf"}]}


def test_what_is_written_of_a_study_is_the_same_study_anywhere(write, tmp_path):
    study = read_study(write())
    elsewhere = tmp_path / "elsewhere" / "study.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(yaml.safe_dump(study.as_dict(), sort_keys=False))
    assert read_study(elsewhere) == study
    assert points_of(read_study(elsewhere)) == points_of(study)


def test_points_are_the_product_sorted_by_factors_policy_and_seed(write, tmp_path):
    points = points_of(read_study(write()))
    assert len(points) == 3 * 2 * 2 * 3
    assert [point.name for point in points[:4]] == [
        "policy=affinity gpus=1 rate_scale=0.5 seed=0",
        "policy=affinity gpus=1 rate_scale=0.5 seed=1",
        "policy=affinity gpus=1 rate_scale=0.5 seed=2",
        "policy=balance gpus=1 rate_scale=0.5 seed=0",
    ]
    last = points[-1].scenario
    assert (last.fleet.gpus, last.fleet.gpus_per_node, last.rate_scale, last.seed) == (2, 2, 1.0, 2)
    assert last.policies == ("keepalive[ttl=60,reuse=oldest]",)
    assert last.traces == (str(tmp_path / "traces/azure"),)


def test_factors_may_be_nested_keys_traces_and_files(write, tmp_path):
    (tmp_path / "fleet.yaml").write_text("{gpus: 3, gpus_per_node: 4}")
    factors = {"policy": ["balance"], "traces": ["a", "b"], "fleet": ["fleet.yaml"], "fleet.gpus_per_link": [1, 2]}
    points = points_of(read_study(write(factors=factors, scenario={"fleet": {"gpus": 8}}, seeds=[7])))
    assert [(p.scenario.traces[0], p.scenario.fleet.gpus_per_link) for p in points] == [
        (str(tmp_path / name), n) for name in "ab" for n in (1, 2)
    ]
    assert {p.scenario.fleet.gpus for p in points} == {3}
    load = {"load": {"name": "closed[duration=1]", "graph": "resnet50"}}
    points = points_of(read_study(write(factors={"policy": ["balance"], "load.clients": [1, 5]}, scenario=load)))
    assert [p.scenario.load.clients for p in points[::3]] == [1, 5]


def test_a_scenario_may_be_a_file_whose_policies_are_a_factor(write, tmp_path):
    (tmp_path / "in").mkdir()
    text = "{traces: [t], policies: [affinity, balance], seed: 9, limit: 5}"
    (tmp_path / "in" / "scenario.yaml").write_text(text)
    study = read_study(write(scenario="in/scenario.yaml", factors={"gpus": [1]}))
    assert study.factors == {"policy": ("affinity", "balance"), "gpus": (1,)}
    assert points_of(study)[0].scenario.traces == (str(tmp_path / "in" / "t"),)
    assert read_study(write(scenario="in/scenario.yaml")).factors["policy"][2].startswith("keepalive")


def test_overrides_replace_factors_and_add_others(write):
    study = read_study(write(), {"factors": {"gpus": [8], "limit": [10, 20]}, "seeds": [4]})
    assert study.factors["gpus"] == (8,)
    assert list(study.factors) == ["policy", "gpus", "rate_scale", "limit"]
    assert study.seeds == (4,)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"seed": 3}, "unknown key 'seed'"),
        ({"name": " "}, "name is ' '"),
        ({"seeds": 0}, "seeds is 0, must be from 1"),
        ({"seeds": [1, 1]}, "without one twice"),
        ({"seeds": [-1]}, "at least 0"),
        ({"seeds": True}, "seeds: is True, must be a list"),
        ({"folder": 3}, "folder: is 3, must be text"),
        ({"factors": {"gpus": [1]}}, "factors is .*at least policy"),
        ({"factors": {"policy": "affinity"}}, "factors: policy: is 'affinity', must be a list"),
        ({"factors": {"policy": []}}, "at least one value"),
        ({"factors": {"policy": [1]}}, "policy is 1, must be text"),
        ({"factors": {"policy": ["balance"], "gpu": [1]}}, "unknown factor 'gpu', did you mean 'gpus'"),
        ({"factors": {"policy": ["balance"], "seed": [1]}}, "seed: can't be a factor, seeds says it"),
        ({"factors": {"policy": ["balance"], "gpus": [1, 1.0]}}, "without a value twice"),
        ({"factors": {"policy": ["balance"], "limit": [None]}}, "limit is None, must be text or a number below"),
        ({"factors": {"policy": ["balance"], "slo": [float("nan")]}}, "slo is nan, must be"),
        ({"factors": {"policy": ["balance"], "limit": [2**63]}}, "limit is 9223372036854775808, must be"),
        ({"scenario": {"policies": ["balance"]}}, "policies is .*left out: the factor policy says it"),
        ({"scenario": 3}, "scenario: is 3, must be a mapping"),
        ({"scenario": "none.yaml"}, "none.yaml: can't be read"),
        ({"report": []}, "report: is .*must be a mapping"),
    ],
)
def test_what_is_no_study_is_refused_with_the_rule(write, changes, rule):
    file = write(**changes)
    with pytest.raises(ScenarioError, match=rule):
        read_study(file)


@pytest.mark.parametrize(
    ("factor", "values", "rule"),
    [
        (
            "gpus",
            [1, "two"],
            r"policy=balance gpus=two seed=0: scenario: fleet: gpus: is 'two', must be a whole number",
        ),
        ("gpus", [0], "gpus=0 seed=0: .*gpus is 0"),
        ("fleet.size", [1], "unknown key 'size'"),
        ("limit.of", [1], "seed=0: limit.of: can't be a factor, limit has no keys"),
        ("fleet", ["none.yaml"], "none.yaml: can't be read"),
    ],
)
def test_a_point_that_is_no_scenario_is_named(write, factor, values, rule):
    study = read_study(write(factors={"policy": ["balance"], "limit": [1], factor: values}, seeds=1))
    with pytest.raises(ScenarioError, match=rule.replace("policy=balance", "policy=balance limit=1")):
        points_of(study)
