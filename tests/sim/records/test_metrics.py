"""What a summary says beyond counts and times: each number against the tables, or against what must come out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.runs import flatten, with_exact_quantiles
from sim.compose import assemble, simulate_into
from sim.errors import RunError, ScenarioError
from sim.experiment import run_scenario
from sim.models.calibration import Power, load_calibration
from sim.models.deadlines import Objective, Objectives
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.records.parts import PARTS
from sim.records.population import Population
from sim.records.results import open_run
from sim.records.summary import summarise
from sim.records.sums import merge, of_plain, read_sums
from sim.records.totals import Totals
from sim.scenario import FleetSettings, read_scenario
from sim.workload import bind
from tests.support import V100, ListTrace, ideal, own, poisson, simulate

LOAD = {"load": {"name": "closed[outstanding=2,duration=20]", "graph": "resnet50", "clients": 6}}


def kaas(n=400, n_functions=12):
    return bind(poisson(n, 8.0, "constant", 3, n_functions), catalogue=load_catalogue("kaas"))


def done(run):
    rows = run.table("invocations")
    return rows[rows.status == "completed"]


# Parts of latency


def test_parts_of_latency_are_where_the_time_went(tmp_path):
    run = simulate(kaas(), make_policy("affinity"), tmp_path, gpus=2, calibration=V100)
    rows, parts_s = done(run), run.summary["latency_parts_s"]
    assert tuple(parts_s) == PARTS
    means = {
        "gate": rows.admitted_at_s - rows.arrival_at_s,
        "before_pool": rows.queued_at_s - rows.admitted_at_s,
        "pool": rows.started_at_s - rows.dispatch_s - rows.queued_at_s,
        "dispatch": rows.dispatch_s,
        "loads": rows.load_s,
        "kernels": rows.run_s,
    }
    for name, values in means.items():
        assert parts_s[name] == pytest.approx(values.mean()), name
    assert parts_s["cold_start"] == 0 < min(parts_s[name] for name in (*means, "reply"))


def test_who_waits_for_a_start_is_in_the_queue_until_it_begins(tmp_path):
    """One device, two functions in turn: the second start has to wait until the first worker is gone."""
    trace = ListTrace([0.0, 0.5], [0, 1], [2.0, 2.0])
    start = replace(ideal().startup_s, process=1.0, runtime=0.0, context=0.0, first_run=0.0, kill_release=0.0)
    start = replace(start, notice_period=0.0)
    run = simulate(own(trace), make_policy("exclusive"), tmp_path, calibration=ideal(startup_s=start))
    parts_s = run.summary["latency_parts_s"]
    assert run.summary["cold_frac"] == 1.0
    assert parts_s["cold_start"] == pytest.approx(1.0)  # each waited a second for its process
    assert parts_s["pool"] == pytest.approx(2.5 / 2)  # and the second from 0.5 to 3 s for the device
    assert parts_s["kernels"] == 2.0


# Slowdown, and functions


def test_slowdown_is_latency_over_isolated_latency_by_request_and_by_function(tmp_path):
    run = simulate(kaas(), make_policy("affinity"), tmp_path, gpus=2, calibration=V100)
    rows = done(run)
    isolated_s = run.table("functions").isolated_s.to_numpy()
    slowdown = (rows.completed_at_s - rows.arrival_at_s) / isolated_s[rows.function]
    assert run.summary["slowdown"]["mean"] == pytest.approx(slowdown.mean())
    assert run.summary["slowdown"]["p99"] == pytest.approx(slowdown.quantile(0.99))
    of_functions = (rows.completed_at_s - rows.arrival_at_s).groupby(rows.function).mean()
    of_functions = of_functions / isolated_s[of_functions.index]
    assert run.summary["function_slowdown"]["p50"] == pytest.approx(of_functions.quantile(0.5))
    assert with_exact_quantiles(run).summary == run.summary


def test_functions_attain_a_goal_or_do_not(tmp_path):
    """f0 is in time 9 times of 10, f1 always, and f2 has no deadline."""
    at_s = np.arange(30) * 10.0
    run_s = [1.0] * 30
    run_s[27] = 5.0
    trace = ListTrace(at_s, [0, 1, 2] * 10, run_s)
    slo = Objectives(None, {"f0": Objective(2.0, False), "f1": Objective(2.0, False)})
    run = simulate(own(trace), make_policy("balance"), tmp_path, slo=slo)
    assert run.summary["slo_attainment_frac"] == 19 / 20
    assert run.summary["function_attainment_frac"] == {"at_90": 1.0, "at_99": 0.5, "at_999": 0.5}
    span_s = run.summary["mean_in_system"] and 295.0
    assert run.summary["goodput_per_s"] == pytest.approx(19 / span_s, rel=0.05)
    ratio = run.summary["function_goodput_per_s"]["at_99"] / run.summary["goodput_per_s"]
    assert ratio == pytest.approx(10 / 19)


def test_without_deadlines_functions_have_no_attainment(tmp_path):
    run = simulate(own(ListTrace([0.0], [0], [1.0])), make_policy("balance"), tmp_path)
    assert set(run.summary["function_attainment_frac"].values()) == {None}
    assert set(run.summary["function_goodput_per_s"].values()) == {None}


# Resources


def test_balance_between_gpus_is_even_or_not(tmp_path):
    even = simulate(own(ListTrace([0.0, 0.0], [0, 1], [1.0, 1.0])), make_policy("balance"), tmp_path / "a", gpus=2)
    assert even.summary["gpu_balance"] == {"jain": pytest.approx(1.0), "cv": pytest.approx(0.0, abs=1e-7)}
    one = simulate(own(ListTrace([0.0], [0], [1.0])), make_policy("balance"), tmp_path / "b", gpus=4)
    assert one.summary["gpu_balance"] == {"jain": pytest.approx(0.25), "cv": pytest.approx(np.sqrt(3))}


def test_energy_is_idle_power_all_the_time_and_the_rest_while_kernels_run(tmp_path):
    calibration = ideal(power=Power(idle_w=10.0, busy_w=110.0))
    trace = ListTrace([0.0, 9.0], [0, 0], [1.0, 1.0])
    run = simulate(own(trace), make_policy("balance"), tmp_path / "a", gpus=2, calibration=calibration)
    assert run.summary["energy_j"] == pytest.approx(10 * 10 * 2 + 100 * 2)
    assert run.summary["gpu_hours"] == pytest.approx(20 / 3600)
    unknown = simulate(own(trace), make_policy("balance"), tmp_path / "b", calibration=ideal(power=None))
    assert unknown.summary["energy_j"] is None
    with pytest.raises(ScenarioError, match=r"busy_w is 1.0, must be at least idle_w, 2.0"):
        Power(idle_w=2.0, busy_w=1.0)


def test_workers_are_paid_for_from_their_device_to_their_end_and_hold_memory_while_idle(tmp_path):
    """A process starts in 1 s, runs for 2 s, idles for 5 s, runs for 2 s; the run ends with its last reply."""
    start = replace(ideal().startup_s, process=1.0, runtime=0.0, context=0.0, first_run=0.0, kill_release=0.0)
    calibration = ideal(startup_s=replace(start, notice_period=0.0))
    trace = ListTrace([0.0, 8.0], [0, 0], [2.0, 2.0], memory_bytes=1000)
    run = simulate(own(trace), make_policy("keepalive[ttl=60]"), tmp_path, calibration=calibration, sharing="turns")
    assert run.table("workers").stopped_at_s[0] > 60
    assert run.summary["cold_starts"] == 1
    assert run.summary["instance_hours"] == pytest.approx(10 / 3600)
    inputs = assemble(own(trace), make_policy("keepalive"), calibration, FleetSettings(gpus=1, sharing="turns"))
    assert run.summary["idle_memory_byte_s"] == pytest.approx(5 * inputs.costs.memory_bytes(0))


def test_nodes_that_come_and_go_are_paid_for_while_they_are_there(tmp_path):
    from sim.domain import FleetSpec, NodeSpec
    from sim.records.gpus import Gpus

    device = V100.spec
    fleet = FleetSpec.of_nodes([NodeSpec(device, 1), NodeSpec(device, 2, standby=True)], 0.0)
    gpus = Gpus(fleet, [None])
    gpus.scaled(10.0, range(1, 3), True)
    gpus.scaled(10.0, range(1, 3), True)  # it is on its way
    gpus.scaled(40.0, range(1, 3), False)
    assert gpus.sums(100.0, np.zeros(3))["gpu_s"] == 100 + 2 * 30
    gpus.scaled(90.0, range(1, 3), True)
    assert gpus.sums(100.0, np.zeros(3))["gpu_s"] == 100 + 2 * 40
    assert gpus.per_s()["gpu_s"] == 3


def test_every_calibration_that_comes_along_says_what_power_is_assumed():
    for name in ("v100-kaas", "t4", "a100-80", "h100-80"):
        power = load_calibration(name).power
        assert 0 < power.idle_w < power.busy_w


# Little's law


def test_the_population_is_the_same_however_its_intervals_grow():
    rng = np.random.default_rng(1)
    arrived_s = rng.uniform(0, 5000, 3000)
    left_s = arrived_s + rng.exponential(20, 3000)
    left_s[::100] = np.nan
    population = Population(0.01)
    for part in np.array_split(np.arange(3000), 50):
        population.add(arrived_s[part], left_s[part])
    end_s = 6000.0
    expected_s = np.where(np.isnan(left_s), end_s, left_s) - arrived_s
    assert population.area_s(end_s) == pytest.approx(expected_s.sum(), rel=1e-9)
    assert population.fault(float(expected_s.sum()), end_s) == ""
    assert "Little's law fails" in population.fault(float(expected_s.sum()) * 1.001, end_s)


def test_littles_law_holds_with_failed_rejected_and_unfinished_ones(tmp_path):
    run = simulate(kaas(), make_policy("affinity"), tmp_path, gpus=1, calibration=V100)
    rows = run.table("invocations")
    time_s = (rows.completed_at_s - rows.arrival_at_s).sum()
    assert run.summary["mean_in_system"] == pytest.approx(time_s / rows.completed_at_s.max())
    assert not [warning for warning in run.warnings if "Little" in warning]


@pytest.mark.parametrize("what", ["twice", "lost", "wrong"])
def test_a_recorder_that_is_wrong_breaks_littles_law(tmp_path, monkeypatch, what):
    add = Totals.add

    def corrupted(self, function, row, parts_s, measured):
        if what == "twice":
            add(self, function, row, parts_s, measured)
        if what == "wrong":
            row = {**row, "completed_at_s": row["completed_at_s"] + 0.001}
        if what != "lost":
            add(self, function, row, parts_s, measured)

    monkeypatch.setattr(Totals, "add", corrupted)
    workload = own(ListTrace([0.0, 1.0], [0, 0], [1.0, 2.0]))
    inputs = assemble(workload, make_policy("balance"), ideal(), FleetSettings(gpus=1))
    recorder, outcome = simulate_into(tmp_path, inputs)
    assert recorder.faults(outcome.end_s)[0].startswith("Little's law fails")


# Warm-up and cool-down


def test_what_arrives_in_warm_up_and_cool_down_is_run_but_not_measured(tmp_path):
    trace = ListTrace([0.0, 10.0, 20.0, 30.0, 40.0], [0, 0, 1, 1, 0], [9.0, 1.0, 2.0, 3.0, 8.0])
    run = simulate(own(trace), make_policy("balance"), tmp_path, measured=(10.0, 40.0))
    whole = simulate(own(trace), make_policy("balance"), tmp_path / "whole")
    assert len(run.table("invocations")) == run.summary["completed"] == 5
    assert run.summary["measured"] == {"from_s": 10.0, "until_s": 40.0, "invocations": 3, "completed": 3}
    assert run.summary["latency_s"]["mean"] == pytest.approx(2.0)
    assert run.summary["latency_parts_s"]["kernels"] == pytest.approx(2.0)
    assert run.summary["slowdown"]["max"] == pytest.approx(3.0)
    assert run.summary["cache_hit_frac"] == pytest.approx(2 / 3)
    for key in ("gpu_frac", "h2d_bytes", "throughput_per_s", "gpu_hours", "instance_hours", "mean_in_system"):
        assert run.summary[key] == whole.summary[key]
    assert with_exact_quantiles(run).summary == run.summary


def test_goodput_of_a_cut_run_is_over_the_time_that_is_measured(tmp_path):
    trace = ListTrace([0.0, 10.0, 20.0, 30.0, 40.0], [0] * 5, [9.0, 1.0, 2.0, 3.0, 8.0])
    run = simulate(
        own(trace), make_policy("balance"), tmp_path, measured=(10.0, 40.0), slo=Objectives(Objective(2.5, False), {})
    )
    assert run.summary["slo_attainment_frac"] == pytest.approx(2 / 3)
    assert run.summary["goodput_per_s"] == pytest.approx(2 / 30)


def test_a_cut_is_a_key_of_a_scenario_and_must_leave_something(tmp_path):
    settings = {**LOAD, "policies": ["affinity"]}
    scenario = read_scenario(None, settings | {"warmup_s": 5, "cooldown_s": 5})
    summary = next(iter(run_scenario(scenario, tmp_path / "cut").values()))
    assert 0 < summary["measured"]["completed"] < summary["completed"]
    assert (summary["measured"]["from_s"], summary["measured"]["until_s"]) == (5.0, 15.0)
    with pytest.raises(ScenarioError, match="warmup_s is 15 and cooldown_s 5, must leave something of the 20 s"):
        run_scenario(read_scenario(None, settings | {"warmup_s": 15, "cooldown_s": 5}), tmp_path / "none")
    with pytest.raises(ScenarioError, match=r"warmup_s is -1.0, must be a finite number, at least 0"):
        read_scenario(None, settings | {"warmup_s": -1})


def test_a_cut_in_which_nothing_arrives_is_told(tmp_path):
    trace = ListTrace([0.0, 40.0], [0, 0], [1.0, 1.0])
    inputs = assemble(own(trace), make_policy("balance"), ideal(), FleetSettings(gpus=1), measured=(10.0, 20.0))
    recorder, outcome = simulate_into(tmp_path, inputs)
    assert recorder.faults(outcome.end_s) == ["nothing arrived from 10 to 20 s, so nothing is measured"]
    assert recorder.summary(outcome.end_s)["latency_s"]["mean"] is None


# Merging


def test_a_run_directory_has_the_sums_of_its_summary(tmp_path):
    scenario = read_scenario(None, {**LOAD, "policies": ["affinity"]})
    path, summary = next(iter(run_scenario(scenario, tmp_path / "runs").items()))
    sums = read_sums(path)
    assert open_run(path).manifest["files"]["distributions.json"]["size_bytes"] < 200_000
    again = flatten(summarise(sums))
    for key, value in again.items():
        if value is None or isinstance(value, str) or key == "quantiles.error_frac":
            continue
        assert value == pytest.approx(flatten(summary)[key], rel=1 / 256), key
    assert again["latency_s.mean"] == summary["latency_s"]["mean"]
    (path / "distributions.json").write_text('{"schema_version": 1}')
    with pytest.raises(RunError, match=r"distributions.json: is not as a run writes it"):
        read_sums(path)


def test_parts_of_a_run_add_up_to_it(tmp_path):
    """Two functions that never meet, on a GPU each, as one run and as two."""
    at_s = np.sort(np.random.default_rng(5).uniform(0, 100, 300))
    run_s = np.random.default_rng(6).exponential(0.2, 300)
    function = np.arange(300) % 2
    power = ideal(power=Power(5.0, 50.0))
    slo = Objectives(Objective(0.3, False), {})

    def sums(trace, gpus, name):
        (tmp_path / name).mkdir()
        inputs = assemble(own(trace), make_policy("balance"), power, FleetSettings(gpus=gpus), slo=slo)
        recorder, outcome = simulate_into(tmp_path / name, inputs)
        return recorder.sums(outcome.end_s)

    def of(which):
        mine = np.isin(function, which)
        return ListTrace(at_s[mine], np.searchsorted(which, function[mine]), run_s[mine])

    cells = [sums(of([0]), 1, "a"), sums(of([1]), 1, "b")]
    through_json = [of_plain(json.loads(json.dumps(cell.as_plain()))) for cell in cells]
    whole = flatten(summarise(merge(cells)))
    rows = [open_table(tmp_path / name) for name in "ab"]
    latency_s = np.concatenate([r.completed_at_s - r.arrival_at_s for r in rows])
    end_s = max(r.completed_at_s.max() for r in rows)
    assert whole["completed"] == 300
    assert whole["latency_s.mean"] == pytest.approx(latency_s.mean())
    assert whole["latency_s.p99"] == pytest.approx(np.quantile(latency_s, 0.99))
    assert whole["throughput_per_s"] == pytest.approx(300 / end_s)
    assert whole["gpu_hours"] == pytest.approx(2 * end_s / 3600)
    busy_s = run_s.sum()
    assert whole["energy_j"] == pytest.approx(5 * 2 * end_s + 45 * busy_s)
    assert whole["gpu_busy_frac"] == pytest.approx(busy_s / (2 * end_s))
    parted = flatten(summarise(merge(through_json)))
    assert parted["quantiles.from"] == "histogram"
    for key, value in whole.items():
        if isinstance(value, float) and not key.startswith("quantiles"):
            exact = not key.split(".")[-1].startswith("p")
            assert parted[key] == pytest.approx(value, rel=1e-12 if exact else 1 / 256), key
    with pytest.raises(ValueError, match="arrivals of the same time"):
        merge([cells[0], replace(cells[1], from_s=1.0)])


def open_table(path):
    import pandas as pd

    return pd.read_parquet(path / "invocations.parquet")
