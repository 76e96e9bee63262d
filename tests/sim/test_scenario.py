"""Scenarios: strict keys, types and ranges; flags override single values; what is saved reads back."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.experiment import run_scenario
from sim.scenario import FleetSettings, Scenario, read_scenario

MINIMAL = {"traces": ["t"], "policies": ["balance"]}


def written(tmp_path, data):
    file = tmp_path / "s.yaml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return file


def test_flags_override_single_values(tmp_path):
    file = written(tmp_path, {**MINIMAL, "seed": 3, "limit": 7, "fleet": {"gpus": 8, "gpus_per_link": 2}})
    scenario = read_scenario(file, {"seed": 4, "fleet": {"gpus": 16}})
    assert scenario == Scenario(
        traces=(str(tmp_path / "t"),),
        policies=("balance",),
        seed=4,
        limit=7,
        fleet=FleetSettings(gpus=16, gpus_per_link=2),
    )


def test_paths_in_a_file_are_relative_to_it(tmp_path):
    for name in ("mine.json", "v.json", "map.csv", "slo.csv"):
        (tmp_path / name).write_text("{}")
    file = written(
        tmp_path, {**MINIMAL, "catalogue": "mine.json", "map": "map.csv", "fleet": {"calibration": "v.json"}}
    )
    scenario = read_scenario(file, {})
    assert scenario.traces == (str(tmp_path / "t"),)
    assert (scenario.catalogue, scenario.map) == (str(tmp_path / "mine.json"), str(tmp_path / "map.csv"))
    file = written(tmp_path, {**MINIMAL, "policies": ["affinity", "mine.py:Mine[k=2]"]})
    assert read_scenario(file, {}).policies == ("affinity", f"{tmp_path}/mine.py:Mine[k=2]")
    assert scenario.fleet.calibration == str(tmp_path / "v.json")
    assert read_scenario(written(tmp_path, {**MINIMAL, "slo_file": "slo.csv"}), {}).slo_file == f"{tmp_path}/slo.csv"
    assert read_scenario(written(tmp_path, {**MINIMAL, "catalogue": "small"}), {}).catalogue == "small"


def test_spread_is_a_word_or_a_number():
    told = {spread: read_scenario(None, {**MINIMAL, "spread": spread}).spread for spread in ("calibration", 0, 0.1)}
    assert told == {"calibration": "calibration", 0: 0.0, 0.1: 0.1}
    assert read_scenario(None, MINIMAL).spread == "calibration"


def test_a_flag_does_not_hide_a_wrong_fleet(tmp_path):
    with pytest.raises(ScenarioError, match="fleet: is 3, must be a mapping"):
        read_scenario(written(tmp_path, {**MINIMAL, "fleet": 3}), {"fleet": {"gpus": 4}})


def test_what_is_saved_reads_back(tmp_path):
    rough = {"failures": [{"what": "node", "mtbf_s": 9, "mttr_s": 1}, {"what": "worker", "which": 0, "at_s": 1}]}
    patient = {"retries": 2, "slo": "3x", "slo_file": "/slo.csv", "clients": {"timeout_s": 3}}
    scenario = read_scenario(None, {**MINIMAL, "traces": ["/a", "/b"], "window": "08:00-09:00", **rough, **patient})
    assert read_scenario(written(tmp_path, scenario.as_dict()), {}) == scenario


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"polices": ["x"]}, "s.yaml: unknown key 'polices'; the keys are traces, policies,"),
        ({"traces": []}, r"s.yaml: traces is \[\], must be at least one trace"),
        ({"traces": "t"}, "s.yaml: traces: is 't', must be a list"),
        ({"traces": [1]}, r"s.yaml: traces\[0\]: is 1, must be text"),
        ({"limit": 0}, "s.yaml: limit is 0, must be at least 1"),
        ({"limit": True}, "s.yaml: limit: is True, must be a whole number"),
        ({"seed": "7"}, "s.yaml: seed: is '7', must be a whole number"),
        ({"failures": {"what": "node"}}, "s.yaml: failures: is {'what': 'node'}, must be a list"),
        (
            {"failures": [{"what": "device", "mtbf_s": -1}]},
            r"s.yaml: failures\[0\]: mtbf_s is -1.0, must be a finite number above 0",
        ),
        ({"retries": -1}, "s.yaml: retries is -1, must be from 0 to 1000"),
        ({"slo": "soon"}, "s.yaml: slo is 'soon', must be seconds above 0 as 0.5s, or a multiple of the isolated"),
        ({"slo": 3}, "s.yaml: slo: is 3, must be text"),
        ({"clients": {}}, "s.yaml: clients: the key 'timeout_s' is missing"),
        ({"clients": {"timeout_s": 0}}, "s.yaml: clients: timeout_s is 0.0, must be a finite number above 0"),
        ({"rate_scale": 10**400}, "s.yaml: rate_scale: is a number beyond 1.8e308"),
        ({"rate_scale": -1}, "s.yaml: rate_scale is -1.0, must be a finite number above 0"),
        ({"rate_scale": float("nan")}, "s.yaml: rate_scale is nan, must be a finite number above 0"),
        (
            {"placement": "middle"},
            "s.yaml: placement: is 'middle', must be one of uniform, equidistant, poisson, start",
        ),
        ({"functions": "both"}, "s.yaml: functions: is 'both', must be one of catalogue, trace"),
        ({"fleet": {"gpus": 0}}, "s.yaml: fleet: gpus is 0, must be at least 1"),
        ({"fleet": {"gpus_per_link": 9}}, "fleet: gpus_per_link is 9, must be at most gpus_per_node, 8"),
        ({"fleet": {"gpu": 1}}, "s.yaml: fleet: unknown key 'gpu'; the keys are gpus, gpus_per_node"),
        ({"fleet": 4}, "s.yaml: fleet: is 4, must be a mapping"),
        ({"policies": None}, "s.yaml: policies: is None, must be a list"),
        ({"map": "m.csv", "functions": "trace"}, "map is '.*m.csv', must be left out with functions of the trace"),
        ({"spread": "wide"}, "s.yaml: spread: is 'wide', must be calibration or a number"),
        ({"spread": None}, "s.yaml: spread: is None, must be a number"),
        ({"spread": True}, "s.yaml: spread: is True, must be a number"),
        ({"spread": -0.1}, "s.yaml: spread is -0.1, must be from 0 to 10"),
        ({"spread": 11}, "s.yaml: spread is 11.0, must be from 0 to 10"),
        ({"spread": float("nan")}, "s.yaml: spread is nan, must be from 0 to 10"),
        ({"spread": 0.1, "functions": "trace"}, "spread is 0.1, must be left out with functions of the trace"),
        (
            {"map": "m.csv", "traces": [], "load": {"name": "nshot", "graph": "bert"}},
            "s.yaml: map is '.*m.csv', must be left out with a load",
        ),
    ],
)
def test_a_wrong_scenario_is_refused_with_key_and_rule(tmp_path, change, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        read_scenario(written(tmp_path, {**MINIMAL, **change}), {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("traces: [", "s.yaml: not YAML"),
        ("- a", r"s.yaml: is \['a'\], must be a mapping"),
        ("policies: [a]", r"s.yaml: traces is \[\], must be at least one trace"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        read_scenario(written(tmp_path, text), {})
    with pytest.raises(ScenarioError, match="can't be read"):
        read_scenario(tmp_path / "none.yaml", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*Scenario.__dataclass_fields__, "other"]), JSON, max_size=6))
def test_any_mapping_either_reads_or_is_refused(data):
    refused = ""
    try:
        read_scenario(None, {**MINIMAL, **data})
    except ScenarioError as error:
        refused = str(error)
    assert refused == "" or refused.startswith("scenario: ")


def test_who_loses_constants_is_the_scenarios_choice(tmp_path):
    load = {"load": {"name": "poisson[rate=40,duration=20]", "graph": "bert", "clients": 20}, "policies": ["balance"]}
    found = {}
    for residency in (None, "lru", "gdsf"):
        scenario = read_scenario(None, load | {"residency": residency, "fleet": {"gpus": 1}})
        (found[residency],) = run_scenario(scenario, tmp_path / str(residency)).values()
    assert len({summary["latency_s"]["mean"] for summary in found.values()}) == 3
    with pytest.raises(ScenarioError, match=r"'gsdf', did you mean 'gds"):
        read_scenario(None, load | {"residency": "gsdf"})
    with pytest.raises(ScenarioError, match="unknown eviction strategy"):
        read_scenario(None, load | {"constants": {"eviction": "gsdf"}})
