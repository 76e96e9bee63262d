"""Both modes, end to end on processes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from analysis.timeline.timeline import write_timeline
from analysis.why import why
from replay.calibration.validate import check_log
from replay.fleet.messages import EXECUTOR
from sim.domain import Function
from sim.errors import RunError
from sim.models.workloads import bert, products, sgemm
from sim.protocol import Finished, Run, Start, Stop, WorkerReady, WorkerStopped
from sim.records.decisions import FILE_NAME, read_decisions
from tests.analysis.timeline.checks import check, of, read
from tests.replay.worlds import functions, replay

STAGES = ["kill_release_s", "process_s", "runtime_s", "context_s", "modules_s", "constants_s"]


def test_executors_serve_every_function_in_order(tmp_path):
    served = functions(["sleep-5", "sleep-10"])
    run = replay(tmp_path / "run", served, [(0.02 * i, i % 2) for i in range(20)], "balance", gpus=2)
    rows = run.table("invocations")
    assert run.manifest["valid"], run.manifest["reasons"]
    assert (rows.status == "completed").all()
    assert run.summary["cold_starts"] == 0
    assert set(rows.device) <= {0, 1}
    by_worker = rows.sort_values("invocation").groupby("worker")
    assert all((np.diff(r.started_at_s) > 0).all() for _, r in by_worker)
    assert (rows.groupby("function").run_s.min() >= [0.005, 0.010]).all()
    # Each executor loads the constants of a function once.
    assert (rows.constant_bytes > 0).sum() == rows.groupby(["device", "function"]).ngroups


def test_exclusive_workers_start_cold_and_make_way(tmp_path):
    served = functions(["sleep-5", "sleep-6"])
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.05, 0), (0.1, 1), (0.15, 0)], "exclusive")
    rows, workers = run.table("invocations"), run.table("workers")
    assert (rows.status == "completed").all()
    assert list(workers.function) == [0, 1, 0]
    assert run.manifest["n_lost_workers"] == 0, "those that make way were told to"
    assert run.summary["cold_starts"] == rows.cold.sum() == 3
    assert rows[rows.cold].worker.tolist() == [0, 1, 2], "the first of each worker waited for its start"
    assert list(workers.kill_release_s > 0) == [False, True, True]
    assert (workers[STAGES[1:]] > 0).all(axis=None)
    begun_s = np.maximum(workers.requested_at_s.to_numpy()[1:], workers.stopped_at_s.to_numpy()[:-1])
    after_s = workers[STAGES[1:]].sum(axis=1).to_numpy()[1:]
    np.testing.assert_allclose(workers.ready_at_s.to_numpy()[1:], begun_s + after_s, atol=1e-6)
    assert workers.stopped_at_s.isna().tolist() == [False, False, True]
    assert workers.h2d_bytes.tolist() == [4096] * 3


def test_the_first_run_of_a_worker_is_no_part_of_the_time_that_it_takes_to_start(tmp_path):
    run = replay(tmp_path / "run", functions(["warms-500"]), [(0.0, 0)] * 4, "exclusive")
    (worker,) = run.table("workers").to_dict("records")
    assert worker["first_run_s"] > 0
    assert run.table("devices").startup_s.sum() == pytest.approx(sum(worker[stage] for stage in STAGES))


def test_what_the_host_does_is_no_time_of_the_device(tmp_path):
    run = replay(tmp_path / "run", functions(["host-5", "sleep-5"]), [(0.0, 0), (0.0, 1)])
    rows = run.table("invocations").sort_values("function")
    on_worker_s = rows.completed_at_s - rows.started_at_s
    np.testing.assert_allclose(rows.run_s + rows.host_s, on_worker_s, atol=1e-6)  # it copies nothing
    assert rows.host_s.iloc[0] >= 0.005
    assert rows.run_s.iloc[0] == 0


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_kernels_run_on_the_cpu_device(tmp_path, policy):
    served = [Function(i, f"f{i}", sgemm.build(n=32, name="sgemm-32")) for i in range(2)]
    run = replay(
        tmp_path / "run", served, [(0.0, 0), (0.01, 0), (0.02, 1)], policy, executor=EXECUTOR, limit_bytes=1 << 20
    )
    rows = run.table("invocations").sort_values("invocation")
    assert (rows.status == "completed").all(), rows.reason
    assert (rows.run_s > 0).all()
    loaded = 3 * 32 * 32 * 4  # three matrices
    assert rows.constant_bytes.tolist() == ([loaded, 0, loaded] if policy == "affinity" else [0, 0, 0])
    assert run.manifest["replay"]["device"]["capacity_bytes"] <= 1 << 20


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_products_by_a_library_run_on_the_cpu_device(tmp_path, policy):
    graph = bert.build(layers=1, hidden=32, heads=2, sequence=8, vocabulary=20, products=products.CUBLAS)
    served = [Function(0, "f0", graph), Function(1, "f1", sgemm.build(n=32, name="sgemm-32"))]
    arrivals = [(0.0, 0), (0.01, 1), (0.02, 0)]
    run = replay(tmp_path / "run", served, arrivals, policy, executor=EXECUTOR, limit_bytes=1 << 20)
    rows = run.table("invocations")
    assert (rows.status == "completed").all(), rows.reason
    assert (rows.run_s > 0).all()


def test_evictions_are_counted(tmp_path):
    served = functions(["sleep-1", "sleep-2"], constants_bytes=600_000)
    run = replay(tmp_path / "run", served, [(0.05 * i, i % 2) for i in range(4)], "balance", limit_bytes=1_000_000)
    rows = run.table("invocations")
    assert rows.n_evicted.tolist() == [0, 1, 1, 1]
    assert run.summary["evictions"] == 3
    assert run.summary["cache_hit_frac"] == 0
    stays = run.table("residency")
    assert stays.function.tolist() == [0, 1, 0, 1]
    assert stays.reason.tolist() == ["evicted", "evicted", "evicted", ""]
    assert stays.loaded_at_s.tolist() == rows.started_at_s.tolist(), "each is there from its invocation on"
    assert stays.left_at_s.tolist()[:3] == rows.started_at_s.tolist()[1:], "and makes room for the next"


@pytest.mark.parametrize("policy", ["balance", "exclusive"])
def test_a_replay_has_a_timeline_and_tells_why(tmp_path, policy):
    served = functions(["sleep-5", "sleep-7"], constants_bytes=600_000)
    run = replay(tmp_path / "run", served, [(0.02 * i, i % 2) for i in range(6)], policy, limit_bytes=1_000_000)
    write_timeline(run, tmp_path / "trace.json.gz")
    trace = read(tmp_path / "trace.json.gz")
    check(trace)
    ran = [event["args"]["invocation"] for event in of(trace, "X") if "latency_ms" in event["args"]]
    assert sorted(ran) == list(range(6))
    stages = {event["name"] for event in of(trace, "X")} & {"process", "runtime"}
    assert stages == ({"process", "runtime"} if policy == "exclusive" else set())
    assert "GPU 0 memory of buffers" in {event["name"] for event in of(trace, "C")}
    for number in range(6):
        told = why(run, number)
        assert sum(part["s"] for part in told["parts"]) == pytest.approx(told["latency_s"], abs=1e-9)


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_every_order_ends_exactly_once_and_the_log_replays(tmp_path, policy):
    served = functions(["sleep-3", "sleep-4", "sleep-5"])
    arrivals = [(0.01 * i, i % 3) for i in range(9)]
    run = replay(tmp_path / "run", served, arrivals, policy, gpus=2)
    log = list(read_decisions(run.path / FILE_NAME))
    orders = Counter(type(a) for _, _, actions in log for a in actions)
    events = Counter(type(e) for _, e, _ in log)
    assert events[Finished] == orders[Run] == 9
    assert events[WorkerReady] == orders[Start]
    assert events[WorkerStopped] == orders[Stop]
    assert check_log(run, served) == len(log)
    file = run.path / FILE_NAME
    file.write_text(file.read_text().replace('["Run", {"invocation": 3', '["Run", {"invocation": 4', 1))
    with pytest.raises(RunError, match="answered"):
        check_log(run, served)
