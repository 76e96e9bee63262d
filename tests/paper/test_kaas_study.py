"""The study around the simulator: points read and completed, warm fleets, processes, and the command."""

from __future__ import annotations

import csv
import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from sim.cli_reproduce import reproduce
from sim.domain import DeviceSpec, FleetSpec
from sim.errors import ScenarioError
from sim.loads import Clients, make_load
from sim.policies.exclusive import Exclusive
from sim.policies.exclusive_random import ExclusiveRandom
from sim.protocol import Arrival, Finished, Stop
from sim.studies.ablation import ABLATIONS
from sim.studies.kaas import SETUPS, WORKLOADS, Point
from sim.studies.micro import micro
from sim.studies.points import complete, read_points
from sim.studies.report import errors, gains
from sim.studies.run import Result, in_processes, measure, simulate_points
from sim.studies.warm import Warmed
from tests.support import opaque_functions

ARXIV = SETUPS["arxiv"]


def written(tmp_path, text):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return file


def read(tmp_path, text, setup=ARXIV):
    return read_points(written(tmp_path, text), setup, WORKLOADS)


# Points


def test_measurements_and_other_columns_are_kept(tmp_path):
    (row,) = read(tmp_path, "dataset,workload,mode,clients,p50_s,p90_s\nmine,cGEMM,kaas,8,0.15,\n")
    assert row.point == ("cGEMM", "kaas", 8)
    cells = complete(row, Result(88.0, (0.1, 0.2, 0.3)))
    assert cells["dataset"] == "mine"
    assert (cells["p50_s"], cells["p90_s"]) == (0.15, None)
    assert (cells["simulated_throughput_qps"], cells["simulated_p50_s"]) == (88.0, 0.2)
    assert cells["error_frac"] == cells["p50_error_frac"] == pytest.approx(1 / 3)
    assert cells["p90_error_frac"] is None


def test_the_same_point_twice_is_noted_and_not_compared(tmp_path):
    first, second = read(tmp_path, "workload,mode,clients\nbert,kaas,1\nbert,kaas,1\n")
    assert not first.duplicate
    assert second.duplicate
    assert complete(second, None)["note"] == "the same point as row 2"


def test_what_the_authors_set_by_hand_does_not_count(tmp_path):
    rows = read(tmp_path, "workload,mode,clients,throughput_qps\ncGEMM,kaas,29,45.9\ncGEMM,kaas,28,88\n")
    completed = [complete(row, Result(44.0)) for row in rows]
    assert "by hand" in completed[0]["note"]
    assert [e["n"] for e in errors(completed)] == [1, 1, 1]
    assert errors(completed)[0]["median_frac"] == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workload,mode\nbert,kaas\n", "row 1: lacks the column 'clients'"),
        ("workload,mode,clients\n", "no points"),
        ("workload,mode,clients\nbart,kaas,1\n", "row 2: workload: is 'bart', must be one of resnet50"),
        ("workload,mode,clients\nbert,kaas,1\nbert,kas,1\n", "row 3: mode: is 'kas', must be one of kaas"),
        ("workload,mode,clients\nbert,kaas,0\n", "row 2: clients: is '0', must be a whole number"),
        ("workload,mode,clients\nbert,kaas,two\n", "row 2: clients: is 'two'"),
        ("workload,mode,clients,throughput_qps\nbert,kaas,1,-3\n", "row 2: throughput_qps: is '-3'"),
        ("workload,mode,clients,p50_s\nbert,kaas,1,nan\n", "row 2: p50_s: is 'nan'"),
        ("workload,mode,clients\nbert,kaas\n", "row 2: must have 3 cells"),
        ("workload,mode,clients,error_frac\nbert,kaas,1,0\n", "row 1: column 'error_frac'"),
    ],
)
def test_mistakes_name_file_row_column_and_value(tmp_path, text, said):
    with pytest.raises(ScenarioError, match=r"mine\.csv: ") as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


def test_gains_are_of_contended_points_only():
    def row(mode, clients, throughput, p50_s):
        point = {"workload": "cGEMM", "mode": mode, "clients": clients}
        return point | {"simulated_throughput_qps": throughput, "simulated_p50_s": p50_s}

    rows = [row("kaas", 4, 80.0, 0.1), row("exclusive", 4, 0.1, 9.0)]
    assert gains(rows, of="kaas", over="exclusive") == []
    rows += [row("kaas", 8, 80.0, 0.1), row("exclusive", 8, 2.0, 1.5)]
    throughput, latency = gains(rows, of="kaas", over="exclusive")
    assert (throughput["simulated"], throughput["at_clients"]) == (40.0, 8)
    assert latency["simulated"] == pytest.approx(15.0)
    assert latency["measured"] is None


# Warm fleets


def replies(trace, service_s):
    """Serve a closed trace one request at a time."""
    trace.reset()
    waiting = [(at_s, f) for c in trace.chunks() for at_s, f in zip(c.at_s.tolist(), c.function.tolist(), strict=True)]
    now_s, served = 0.0, []
    while waiting:
        at_s, function = min(waiting)
        waiting.remove((at_s, function))
        now_s = max(now_s, at_s) + service_s
        served.append((at_s, function))
        waiting += trace.again(now_s, function)
    return served


def test_a_load_begins_when_all_clients_are_warm():
    clients = Clients(3, "g", seed=1)
    load = make_load("poisson[rate=2,duration=20]").trace(clients)
    alone = [(at_s, f) for c in load.chunks() for at_s, f in zip(c.at_s.tolist(), c.function.tolist(), strict=True)]
    trace = Warmed(load, 4, seed=1)
    served = replies(trace, service_s=0.25)
    assert trace.begun_at_s == 3 * 4 * 0.25
    assert [at_s for at_s, _ in served[:12]] == [0.0] * 12
    assert Counter(f for _, f in served[:12]) == {0: 4, 1: 4, 2: 4}
    assert sorted(served[12:]) == [(3.0 + at_s, f) for at_s, f in alone]


def test_a_closed_loop_goes_on_after_the_barrier_in_random_order():
    load = make_load("closed[outstanding=2,duration=5]").trace(Clients(3, "g"))
    trace = Warmed(load, 1, seed=0)
    served = replies(trace, service_s=0.5)
    begun = [function for at_s, function in served if at_s == trace.begun_at_s]
    assert Counter(begun) == {0: 2, 1: 2, 2: 2}
    assert max(at_s for at_s, _ in served) < trace.begun_at_s + 5
    orders = {tuple(f for _, f in Warmed(load, 1, seed)._begin(0.0)) for seed in range(5)}
    assert len(orders) > 1


# Running


def test_results_do_not_depend_on_processes():
    points = {Point("bert", "exclusive", 5): True, Point("jacobi", "exclusive", 5): True}
    alone = simulate_points("arxiv", points, 3, jobs=1)
    assert alone == simulate_points("arxiv", points, 3, jobs=2)
    assert list(alone) == list(points)


def test_tasks_of_great_cost_begin_first_and_results_keep_their_order():
    begun = []
    assert in_processes(lambda x: begun.append(x) or -x, [1, 3, 2], cost=float, jobs=1) == [-1, -3, -2]
    assert begun == [3, 2, 1]


def test_a_refused_point_has_a_note():
    point = Point("cGEMM", "fractional", 17)
    result = simulate_points("arxiv", {point: True}, 0, jobs=1)[point]
    assert result.throughput_qps is None
    assert "don't fit on 4 GPUs" in result.note


def test_every_ablation_changes_something():
    for ablation in ABLATIONS.values():
        system = ARXIV.system(ablation.points[0])
        assert ablation.change(system) != system, ablation.without


def test_without_headroom_the_knee_is_gone():
    point = Point("cGEMM", "kaas", 29)
    system = ABLATIONS["headroom"].change(ARXIV.system(point))
    assert measure(system, point, 0, wants_latency=False).throughput_qps > 80


def test_the_micro_benchmark_costs_what_was_measured():
    rows = {(row["mode"], row["temperature"]): row for row in micro(0)}
    assert list(rows) == [("kaas", "warm"), ("kaas", "cold"), ("exclusive", "warm"), ("exclusive", "cold")]
    for row in rows.values():
        assert abs(row["error_frac"]) < 0.25
        parts_s = [row[f"simulated_{part}_s"] for part in ("kernel", "init", "copy", "rest")]
        assert sum(parts_s) == pytest.approx(row["simulated_total_s"])
        assert min(parts_s) >= 0


# The earlier generation


def test_in_the_dissertation_cgemm_collapses_when_a_gpu_cannot_hold_every_client():
    seven, nine = (
        measure(SETUPS["dissertation"].system(p), p, 0, wants_latency=False).throughput_qps
        for p in (Point("cGEMM", "kaas_balance", n) for n in (7, 9))
    )
    assert nine < 0.5 * seven


def begin(policy, n_functions, seed):
    """A policy on 4 GPUs, each with an idle worker: of function 0, 1, ... in turn, then again."""
    functions = opaque_functions([100] * (n_functions + 1))
    fleet = FleetSpec(DeviceSpec("g", 10**9), 4)
    policy.reset(fleet, functions, None, np.random.default_rng(seed))
    for i in range(4):
        policy.on_event(0.0, Arrival(i, i % n_functions), None)
    for i in range(4):
        policy.on_event(1.0, Finished(i, i), None)
    return policy


def test_the_victim_is_drawn_among_the_largest():
    stopped = Counter()
    for seed in range(400):
        actions = begin(ExclusiveRandom(), 4, seed).on_event(2.0, Arrival(9, 4), None)
        (stop,) = [a for a in actions if isinstance(a, Stop)]
        stopped[stop.worker] += 1
    assert set(stopped) == {0, 1, 2, 3}
    assert all(60 < n < 140 for n in stopped.values())


@pytest.mark.parametrize(("policy", "robs"), [(ExclusiveRandom, True), (Exclusive, False)])
def test_one_worker_fewer_is_enough_to_rob(policy, robs):
    """3 functions on 4 GPUs; function 1, with one worker, gets two invocations at once."""
    policy = begin(policy(), 3, seed=0)
    policy.on_event(2.0, Arrival(8, 1), None)
    actions = policy.on_event(2.0, Arrival(9, 1), None)
    assert any(isinstance(a, Stop) for a in actions) == robs


# The command


def invoke(*words):
    return CliRunner().invoke(reproduce, ["kaas", *map(str, words)])


def test_the_command_completes_a_file_and_writes_everything(tmp_path):
    file = written(
        tmp_path,
        "workload,mode,clients,throughput_qps,p50_s\n"
        "jacobi,exclusive,5,1.56,0.08\ncGEMM,fractional,17,,\njacobi,exclusive,5,1.5,\n",
    )
    out = tmp_path / "out"
    result = invoke("--points", file, "--out", out, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["workload"] for row in rows] == ["jacobi", "cGEMM", "jacobi"]
    assert rows[0]["error_frac"] == pytest.approx(0, abs=0.02)
    assert rows[0]["simulated_p50_s"] > 0
    assert rows[1]["simulated_throughput_qps"] is None
    assert "don't fit" in rows[1]["note"]
    assert rows[2]["note"] == "the same point as row 2"
    assert json.loads((out / "points.json").read_text()) == rows
    with (out / "points.csv").open() as text:
        assert [row["clients"] for row in csv.DictReader(text)] == ["5", "17", "5"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["calibration"]["sha256"] == ARXIV.calibration().sha256
    assert (manifest["seed"], manifest["setup"]) == (0, "arxiv")
    made = {f.name for f in out.iterdir()}
    figures = {
        f"{name}.{kind}" for name in ("throughput", "latency", "latency_cdf", "micro") for kind in ("pdf", "png")
    }
    assert figures <= made
    assert not any("part" in name for name in made)
    assert "median_frac" in invoke("--points", file, "--figure", "throughput", "--jobs", 1).stdout


def test_mistakes_end_the_command_with_one_sentence(tmp_path):
    file = written(tmp_path, "workload,mode,clients\nbert,kas,1\n")
    result = invoke("--points", file)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "row 2: mode: is 'kas'" in result.stderr
    assert invoke("--setup", "dissertation", "--figure", "micro").exit_code == 2
    assert invoke("--points", file, "--figure", "ablation").exit_code == 2
    assert invoke("--figure", "micro", "--out", file).exit_code == 2


def test_modes_belong_to_a_setup(tmp_path):
    file = written(tmp_path, "workload,mode,clients\nbert,kaas_balance,1\n")
    assert "must be one of kaas, exclusive, static, fractional, balance" in invoke("--points", file).stderr
