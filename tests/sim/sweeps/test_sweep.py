"""A sweep runs each point once, keeps what is done whatever happens, and tells of what went wrong."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
import yaml

import sim
from analysis.runs import flatten, open_runs
from sim.errors import OutputError, ProjectError, ScenarioError
from sim.scenario import ClientLoad, Scenario
from sim.sweeps import address, work
from sim.sweeps.plan import plan
from sim.sweeps.study import read_study
from sim.sweeps.sweep import run_study
from sim.sweeps.table import write_results
from tests.sim.sweeps.studies import POLICY, read_results, write_study


@pytest.fixture
def here(monkeypatch):
    """Points are run in this process, where tests can look at them."""

    def in_turn(do, tasks, jobs, stopping):
        yield from ((task, do(task)) for task in tasks if not stopping())

    monkeypatch.setattr("sim.sweeps.sweep.in_processes", in_turn)


def begin(file, out, *words):
    return subprocess.Popen(
        [sys.executable, "-c", "from sim.terminal.start import simulate; simulate()", "sweep", file, "-o", out, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def n_runs(out):
    return len([*(out / "runs").glob("[!.]*")]) if (out / "runs").is_dir() else 0


def hidden(out):
    return [file for file in out.rglob(".*") if file.is_dir()]


def test_results_are_those_of_ordinary_runs_a_row_each(tmp_path):
    file, out = write_study(tmp_path), tmp_path / "out"
    frame = sim.sweep(file, out, jobs=2)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "results.parquet"), frame)
    assert [*frame.columns[:8]] == ["run", "policy", "seed", "gpus", "valid", "reasons", "warnings", "error"]
    order = [(n, policy, seed) for n in (1, 2) for policy in ("affinity", "balance") for seed in (0, 1)]
    assert [*frame[["gpus", "policy", "seed"]].itertuples(index=False, name=None)] == order
    assert frame.valid.all()
    runs = {run.path.name: run for run in open_runs([out / "runs"])}
    assert set(frame.run) == runs.keys()
    row = frame.iloc[3]
    alone = sim.simulate(tmp_path / "trace", "balance", gpus=1, seed=1)["balance"]
    pd.testing.assert_frame_equal(runs[row.run].table("invocations"), alone.table("invocations"))
    summary = flatten(alone.summary)
    for name in frame.columns[8:]:
        if name not in ("wall_s", "invocations_per_wall_s", "peak_rss_bytes"):
            assert row[name] == summary[name] or (pd.isna(row[name]) and summary[name] is None)
    assert hidden(out) == []


def test_a_finished_point_is_never_run_again_and_others_are(tmp_path, here):
    file, out = write_study(tmp_path), tmp_path / "out"
    assert run_study(read_study(file), out).n_before == 0
    first = read_results(out)
    stamps = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    again = run_study(read_study(file), out)
    assert (again.n_before, again.failed) == (8, {})
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == stamps
    lost, cut = (out / "runs" / run for run in first.run[:2])
    (lost / "manifest.json").unlink()
    (lost / "summary.json").unlink()
    for left in lost.iterdir():
        left.unlink()
    (cut / "invocations.parquet").unlink()
    odd = out / "runs" / first.run[2] / "manifest.json"
    odd.write_text(odd.read_text().replace('"size_bytes"', '"size"'))
    assert run_study(read_study(file), out).n_before == 5
    pd.testing.assert_frame_equal(read_results(out), first)
    more = run_study(read_study(file, {"seeds": 3}), out)
    assert (more.n_points, more.n_before) == (12, 8)
    fewer = run_study(read_study(file, {"factors": {"gpus": [2]}}), out)
    assert (fewer.n_points, fewer.n_before, len(fewer.frame)) == (4, 4, 4)


def test_tables_may_be_left_out_and_are_made_when_they_are_asked_for(tmp_path, here):
    study, out = read_study(write_study(tmp_path, seeds=1)), tmp_path / "out"
    run_study(study, out, tables="summary")
    first = read_results(out)
    for run in open_runs([out / "runs"]):
        assert {file.name for file in run.path.iterdir()} == {"manifest.json", "scenario.yaml", "summary.json"}
    assert run_study(study, out, tables="summary").n_before == 4
    assert run_study(study, out).n_before == 0
    assert all(len(run.table("invocations")) for run in open_runs([out / "runs"]))
    assert run_study(study, out, tables="summary").n_before == 4
    pd.testing.assert_frame_equal(read_results(out), first)


def addresses(file, out):
    return [each.task.address for each in plan(read_study(file), out, lambda _: None)]


def test_an_address_follows_from_scenario_files_and_code_alone(tmp_path, monkeypatch):
    (tmp_path / "map.csv").write_text("function,graph\n*,resnet50\n")
    file, out = write_study(tmp_path, scenario={"traces": ["trace"], "map": "map.csv"}), tmp_path / "out"
    before = addresses(file, out)
    assert len(set(before)) == 8
    assert addresses(file, tmp_path / "other") == before
    (tmp_path / "map.csv").write_text("function,graph\n*,bert\n")
    assert set(addresses(file, out)).isdisjoint(before)
    (tmp_path / "map.csv").write_text("function,graph\n*,resnet50\n")
    monkeypatch.setattr(address, "code", lambda: "another")
    assert set(addresses(file, out)).isdisjoint(before)
    monkeypatch.undo()
    one = next((tmp_path / "trace").glob("invocations*"))
    one.write_text(one.read_text() + "\n")
    assert set(addresses(file, out)).isdisjoint(before)


def test_calibrations_of_nodes_are_among_the_files(tmp_path):
    from sim.models.calibration import built_in

    assert "t4" in built_in()
    text = (address._HOME / "sim/models/calibrations/t4.json").read_text()
    (tmp_path / "mine.json").write_text(text)
    nodes = [{"gpus": 1, "calibration": "v100-kaas"}, {"gpus": 1, "calibration": "mine.json"}]
    scenario = {"traces": ["trace"], "fleet": {"nodes": nodes}}
    file = write_study(tmp_path, scenario=scenario, factors={"policy": ["balance"]})
    before = addresses(file, tmp_path / "out")
    (tmp_path / "mine.json").write_text(text + "\n")
    assert set(addresses(file, tmp_path / "out")).isdisjoint(before)


def test_a_workload_is_opened_once_for_all_points_that_share_it(tmp_path, here, monkeypatch):
    opened = []
    real = work.open_workload
    monkeypatch.setattr(work, "open_workload", lambda *given: (opened.append(given[0].seed), real(*given))[1])
    run_study(read_study(write_study(tmp_path)), tmp_path / "out")
    assert opened == [0, 0, 1], "once to plan, and once a seed"


class _Watched:
    def __init__(self, scenario, seen):
        self._scenario, self._seen = scenario, seen

    def __getattr__(self, name):
        self._seen.add(name)
        return getattr(self._scenario, name)


def test_what_a_workload_is_opened_by_is_all_that_is_read(tmp_path):
    write_study(tmp_path)
    (tmp_path / "map.csv").write_text("function,graph\n*,resnet50\n")
    plain = Scenario(traces=(str(tmp_path / "trace"),), policies=("balance",))
    clients = Scenario(policies=("balance",), load=ClientLoad("closed[duration=1]", "resnet50"))
    seen = set()
    for scenario in (plain, replace(plain, map=str(tmp_path / "map.csv")), replace(plain, functions="trace"), clients):
        work.open_workload(_Watched(scenario, seen), lambda _: None)
    assert seen == set(work.OF_WORKLOAD)


def test_the_points_of_most_arrivals_begin_first(tmp_path, here, monkeypatch):
    begun = []
    monkeypatch.setattr("sim.sweeps.sweep.perform", lambda task: (begun.append(task.scenario.rate_scale), "no")[1])
    factors = {"policy": ["balance"], "rate_scale": [0.5, 2, 1]}
    run_study(read_study(write_study(tmp_path, factors=factors)), tmp_path / "out")
    assert begun == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


def test_failed_points_are_told_and_the_rest_is_kept(tmp_path):
    (tmp_path / "mine.py").write_text(POLICY)
    factors = {"gpus": [1, 2], "policy": ["balance", "mine.py:Fragile"]}
    file, out = write_study(tmp_path, factors=factors, seeds=1), tmp_path / "out"
    process = begin(file, out, "--jobs", "2")
    said, complaint = process.communicate()
    assert process.returncode == 1
    assert "3 of 4 points done, 0 of them before; 1 failed" in said
    assert complaint == "gpus=2 policy=mine.py:Fragile seed=0: the run crashed; ZeroDivisionError('by nothing')\n"
    frame = read_results(out)
    assert [*frame.policy] == ["balance", "mine.py:Fragile"] * 2
    assert [*frame.valid] == [True, True, True, False]
    assert frame.error.iloc[3] == "ZeroDivisionError: by nothing"
    assert frame.error.iloc[0] == ""


def test_a_point_that_can_not_be_run_has_a_row_that_says_so(tmp_path, here, monkeypatch):
    monkeypatch.setattr("sim.sweeps.work.address", lambda *_: "another")
    came = run_study(read_study(write_study(tmp_path)), tmp_path / "out")
    assert set(came.failed.values()) == {"the code, or a file that it reads, has changed since the sweep began"}
    assert len(came.frame) == len(came.failed) == 8
    assert not came.frame.valid.any()
    assert came.frame.error.str.contains("has changed").all()
    monkeypatch.undo()
    assert read_results(tmp_path / "out").equals(came.frame)


def test_a_process_that_dies_costs_nothing(tmp_path):
    (tmp_path / "mine.py").write_text(POLICY)
    factors = {"gpus": [1, 2], "policy": ["balance", "mine.py:Fragile[kill=1]"]}
    came = run_study(read_study(write_study(tmp_path, factors=factors, seeds=1)), tmp_path / "out", jobs=2)
    assert (tmp_path / "mine.killed").exists()
    assert (tmp_path / "mine.begun").read_text() == "x" * 3, "two points, one of them twice"
    assert came.failed == {}
    assert came.frame.valid.all()
    assert hidden(tmp_path / "out") == []


def test_killed_at_random_instants_and_started_again_it_equals_one_that_was_not(tmp_path):
    file, out = write_study(tmp_path, rate_per_s=20.0), tmp_path / "out"
    run_study(read_study(file), tmp_path / "whole", jobs=2)
    seed = random.randrange(1000)
    for n_least, longest_s in ((1, 0.2), (0, 2.0)):
        process = begin(file, out, "--jobs", "2")
        while n_runs(out) < n_least and process.poll() is None:
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.0, longest_s))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    came = run_study(read_study(file), out, jobs=2)
    print(f"seed {seed}: of {came.n_points} points {came.n_before} were done when it was killed")
    assert came.n_before >= 1
    pd.testing.assert_frame_equal(read_results(out), read_results(tmp_path / "whole"))
    assert hidden(out) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_keeps_what_is_done_and_goes_on_from_there(tmp_path, number):
    file, out = write_study(tmp_path, rate_per_s=60.0), tmp_path / "out"
    process = begin(file, out, "--jobs", "1")
    while n_runs(out) < 1 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, number)
    said, complaint = process.communicate()
    assert process.returncode == 1, complaint
    assert complaint == "Stopped: the same command goes on from here.\n"
    n_done = len(read_results(out))
    assert f"{n_done} of 8 points done" in said
    assert 1 <= n_done == n_runs(out) < 8
    assert read_results(out).valid.all()
    assert hidden(out) == []
    assert run_study(read_study(file, {"factors": {"gpus": [1]}}), out, jobs=1).n_before == min(n_done, 4)


def test_jobs_are_at_least_one(tmp_path):
    with pytest.raises(ScenarioError, match="jobs is 0, must be"):
        sim.sweep(write_study(tmp_path), tmp_path / "out", jobs=0)


def test_two_sweeps_at_once_are_refused(tmp_path, here, monkeypatch):
    study, out = read_study(write_study(tmp_path)), tmp_path / "out"

    def nested(task):
        with pytest.raises(OutputError, match="another process is writing it"):
            run_study(study, out)
        return "no"

    monkeypatch.setattr("sim.sweeps.sweep.perform", nested)
    assert len(run_study(study, out).failed) == 8


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"factors": {"policy": ["afinity"]}}, "policy=afinity seed=0: unknown policy 'afinity', did you mean"),
        ({"factors": {"policy": ["affinity[penalty=10]", "affinity"]}}, "are the same run"),
        ({"factors": {"policy": ["balance"], "calibration": ["none"]}}, "calibration=none seed=0: unknown calibration"),
        ({"factors": {"policy": ["balance"], "traces": ["gone"]}}, "traces=gone seed=0: .*gone"),
        ({"report": {"baseline": "none"}}, "report: baseline: unknown policy of this study 'none'"),
        ({"factors": {"policy": ["balance"], "frontend": ["no"]}}, "frontend: is 'no', must be one of"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_written(tmp_path, changes, rule):
    file = write_study(tmp_path, **changes)
    with pytest.raises(ProjectError, match=rule):
        sim.sweep(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(tmp_path):
    file = write_study(tmp_path)
    with pytest.raises(OutputError, match=r"holds study\.yaml, and is not the folder of a sweep"):
        sim.sweep(file, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file: can't be written"):
        sim.sweep(file, tmp_path / "file")


def test_a_foreign_table_is_not_replaced(tmp_path):
    frame = pd.DataFrame({"mine": [1]})
    frame.to_parquet(tmp_path / "results.parquet")
    with pytest.raises(OutputError, match="replaces only what it wrote itself"):
        write_results(frame, tmp_path / "results.parquet")


def test_a_study_may_be_a_mapping_whose_values_are_of_mixed_kinds(tmp_path, here, monkeypatch):
    study = yaml.safe_load(write_study(tmp_path).read_text())
    monkeypatch.chdir(tmp_path)
    study |= {"factors": {"policy": ["balance"], "spread": ["calibration", 0.1], "rate_scale": [1, 0.5]}, "seeds": [3]}
    frame = sim.sweep(study, "out")
    assert [*frame.spread] == ["calibration", "calibration", "0.1", "0.1"]
    assert [*frame.rate_scale] == [1.0, 0.5] * 2
    with pytest.raises(ScenarioError, match="study: unknown key"):
        sim.sweep(study | {"more": 1}, "out")
