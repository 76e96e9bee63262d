"""Parts that need no processes."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

from replay.calibration.estimates import estimate, mean, non_negative, nothing, ratio
from replay.device.cuda import open_device
from replay.device.nvml import find_gpu
from replay.errors import ReplayError
from replay.executor.executor import Executor
from replay.fleet.assign import device_name
from replay.fleet.machine import PATIENCE_S, POLL_S, SETTLED_S, SLACK_BYTES, bus_id, release_of
from replay.fleet.paced import PacedTrace
from replay.fleet.shm import SharedData, map_data, reader
from replay.run import WORKER_LOG, late_at_most, lateness
from sim.domain import Buffer, KernelGraph, Role
from sim.errors import RunError
from sim.models.workloads import sgemm
from sim.records.decisions import FILE_NAME, read_decisions
from sim.records.rundir import FILES
from tests.support import ListTrace

GRAPH = KernelGraph(
    "g",
    (),
    (
        Buffer("w", 40, Role.CONSTANT),
        Buffer("ids", 80, Role.INPUT, "int64", 7.0),
        Buffer("t", 4000, Role.TEMPORARY),
        Buffer("z", 16, Role.CONSTANT, "complex64", 0.5),
    ),
)


def test_a_replay_leaves_only_files_that_force_may_replace():
    assert {FILE_NAME, WORKER_LOG} <= FILES


def test_shared_data_is_the_same_in_every_process_that_maps_it():
    data = SharedData([GRAPH], seed=3)
    again = SharedData([GRAPH], seed=3)
    other = SharedData([GRAPH], seed=4)
    arrays = map_data(data.fd, data.places)["g"]
    assert {n: (a.dtype.name, a.nbytes) for n, a in arrays.items()} == {
        "w": ("float32", 40), "ids": ("int64", 80), "z": ("complex64", 16),
    }  # fmt: skip
    assert arrays["ids"].min() >= 0
    assert arrays["ids"].max() < 7
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, map_data(again.fd, again.places)["g"][name])
        assert not np.array_equal(array, map_data(other.fd, other.places)["g"][name])
    for made in (data, again, other):
        assert os.readlink(f"/proc/self/fd/{made.fd}").startswith("/memfd:"), "a crash would leave a file behind"
        made.close()


def test_an_executor_computes_on_shared_data_what_it_would_on_its_own():
    graph = sgemm.build(n=16, name="sgemm-16")
    data = SharedData([graph], seed=5)
    outputs = []
    for options in ({"seed": 5}, {"fill": reader(data.fd, data.places)}, {"seed": 6}):
        executor = Executor(open_device("cpu"), memory_limit_bytes=1 << 20, **options)
        executor.register(0, graph, fresh_inputs=True)
        outputs.append(executor.run(0).outputs["y"])
    data.close()
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_a_paced_trace_is_stretched_and_cut():
    trace = ListTrace([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1], [1.0] * 4, chunk=3)
    paced = PacedTrace(trace, time_scale=2.0, limit_s=4.0)
    assert [chunk.at_s.tolist() for chunk in paced.chunks()] == [[0.0, 2.0]]
    assert paced.duration_s == 4.0
    assert paced.n_arrivals == 3  # estimated: two thirds of the time
    assert paced.source.options["time_scale"] == 2.0
    whole = PacedTrace(trace, time_scale=0.5)
    assert [t for chunk in whole.chunks() for t in chunk.at_s] == [0.0, 0.5, 1.0, 1.5]
    assert whole.duration_s == 1.5


def test_devices_of_a_fleet_follow_its_first():
    assert [device_name("cuda:2", i) for i in range(2)] == ["cuda:2", "cuda:3"]
    assert device_name("cpu", 5) == "cpu"
    with pytest.raises(ReplayError, match="'cuda:x'"):
        device_name("cuda:x", 0)


def test_a_few_late_arrivals_are_allowed_however_short_the_run():
    assert [late_at_most(n) for n in (1, 26, 300, 400, 10_000)] == [3, 3, 3, 4, 100]


def test_lateness_counts_what_was_late(monkeypatch):
    monkeypatch.setattr("replay.run.LATE_S", 0.005)
    found = lateness([0.0, 0.001, 0.004, 0.006])
    assert found["late_frac"] == 0.25
    assert found["max"] == 0.006
    assert lateness([])["p50"] is None


def test_least_squares_with_coefficients_of_at_least_0():
    x = np.arange(1.0, 9.0)
    np.testing.assert_allclose(non_negative([np.ones(8), x], 2 + 3 * x), [2, 3])
    intercept, slope = non_negative([np.ones(8), x], 3 * x - 2)  # the best line has a negative intercept
    assert intercept == 0
    assert slope == pytest.approx((x @ (3 * x - 2)) / (x @ x))
    assert non_negative([x], -x) == [0.0]


def test_an_estimate_says_what_speaks_against_it():
    rows = np.array([[1.0], [1.0], [1.0], [1.0], [1.0], [2.0], [2.0], [2.0], [2.0], [2.0]])
    is_late = np.repeat([False, True], 5)
    found = estimate("run_s", rows, is_late, mean, "time")
    assert found.value == 1.5
    assert "n = 10" in found.source
    assert "hold-out error 50.0%" in found.source
    low, high = (
        float(word.rstrip(","))
        for word in found.source.split("interval ")[1].split(" to ")[:2]
        for word in [word.split()[0]]
    )
    assert low < 1.5 < high
    assert found.distribution == {
        "n": 10, "sd": 0.5, "least": 1, "p1": 1, "p5": 1, "p25": 1, "p50": 1.5, "p75": 2, "p95": 2, "p99": 2, "most": 2,
    }  # fmt: skip
    assert not estimate("run_s", rows, is_late, mean, "time", each=nothing).distribution
    rows[is_late] = 0.0
    assert estimate("run_s", rows, is_late, mean, "time").source.endswith("hold-out 1 instead of 0")
    with pytest.raises(ReplayError, match="run_s: the runs have 4 samples, must be at least 5"):
        estimate("run_s", rows[:4], is_late[:4], mean, "time")
    assert ratio(np.array([[10.0, 1.0], [30.0, 1.0]])) == 20


def test_a_line_that_is_no_decision_is_refused(tmp_path):
    file = tmp_path / "decisions.jsonl"
    file.write_text('{"now_s": 0, "event": ["Arrival", {"invocation": 0, "function": 0}], "actions": []}\n{"now": 1}\n')
    with pytest.raises(RunError, match="line 2"):
        list(read_decisions(file))


def test_without_a_gpu_memory_is_free_with_the_end_of_the_process():
    release_of({"pci": [None, None, None]})()
    assert find_gpu("FFFFFFFF:FF:1F.0") is None


class DrainingGpu:
    """A GPU whose memory is freed some time after the process that had it is dead."""

    def __init__(self):
        self.used = 1 << 30

    def used_bytes(self):
        if self.used > 1 << 30:
            self.used -= 10 << 20
        return self.used


def test_memory_of_a_gpu_is_waited_for(monkeypatch):
    gpu, slept_s = DrainingGpu(), []
    monkeypatch.setattr("replay.fleet.machine.find_gpu", lambda bus_id: gpu)
    clock = SimpleNamespace(monotonic=lambda: sum(slept_s), sleep=slept_s.append)
    monkeypatch.setattr("replay.fleet.machine.time", clock)
    facts = {"pci": [0, 0x3B, 0]}
    assert bus_id(facts) == "00000000:3B:00.0"
    release = release_of(facts)
    gpu.used = 3 << 30
    release()
    assert gpu.used <= (1 << 30) + SLACK_BYTES
    gpu.used = 3 << 30
    release_of(facts, n_workers=2)()
    assert gpu.used <= 1 << 30, "it was still falling"
    gpu.used = 3 << 30
    gpu.used_bytes = lambda: 3 << 30  # of others, who go on
    begun_s = clock.monotonic()
    release_of(facts, n_workers=2)()
    assert clock.monotonic() - begun_s == pytest.approx(SETTLED_S, abs=2 * POLL_S)
    # Somebody else took it.
    begun_s = clock.monotonic()
    release()
    assert clock.monotonic() - begun_s == pytest.approx(PATIENCE_S, abs=2 * POLL_S)
