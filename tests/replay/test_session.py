"""A session: all steps from end to end, on the CPU and on a stand-in of a GPU, and what is left when steps fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from replay.session import HALVES, ON_CPU, ON_GPU, SPARE_S, Scene, SessionLoad, measure_service_s, plan
from replay.steps import LIMIT_S, ROOT, Step, run_session
from sim.domain import Role
from sim.errors import OutputError
from sim.models.workloads import bert, jacobi, sgemm
from sim.models.workloads.catalogue import CatalogueEntry, load_catalogue, save_catalogue
from sim.models.workloads.products import CUBLAS
from sim.records.results import open_run
from tests.conftest import GPU_ROOMS, TESTS
from tests.replay.worlds import functions, replay

STANDIN = TESTS / "standin"
FILES = {"gpu.json", "gpu.tar.gz", "gpu.png"}
PATIENT = (  # as in conftest.py, and nobody minds that kernels take as long as they like
    "import replay.run, replay.fleet.steadiness as steadiness; replay.run.LATE_S = 3600.0; "
    "steadiness.INVALID_DRIFT_FRAC = steadiness.STALLS_N = 10**9; "
)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Tiny graphs at one load, for a second each, on a machine that may be as slow as it likes."""
    monkeypatch.setattr("replay.steps.LIMIT_S", 3600.0)
    monkeypatch.setattr("replay.session.REPEATS", 2)
    monkeypatch.setattr("replay.session.STARTS_S", 0.0)
    entries = [
        CatalogueEntry(sgemm.build(n=64, name="sgemm-64"), fresh_inputs=True),
        CatalogueEntry(jacobi.build(n=32, sweeps=10, name="jacobi-32"), fresh_inputs=False),
    ]
    save_catalogue(entries, tmp_path / "tiny.json")
    by_library = bert.build(
        layers=1, hidden=64, heads=1, sequence=16, vocabulary=50, products=CUBLAS, name="bert-cublas"
    )
    save_catalogue([CatalogueEntry(by_library, fresh_inputs=True)], tmp_path / "library.json")
    monkeypatch.setattr("replay.session.LIBRARY", str(tmp_path / "library.json"))
    half = dict.fromkeys(HALVES, (0.5,))
    scenes = {
        "fits": Scene("balance", "few", 30, 1.0, half),
        "overfull": Scene("affinity", "many", 30, 1.0, half),
        "exclusive": Scene("exclusive", "many", 8, 2.0, half),
    }
    return SessionLoad(str(tmp_path / "tiny.json"), {"few": 2, "many": 80}, scenes, 500_000, seed=2)


def patient(steps):
    """The steps with all the time that they want."""
    for step in steps:
        words = [PATIENT + word if word.startswith("from replay") else word for word in step.command]
        yield replace(step, command=words, limit_s=3600.0)


def unpacked(out, place):
    with tarfile.open(out / "gpu.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return place / "gpu"


def test_a_rehearsal_on_the_cpu(load, tmp_path, monkeypatch):
    (tmp_path / "lacks").mkdir()
    (tmp_path / "lacks" / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lacks"))
    out, told = tmp_path / "out", []
    outcomes = run_session(lambda work, left_s: patient(plan("cpu", load, work, left_s)), out, told.append)
    assert [o.name for o in outcomes if o.status != 0] == ["libraries"], told
    assert "PyTorch can't be imported" in outcomes[1].says
    assert {file.name for file in out.iterdir()} == FILES
    report = json.loads((out / "gpu.json").read_text())
    assert len(report["steps"]) == len(told) == len(outcomes)
    results = report["results"]
    assert results["calibration.json"]["device"]["name"].startswith("CPU")
    errors = results["validation/exclusive-50.errors.json"]["validation/exclusive-50"]
    assert errors["throughput_per_s"]["simulated"] > 0
    assert len(errors["throughput_per_s"]["repeats"]) == 2
    found = unpacked(out, tmp_path / "there")
    for name in ("kernels", "starts", "neighbours-static", "copies"):
        assert results[f"{name}.json"]["rows"], name
    for name in ("probe.json", "calibration.json", "runs.csv", "gpu.json", "logs/calibrate.txt"):
        assert (found / name).stat().st_size > 10, name
    assert (found / "simulated/figures/overfull-50/latency_cdf.png").exists()
    assert (found / "validation/fits-50/decisions.jsonl").exists()
    assert sum(file.stat().st_size for file in out.iterdir()) < 4 << 20
    summaries = {name: open_run(found / "calibration" / f"{name}-50").summary for name in load.scenes}
    assert [name for name, summary in summaries.items() if summary["evictions"]] == ["overfull"]
    assert [name for name, summary in summaries.items() if summary["cold_starts"]] == ["exclusive"]


def test_a_rehearsal_on_a_stand_in_of_a_gpu_without_simpy(load, tmp_path, monkeypatch):
    """Kernels compile for the GPU, and are launched with its checks; only what they compute is not there."""
    pytest.importorskip("nvidia.cuda_nvrtc", reason="NVRTC isn't installed")
    monkeypatch.setenv("PYTHONPATH", str(STANDIN))
    out, told = tmp_path / "out", []

    def collected(steps):
        """Tests for a GPU are found and not run: a stand-in gives no results."""
        for step in steps:
            yield replace(step, command=[*step.command, "--collect-only"]) if step.name == "tests" else step

    outcomes = run_session(
        lambda work, left_s: collected(patient(plan("cuda:0", load, work, left_s))), out, told.append
    )
    assert outcomes[2].name == "tests"
    failed = {o.name: o.says for o in outcomes if o.status != 0}
    without = "Error: simpy is missing, which a simulation needs: pip install simpy"
    reasons = {
        **{f"validate/{name}-50": without for name in load.scenes},
        **dict.fromkeys(("neighbours/fractional", "validation/fractional-30"), "mode 'fractional' needs MPS"),
        **dict.fromkeys(("neighbours/green", "validation/green-30"), "mode 'green' needs cuda.bindings"),
    }
    assert failed.keys() == reasons.keys(), told
    assert [name for name in failed if reasons[name] not in failed[name]] == [], failed
    results = json.loads((out / "gpu.json").read_text())["results"]
    assert results["calibration.json"]["device"]["name"] == "NVIDIA H100 (stand-in)"
    assert results["calibration.json"]["n_multiprocessors"]["value"] == 132
    assert results["probe.json"]["measurements"]["cublas_gemm_float16_flop_per_s"]["value"] > 0
    assert {row["graph"] for row in results["kernels-library.json"]["rows"]} == {"bert-cublas"}
    assert (out / "gpu.png").stat().st_size > 1000


def test_steps_of_a_session_fail_alone_and_each_brings_its_results_home(tmp_path, monkeypatch):
    monkeypatch.setattr("replay.steps.LIMIT_S", 3600.0)
    python = [sys.executable, "-c"]
    out, there = tmp_path / "out", []

    def steps(work, left_s):
        yield Step("wrong", [*python, "raise SystemExit('no such thing')"], 3600)
        there.append(unpacked(out, tmp_path / "first"))
        yield Step("slow", [*python, "import time; time.sleep(3600)"], 0.5)
        invalid = "print('* policy: INVALID: it was late'); raise SystemExit('Replaying about 3 arrivals')"
        yield Step("invalid", [*python, invalid], 3600)
        yield Step("right", [*python, "print('{}')"], 3600, "right.json")
        yield Step("impossible", [], 3600, lacks="there is nothing to do it with")

    told = []
    outcomes = run_session(steps, out, told.append)
    assert [(o.name, o.status) for o in outcomes] == [
        ("wrong", 1), ("slow", None), ("invalid", 1), ("right", 0), ("impossible", None),
    ]  # fmt: skip
    assert "no such thing" in told[0]
    assert "its 0 s were over" in told[1]
    assert "INVALID: it was late" in told[2]
    assert "there is nothing to do it with" in told[4]
    assert "no such thing" in (there[0] / "logs" / "wrong.txt").read_text()
    assert (unpacked(out, tmp_path / "last") / "right.json").read_text() == "{}\n"
    assert len(json.loads((out / "gpu.json").read_text())["steps"]) == 5


def test_what_closes_a_session_has_time_kept_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("replay.steps.KEPT_S", LIMIT_S)
    command = [sys.executable, "-c", ""]
    steps = [Step("one of many", command, 60), Step("the last", command, 60, closes=True)]
    outcomes = run_session(lambda work, left_s: steps, tmp_path / "out", lambda _: None)
    assert [(o.status, o.says) for o in outcomes] == [(None, "no time was left"), (0, "")]


def test_a_step_that_could_not_end_is_not_begun_and_a_shorter_one_is(tmp_path):
    command = [sys.executable, "-c", ""]
    steps = [Step("long", command, 3600, least_s=LIMIT_S), Step("short", command, 3600, least_s=1.0)]
    outcomes = run_session(lambda work, left_s: steps, tmp_path / "out", lambda _: None)
    assert [(o.status, o.says) for o in outcomes] == [(None, "no time was left"), (0, "")]


def test_what_a_session_can_do_without_is_done_when_time_is_left(tmp_path, monkeypatch):
    """Repeats and long cold starts, once everything else is done; nothing of it in the last seconds."""
    monkeypatch.setattr("replay.session.measure_service_s", lambda directory: 0.02)

    def names(left_s):
        found = []
        for step in plan("cpu", ON_CPU, tmp_path, lambda: left_s):
            found.append(step)
            if step.name.startswith("validation"):
                (tmp_path / step.name).mkdir(parents=True, exist_ok=True)
        return found

    hurried, unhurried = names(SPARE_S), names(500.0)
    firsts = [step.name for step in hurried]
    assert not [name for name in firsts if name.startswith("repeats")]
    repeats = [step.name for step in unhurried if step.name not in firsts]
    validated = [name.partition("/")[2] for name in firsts if name.startswith("validation/")]
    assert repeats == [f"repeats/{name}-{number}" for number in (2, 3) for name in validated]
    for steps, seconds in ((hurried, "0"), (unhurried, "60")):
        starts = next(step for step in steps if step.name == "starts")
        assert starts.command[starts.command.index("--seconds") + 1] == seconds


def test_what_is_not_of_a_session_stays(tmp_path):
    (tmp_path / "gpu.tar.gz").write_text("mine")
    (tmp_path / "notes").write_text("mine too")
    with pytest.raises(OutputError, match=r"gpu\.tar\.gz: is there already, and is of no session"):
        run_session(lambda work, left_s: [], tmp_path, lambda _: None)
    assert (tmp_path / "gpu.tar.gz").read_text() == "mine"


def test_the_rates_of_a_session_come_from_what_was_measured(tmp_path, monkeypatch):
    """Twice the time an invocation: half the rate. Without a measurement there is no replay, and the reason is said."""
    known = {"fits": 0.02, "overfull": 0.04, "exclusive": None}
    monkeypatch.setattr("replay.session.measure_service_s", lambda directory: known[directory.name])
    steps = {step.name: step for step in plan("cpu", ON_CPU, tmp_path, lambda: 0.0)}
    replays = [(half, name, part) for half in HALVES for name in known for part in ON_CPU.scenes[name].loads[half]]
    assert len(replays) == 8
    for half, name, part in replays:
        each_s = known[name]
        step = steps[f"{half}/{name}-{100 * part:.0f}"]
        if each_s is None:
            assert "is not known: see service/exclusive" in step.lacks
        else:
            scale = float(step.command[step.command.index("--rate-scale") + 1])
            assert scale * ON_CPU.rate_per_s == pytest.approx(part / each_s, rel=1e-3)
    assert steps["calibrate"].lacks
    assert steps["table"].lacks


@pytest.mark.parametrize("load", [ON_CPU, ON_GPU], ids=["cpu", "gpu"])
def test_the_scenes_of_a_session_stress_what_they_are_named_after(load):
    """By the constants of as many functions of each graph as a trace has."""
    entries = load_catalogue(load.catalogue).values()
    constants = sum(entry.graph.bytes_of(Role.CONSTANT) for entry in entries) / len(entries)
    few, many = (load.n_functions[load.scenes[name].trace] for name in ("fits", "overfull"))
    assert few == len(entries), "each graph once"
    assert few * constants < load.memory_limit_bytes < 0.5 * many * constants
    assert len({(scene.policy, scene.trace) for scene in load.scenes.values()}) == 3


def test_a_session_goes_on_where_another_one_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("replay.steps.LIMIT_S", 3600.0)
    python, log = [sys.executable, "-c"], tmp_path / "log"

    def steps(fails):
        def plan(work, left_s):
            note = f"open({str(log)!r}, 'a').write"
            yield Step("first", [*python, f"{note}('first '); print('[1]')"], 60, "first.json")
            yield Step("second", [*python, f"{note}('second '); raise SystemExit({fails})"], 60)
            yield Step("last", [*python, f"{note}(open('first.json').read())"], 60, closes=True)

        return plan

    run_session(steps(fails=1), tmp_path / "out", lambda _: None)
    outcomes = run_session(steps(fails=0), tmp_path / "out", lambda _: None, resume=True)
    assert [(o.name, o.status) for o in outcomes] == [("first", 0), ("second", 0), ("last", 0)]
    assert log.read_text().split() == ["first", "second", "[1]", "second", "[1]"]
    report = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert ([s["status"] for s in report["steps"]], report["results"]) == ([0, 0, 0], {"first.json": [1]})
    run_session(steps(fails=0), tmp_path / "out", lambda _: None)
    assert log.read_text().split()[5:] == ["first", "second", "[1]"], "without being told to go on it begins anew"
    (tmp_path / "out" / "gpu.tar.gz").write_bytes(b"half")
    with pytest.raises(OutputError, match=r"gpu\.tar\.gz: can't be unpacked \(.*\); begin without --resume$"):
        run_session(steps(fails=0), tmp_path / "out", lambda _: None, resume=True)
    assert (tmp_path / "out" / "gpu.json").exists()


def test_a_session_that_is_killed_leaves_no_step_behind(tmp_path):
    session = (
        "import sys; from pathlib import Path; from replay.steps import Step, run_session; "
        "slow = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(3600)']; "
        "run_session(lambda *_: [Step('slow', slow, 60)], Path(sys.argv[1]), print)"
    )
    with subprocess.Popen([sys.executable, "-c", session, str(tmp_path)], cwd=ROOT) as process:
        while not (steps := children_of(process.pid)):
            time.sleep(0.01)
        process.kill()
    until_s = time.monotonic() + 60
    while any(map(is_alive, steps)):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    """Also not one that is dead and that nobody asked about yet."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_the_service_time_of_exclusive_workers_has_their_starts_in_it(tmp_path):
    served = functions(["sleep-20", "sleep-21"])
    turns = [(0.001 * i, i % 2) for i in range(4)]
    run = replay(tmp_path / "run", served, turns, "exclusive")
    rows, workers = run.table("invocations"), run.table("workers")
    assert len(workers) >= 2, "nothing is cold"
    own_s = measure_service_s(run.path)
    assert own_s > (rows.completed_at_s - rows.started_at_s).mean() + workers.process_s.sum() / len(rows)
    assert own_s <= rows.completed_at_s.max() / len(rows) + 1e-3
    shared = replay(tmp_path / "shared", served, turns, "balance").table("invocations")
    assert measure_service_s(tmp_path / "shared") == pytest.approx((shared.completed_at_s - shared.started_at_s).mean())
    assert measure_service_s(tmp_path / "nowhere") is None


def test_the_bundle_takes_from_its_wheels_what_a_python_lacks(tmp_path):
    """A Python that tells what it is called with, and has all but SimPy."""
    (tmp_path / "gpu" / "wheels").mkdir(parents=True)
    shutil.copy(ROOT / "gpu" / "run.sh", tmp_path / "gpu")
    for name in ("simpy-4.1.1-py3-none-any.whl", "pytest-9.0.0-py3-none-any.whl"):
        (tmp_path / "gpu" / "wheels" / name).touch()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@" >> calls\n[ "$2" != "import simpy" ]\n')
    python.chmod(0o755)
    command = ["sh", "gpu/run.sh", "results", "--resume"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHON": str(python)}, check=True)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "zipfile" in call and "gpu/wheels/simpy-4.1.1-py3-none-any.whl" in call]
    assert not [call for call in calls if "zipfile" in call and "pytest" in call]
    assert calls[-1].endswith("session --out results --resume")


def test_every_test_for_a_gpu_lies_where_it_is_looked_for():
    files = [file for file in TESTS.rglob("*.py") if "pytest.mark" + ".gpu" in file.read_text("utf-8")]
    assert {file.relative_to(TESTS).parts[0] for file in files} == GPU_ROOMS
