"""Timelines of runs under several policies: valid files in which all that happened is to be found once."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from analysis.timeline import scene
from analysis.timeline.timeline import write_timeline
from analysis.why import why
from sim.errors import OutputError
from sim.models.calibration import Startup
from sim.models.failures import Failure
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.protocol import Arrival, Finished, Need, Reject, Run, Standing, Start, Stop
from sim.workload import bind
from tests.analysis.timeline.checks import check, of, read
from tests.sim.engine.by_script import BATCHED, GPU, play
from tests.support import POOL, ideal, own, poisson, simulate

GIB = 2**30
GOLDEN = Path(__file__).with_name("tiny.json")
SMALL = replace(POOL, device=replace(POOL.device, memory_bytes=5 * GIB))  # too small for the 12


def run_of(directory, policy, **options):
    """60 invocations of 12 functions."""
    workload = bind(poisson(60, 3.0, "constant", 5, 12), catalogue=load_catalogue("kaas"))
    options = {"calibration": POOL} | options
    return ended(simulate(workload, make_policy(policy), directory / "run", **options))


def ended(run):
    """The run with the end that its summary has."""
    last_s = run.table("invocations")["completed_at_s"].max()
    return replace(run, summary=run.summary | {"simulated_s": last_s})


def timeline(run, directory, window_s=None):
    file = directory / "trace.json.gz"
    write_timeline(run, file, window_s)
    trace = read(file)
    check(trace)
    return trace


def outer(trace):
    """The slices of invocations on GPUs, by their numbers."""
    return {e["args"]["invocation"]: e for e in of(trace, "X") if "latency_ms" in e["args"]}


@pytest.mark.parametrize("policy", ["balance", "exclusive", "keepalive", "keepalive[concurrency=3]"])
@pytest.mark.parametrize("stays", [False, True])
def test_every_invocation_has_its_slices_once(tmp_path, policy, stays):
    run = run_of(tmp_path, policy, gpus=2, stays=stays)
    trace = timeline(run, tmp_path)
    rows = run.table("invocations").set_index("invocation").sort_index()
    found = outer(trace)
    assert sorted(found) == list(rows.index)
    assert len([e for e in of(trace, "X") if "latency_ms" in e["args"]]) == len(rows)
    for number, row in rows.iterrows():
        mine = found[number]
        assert float(mine["ts"]) == pytest.approx((row.started_at_s - row.dispatch_s) * 1e6, abs=2)
        assert float(mine["ts"] + mine["dur"]) == pytest.approx(row.completed_at_s * 1e6, abs=2)
        assert mine["args"]["cold"] == row.cold
        assert mine["args"]["h2d_bytes"] == row.h2d_bytes
    kernels_us = sum(float(e["dur"]) for e in of(trace, "X") if e["name"] in set(run.table("functions").graph))
    assert kernels_us == pytest.approx(rows.run_s.sum() * 1e6, rel=1e-5)
    for phase in "sf":
        assert sorted(e["id"] for e in of(trace, phase)) == list(rows.index)


def test_workers_climb_their_stages(tmp_path):
    run = run_of(tmp_path, "exclusive")
    trace = timeline(run, tmp_path)
    workers = run.table("workers")
    lives = [e for e in of(trace, "X") if e["name"].startswith("worker ")]
    assert len(lives) == (workers.device >= 0).sum() > 3
    for stage in ("process", "runtime", "context", "constants"):
        lasted_us = sum(float(e["dur"]) for e in of(trace, "X") if e["name"] == stage)
        assert lasted_us == pytest.approx(workers[f"{stage}_s"].sum() * 1e6, rel=1e-6)


def test_a_batch_has_lanes(tmp_path):
    options = {"needs": [Need.BATCHES], "gpu": replace(GPU, graphs=BATCHED), "standing": [Standing(0, 0)]}
    batch = [(Arrival(2, 0), [Run(0, 0, others=(1, 2))])]
    run = ended(play(tmp_path / "run", batch, [(1.0, 0), (1.5, 0), (1.75, 0)], **options).run)
    trace = timeline(run, tmp_path)
    assert len({e["tid"] for e in outer(trace).values()}) == 3
    assert {e["args"]["batch"] for e in outer(trace).values()} == {3}
    names = {e["args"]["name"] for e in of(trace, "M") if e["name"] == "thread_name"}
    assert names >= {"GPU 0", "GPU 0 lane 1", "GPU 0 lane 2"}


@pytest.mark.parametrize("policy", ["balance", "exclusive"])
def test_what_is_lost_with_its_worker_is_there_too(tmp_path, policy):
    failures = [Failure("device", 0, at_s=5.5, mttr_s=2.0), Failure("worker", 1, at_s=8.0)]
    workload = own(poisson(40, 3.0, "constant", 5, 4))  # a second each
    calibration = ideal(startup_s=Startup(0.0, 0.1, 0.0, 0.0, 0.0))
    options = {"gpus": 2, "calibration": calibration, "failures": failures, "stays": True}
    run = ended(simulate(workload, make_policy(policy), tmp_path / "run", **options))
    rows = run.table("invocations")
    lost = rows[(rows.status == "failed") & rows.started_at_s.notna()]
    found = outer(timeline(run, tmp_path))
    assert len(lost)
    assert set(lost.invocation) <= set(found)
    assert all(found[number]["args"]["status"] == "failed" for number in lost.invocation)
    for number in lost.invocation:
        told = why(run, number)
        assert "failed" in told["told"]
        assert sum(part["s"] for part in told["parts"]) == pytest.approx(told["latency_s"])


def test_counters_say_who_waits_and_what_is_in_memory(tmp_path):
    run = run_of(tmp_path, "balance", calibration=SMALL, stays=True)
    trace = timeline(run, tmp_path)
    by_name = {name: [e for e in of(trace, "C") if e["name"] == name] for name in {e["name"] for e in of(trace, "C")}}
    assert set(by_name) == {"waiting", "running", "GPU 0 memory of buffers"}
    assert by_name["waiting"][-1]["args"]["value"] == by_name["running"][-1]["args"]["value"] == 0
    assert max(e["args"]["value"] for e in by_name["waiting"]) > 1
    stays = run.table("residency")
    at_the_end = int(stays[stays.left_at_s.isna()].bytes.sum())
    assert by_name["GPU 0 memory of buffers"][-1]["args"]["value"] == at_the_end
    evicted = Counter(e["name"] for e in of(trace, "i"))
    assert sum(evicted.values()) == (stays.reason == "evicted").sum() > 0


def test_without_the_residency_table_evictions_are_counted(tmp_path):
    run = run_of(tmp_path, "balance", calibration=SMALL)
    told = of(timeline(run, tmp_path), "i")
    rows = run.table("invocations")
    assert sum(e["args"]["n"] for e in told) == rows.n_evicted.sum() > 0


def test_a_window_has_what_was_there_in_it(tmp_path):
    run = run_of(tmp_path, "exclusive")
    rows = run.table("invocations")
    from_s, to_s = rows.started_at_s.quantile(0.3), rows.started_at_s.quantile(0.6)
    trace = timeline(run, tmp_path, (from_s, to_s))
    there = rows[(rows.arrival_at_s <= to_s) & (rows.completed_at_s >= from_s)]
    assert sorted(outer(trace)) == sorted(there.invocation)
    assert 0 < len(there) < len(rows)
    whole = timeline(run, tmp_path)
    for name in ("waiting", "running"):
        at_us = Decimal(round(from_s * 1e6)) + 1000
        values = [[e for e in of(t, "C") if e["name"] == name and e["ts"] <= at_us][-1]["args"] for t in (trace, whole)]
        assert values[0] == values[1], "a counter does not begin where it was"


def test_large_runs_are_thinned_and_say_so(tmp_path, monkeypatch):
    run = run_of(tmp_path, "exclusive", gpus=2)
    whole = timeline(run, tmp_path)
    monkeypatch.setattr(scene, "MOST_INVOCATIONS", 12)
    monkeypatch.setattr(scene, "MOST_STARTS", 3)
    monkeypatch.setattr("analysis.timeline.thinning.NEIGHBOURS", 10)
    trace = timeline(run, tmp_path)
    rows = run.table("invocations").sort_values("arrival_at_s", ignore_index=True)
    kept = outer(trace)
    assert len(kept) == 12
    latency_s = rows.set_index("invocation").eval("completed_at_s - arrival_at_s")
    for first in range(0, 60, 10):
        part = latency_s[rows.invocation[first : first + 10]]
        assert set(part.nlargest(2).index) <= set(kept)
    together = sum(e["args"]["n"] for e in of(trace, "X") if e["name"].endswith("together") and e["tid"] < 7)
    n_workers = (run.table("workers").device >= 0).sum()
    assert together > 0
    thinned = " ".join(trace["otherData"]["thinned"])
    assert "12 of 60 invocations are shown by themselves" in thinned
    assert f"of {n_workers} workers are shown by themselves" in thinned
    assert len(trace["traceEvents"]) < len(whole["traceEvents"]) / 2
    waiting = [[e for e in of(one, "C") if e["name"] == "waiting"] for one in (trace, whole)]
    assert waiting[0] == waiting[1], "counters count all"


def tiny(directory):
    """Two executors; of three invocations one waits and one is rejected; a worker is started and stopped."""
    answers = [
        (Arrival(0, 0), [Run(0, 0)]),
        (Arrival(1, 0), [Run(1, 0), Start(2, 1)]),
        (Arrival(2, 1), [Reject(2, "no room")]),
        (Finished(1, 0), [Stop(2)]),
    ]
    standing = [Standing(0, 0), Standing(1, 1)]
    played = play(directory, answers, [(1.0, 0), (1.5, 0), (2.0, 1)], standing=standing, gpus=2, needs=[Need.EXECUTORS])
    return ended(played.run)


def test_a_tiny_run_is_the_recorded_one(tmp_path):
    file = tmp_path / "tiny.json.gz"
    write_timeline(tiny(tmp_path / "run"), file)
    assert gzip.decompress(file.read_bytes()).decode() == GOLDEN.read_text()
    check(read(file))


def test_the_same_run_gives_the_same_bytes_and_replaces_its_file(tmp_path):
    run = run_of(tmp_path, "balance")
    files = [tmp_path / "one.json.gz", tmp_path / "other.json.gz"]
    for file in files:
        write_timeline(run, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    write_timeline(run, files[0])
    json.loads(gzip.decompress(files[0].read_bytes()))


def test_what_is_not_ours_is_not_replaced(tmp_path):
    run = run_of(tmp_path, "balance")
    file = tmp_path / "notes.json.gz"
    file.write_bytes(gzip.compress(b'{"mine": 1}'))
    with pytest.raises(OutputError, match="replaces only what it wrote itself"):
        write_timeline(run, file)
    assert gzip.decompress(file.read_bytes()) == b'{"mine": 1}'


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_timeline(tiny(Path(scratch) / "run"), Path(scratch) / "tiny.json.gz")
        GOLDEN.write_text(gzip.decompress((Path(scratch) / "tiny.json.gz").read_bytes()).decode())
