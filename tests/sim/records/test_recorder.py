"""What is recorded: spans over intervals, derived columns, rows of what was not completed."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.runs import flatten
from sim.compose import assemble
from sim.domain import WorkerKind
from sim.loads import Clients, make_load
from sim.models.calibration import ByKind, Startup
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import known, make_policy
from sim.protocol import Arrival, Reject, Run
from sim.records import recorder, rows
from sim.records.intervals import DeviceSums, choose_interval_s, lengthen, spread_over, without_overlap
from sim.records.recorder import Recorder
from sim.records.tables import TABLES
from sim.records.totals import FEW, TIMES
from sim.scenario import FleetSettings
from sim.workload import bind
from tests.support import V100, ListTrace, ideal, own, poisson, simulate

SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20)


@given(SPANS)
def test_spans_are_spread_over_the_intervals_they_lie_in(spans):
    row, start, length = (np.array(c) for c in zip(*spans, strict=True))
    from_s, to_s = start / 4, (start + length) / 4
    sums = np.zeros((3, int(to_s.max() // 1.0) + 1))
    spread_over(sums, row, from_s, to_s, 1.0)
    expected = np.zeros_like(sums)
    for r, a, b in zip(row, from_s, to_s, strict=True):
        for i in range(sums.shape[1]):
            expected[r, i] += max(0.0, min(b, i + 1.0) - max(a, i))
    np.testing.assert_allclose(sums, expected, atol=1e-12)


@given(SPANS)
def test_time_that_several_spans_cover_counts_once(spans):
    row, start, length = (np.array(c) for c in zip(*spans, strict=True))
    from_s, to_s = start / 4, (start + length) / 4
    starts_s = without_overlap(row, from_s, to_s)
    assert (from_s <= starts_s).all()
    assert (starts_s <= to_s).all()
    kept, expected = np.zeros((3, 81)), np.zeros((3, 81))
    for r, a, kept_a, b in zip(row, start, 4 * starts_s, start + length, strict=True):
        expected[r, a:b] = 1
        kept[r, int(kept_a) : b] += 1
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize(
    ("duration_s", "interval_s"), [(0.0, 0.001), (60, 0.2), (3600, 10), (86_400, 300), (1e7, 3600)]
)
def test_intervals_are_round_and_few(duration_s, interval_s):
    assert choose_interval_s(duration_s) == interval_s


def test_files_have_the_schema_of_the_tables(tmp_path):
    simulate(own(poisson(50, 1.0, "constant", 0, 3)), make_policy("exclusive"), tmp_path)
    for table in TABLES:
        assert pq.read_schema(tmp_path / f"{table.name}.parquet").equals(table.schema)


def test_rows_stream_in_groups_and_are_all_there(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROWS_IN_BLOCK", 16)
    monkeypatch.setattr(recorder, "ROWS_IN_GROUP", 64)
    simulate(own(poisson(1000, 1.5, "exponential", 1, 7)), make_policy("affinity"), tmp_path, gpus=2)
    assert pq.ParquetFile(tmp_path / "invocations.parquet").num_row_groups == 16  # 15 of 64 rows and one of 40


class OneAtATime(known()["balance"]):
    """Rejects what can't start at once."""

    name = "one-at-a-time"

    def on_event(self, now_s, event, view):
        if type(event) is Arrival and not self._free:
            return (Reject(event.invocation, "busy"),)
        return super().on_event(now_s, event, view)


def test_a_rejected_invocation_has_a_row_with_its_reason(tmp_path):
    run = simulate(own(ListTrace([0.0, 1.0, 5.0], [0, 0, 0], [2.0, 1.0, 1.0])), OneAtATime(), tmp_path)
    row = run.table("invocations").set_index("invocation").loc[1]
    assert (row.status, row.reason, row.device, row.completed_at_s) == ("rejected", "busy", -1, 1.0)
    assert np.isnan(row.started_at_s)
    assert run.summary["rejected"] == 1
    assert run.summary["completed"] == 2


def test_every_interval_grows_to_round_multiples_of_itself():
    for duration_s in (1, 3, 8, 20, 80, 200, 800, 2_000, 8_000, 20_000, 50_000, 200_000, 10**7):
        interval_s = choose_interval_s(duration_s)
        for _ in range(12):
            longer_s = lengthen(interval_s)
            assert longer_s / interval_s == pytest.approx(round(longer_s / interval_s), abs=1e-9)
            assert 1 < longer_s / interval_s <= 10
            interval_s = longer_s
    assert [lengthen(s) for s in (0.005, 2.0, 10.0, 15.0, 20.0, 120.0, 3600.0)] == [0.01, 10, 30, 30, 60, 600, 7200]


@pytest.mark.parametrize("shared", [False, True])
def test_a_run_that_lasts_folds_its_intervals(monkeypatch, shared):
    monkeypatch.setattr("sim.records.intervals.N_INTERVALS", 8)
    rng = np.random.default_rng(3)
    start = np.sort(rng.random(200)) * 100
    row = {"started_at_s": start, "load_s": rng.random(200), "run_s": rng.random(200) * 3}
    row |= {"dispatch_s": rng.random(200) * start, "store_s": rng.random(200)}
    counts = ("n_started", "n_cold", "n_missed", "n_evicted", "h2d_bytes", "d2h_bytes")
    row |= {name: rng.integers(0, 9, 200).astype(float) for name in counts}
    device = rng.integers(0, 3, 200).astype(np.int32)
    sums = DeviceSums(3, 1.0)
    sums.shared = shared
    for part in np.array_split(np.arange(200), 9):
        sums.add(device[part], {name: values[part] for name, values in row.items()})
    sums.close()
    columns = sums.columns(np.zeros(8, dtype=np.int32))
    assert sums.interval_s == 30.0
    assert columns["start_at_s"].max() < 8 * 30.0
    whole = DeviceSums(3, 30.0)
    whole.shared = shared
    whole.add(device, row)
    whole.close()
    for name, values in whole.columns(np.zeros(8, dtype=np.int32)).items():
        np.testing.assert_allclose(columns[name], values, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_what_is_settled_on_the_way_adds_up_to_the_same(seed, n):
    rng = np.random.default_rng(seed)
    begun_s = np.sort(rng.integers(0, 40, n) / 4)
    row = {"started_at_s": begun_s + 0.25, "dispatch_s": np.full(n, 0.25), "store_s": rng.integers(0, 4, n) / 4}
    row |= {"load_s": rng.integers(0, 9, n) / 4, "run_s": rng.integers(0, 9, n) / 4}
    row |= dict.fromkeys(("n_started", "n_cold", "n_missed", "n_evicted", "h2d_bytes", "d2h_bytes"), np.ones(n))
    device = rng.integers(0, 2, n).astype(np.int32)
    whole, parts = DeviceSums(2, 1.0), DeviceSums(2, 1.0)
    for sums in (whole, parts):
        sums.shared = True
    whole.add(device, row)
    for part in np.array_split(np.arange(n), 4):
        parts.settle(begun_s[part[0]] if len(part) else 0.0)
        if len(part):
            parts.add(device[part], {name: values[part] for name, values in row.items()})
    assert parts.close() == pytest.approx(whole.close(), abs=1e-12)
    for name, values in whole.columns(np.zeros(8, dtype=np.int32)).items():
        np.testing.assert_allclose(parts.columns(np.zeros(8, dtype=np.int32))[name], values, atol=1e-12)


def test_of_workers_that_share_devices_only_what_is_under_way_is_kept(tmp_path, monkeypatch):
    catalogue = {"cGEMM": load_catalogue("kaas-authors")["cGEMM"]}
    trace = make_load("closed[outstanding=4,duration=60]").trace(Clients(6, "cGEMM"))
    settle, kept = DeviceSums.settle, []

    def watched(sums, until_s):
        settle(sums, until_s)
        kept.append(sum(len(device) for spans in sums._spans.values() for device, _, _ in spans))

    def devices(name):
        workload = bind(trace, catalogue=catalogue)
        return simulate(workload, make_policy("fractional"), tmp_path / name, gpus=2, calibration=V100).table("devices")

    whole = devices("whole")
    monkeypatch.setattr(rows, "ROWS_IN_BLOCK", 16)
    monkeypatch.setattr(recorder, "ROWS_IN_GROUP", 64)
    monkeypatch.setattr(DeviceSums, "settle", watched)
    parts = devices("parts")
    assert len(kept) > 20
    assert max(kept) < 64
    pd.testing.assert_frame_equal(parts, whole, atol=1e-9)


def test_counts_are_booked_when_an_invocation_starts_and_time_when_it_passes(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.compose.choose_interval_s", lambda duration_s: 1.0)
    trace = ListTrace([0.5], [0], [2.0])
    devices = simulate(own(trace), make_policy("balance"), tmp_path).table("devices")
    assert list(devices.start_at_s) == [0.0, 1.0, 2.0]
    assert list(devices.n_started) == [1, 0, 0]
    assert list(devices.h2d_bytes) == [1000, 0, 0]
    np.testing.assert_allclose(devices.busy_s, [0.5, 1.0, 0.5])


def test_devices_know_their_node(tmp_path):
    run = simulate(own(ListTrace([0.0] * 10, range(10), [1.0] * 10)), make_policy("balance"), tmp_path, gpus=10)
    assert dict(zip(*run.table("devices")[["device", "node"]].to_numpy().T, strict=True)) == {
        d: d // 8 for d in range(10)
    }


def test_the_summary_adds_up(tmp_path):
    run = simulate(own(ListTrace([0.0, 0.0, 0.0], [0, 1, 0], [1.0, 1.0, 4.0])), make_policy("balance"), tmp_path)
    assert run.summary["latency_s"] == {"mean": 3.0, "p50": 2.0, "p90": 5.2, "p99": 5.92, "p999": 5.992, "max": 6.0}
    assert run.summary["queue_s"]["mean"] == 1.0
    assert run.summary["gpu_busy_frac"] == 1.0
    assert run.summary["throughput_per_s"] == 0.5
    assert run.summary["cache_hit_frac"] == pytest.approx(1 / 3)
    progress = np.array([1 / 3.5, 1 / 2])
    assert run.summary["jain_fairness"] == pytest.approx(progress.sum() ** 2 / (2 * (progress**2).sum()))


def test_the_summary_says_whether_its_quantiles_are_exact_and_else_how_far_off(tmp_path):
    few, many = (
        simulate(own(poisson(n, 1.5, "exponential", 1, 7)), make_policy("affinity"), tmp_path / str(n), check=False)
        for n in (FEW, FEW + 1)
    )
    assert few.summary["quantiles"] == {"from": "values", "error_frac": 0.0}
    assert many.summary["quantiles"] == {"from": "histogram", "error_frac": 1 / 256}
    for run in (few, many):
        error_frac = run.summary["quantiles"]["error_frac"]
        table = run.table("invocations")
        for name, (from_at_s, to_at_s) in TIMES.items():
            times_s, found = table[to_at_s] - table[from_at_s], run.summary[name]
            for quantile, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)):
                assert found[quantile] == pytest.approx(times_s.quantile(share), rel=error_frac + 1e-12, abs=1e-15)
            assert (found["mean"], found["max"]) == (pytest.approx(times_s.mean(), rel=1e-12), times_s.max())


class Fickle(known()["exclusive"]):
    """Rejects every third arrival."""

    name = "fickle"

    def on_event(self, now_s, event, view):
        if type(event) is Arrival and event.invocation % 3 == 0:
            return (Reject(event.invocation, f"third {event.invocation % 2}"),)
        return super().on_event(now_s, event, view)


def test_workers_and_what_did_not_complete_stream_in_groups_too(tmp_path, monkeypatch):
    workload = own(poisson(1000, 1.5, "exponential", 1, 7))
    whole = simulate(workload, Fickle(), tmp_path / "whole", gpus=2)
    monkeypatch.setattr(rows, "ROWS_IN_BLOCK", 16)
    monkeypatch.setattr(recorder, "ROWS_IN_GROUP", 64)
    parts = simulate(workload, Fickle(), tmp_path / "parts", gpus=2)
    n_cold = len(whole.table("workers"))
    assert n_cold > 64
    assert pq.ParquetFile(parts.path / "workers.parquet").num_row_groups == -(-n_cold // 64)
    invocations = pq.ParquetFile(parts.path / "invocations.parquet")
    n_completed, n_rejected = parts.summary["completed"], parts.summary["rejected"]
    assert n_rejected == 334
    assert invocations.num_row_groups == -(-n_completed // 64) + -(-n_rejected // 64)
    for name, key in (("invocations", "invocation"), ("workers", "worker")):
        expected, found = (run.table(name).sort_values(key, ignore_index=True) for run in (whole, parts))
        pd.testing.assert_frame_equal(found, expected, check_categorical=False)
    pd.testing.assert_frame_equal(parts.table("devices"), whole.table("devices"))
    for name, value in flatten(whole.summary).items():
        exact = value is None or isinstance(value, str)
        assert flatten(parts.summary)[name] == (value if exact else pytest.approx(value, rel=1e-12))


def test_what_a_recorder_holds_does_not_grow_with_the_number_of_rows(tmp_path, monkeypatch):
    """Each block is run by a worker that is then gone, and as many invocations are rejected."""
    monkeypatch.setattr(recorder, "ROWS_IN_GROUP", 256)
    workload = own(ListTrace([0.0], [0], [1.0]))
    inputs = assemble(workload, make_policy("balance"), ideal(), FleetSettings(gpus=1))
    recording = recorder.Recorder(tmp_path, workload, inputs.fleet, inputs.costs, 1.0)
    n, nan = 64, float("nan")

    def held_bytes(n_blocks):
        for number in range(held_bytes.done, n_blocks):
            block = dict.fromkeys(rows.COLUMNS, np.zeros(n))
            block |= {
                "worker": np.full(n, float(number)),
                "batch": np.ones(n),
                "run_s": np.random.default_rng(number).random(n),
            }
            recording.worker_device.append(0)
            recording.worker(number, WorkerKind.EXCLUSIVE, 0, (0.0, 0.0, 1.0), None, 0)
            recording.completed(block | {"completed_at_s": block["run_s"]})
            for i in range(n):
                recording.ended(i, 0, 0.0, 0.0, 0.0, 1.0, "rejected", f"reason {number % 9}", started_at_s=nan)
        held_bytes.done = n_blocks
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    held_bytes.done = 0
    tracemalloc.start()
    try:
        early, late = held_bytes(400), held_bytes(1200)
    finally:
        tracemalloc.stop()
    recording.close()
    assert pq.read_metadata(tmp_path / "invocations.parquet").num_rows == 2 * 1200 * n
    assert pq.read_metadata(tmp_path / "workers.parquet").num_rows == 1200
    assert late - early < 20_000  # less than a byte for each of 102,400 rows


def test_evictions_and_loads_are_counted_in_order(tmp_path):
    calibration = ideal()
    trace = ListTrace([0.0, 10.0, 20.0, 30.0], [0, 1, 0, 0], [1.0] * 4, memory_bytes=9_000_000_000)
    run = simulate(own(trace), make_policy("balance"), tmp_path, calibration=calibration)
    rows = run.table("invocations")
    assert list(rows.n_evicted) == [0, 1, 1, 0]
    assert list(rows.constant_bytes) == [9_000_000_000] * 3 + [0]
    assert run.table("devices").n_missed.sum() == 3


def test_time_of_the_host_is_told_by_the_calibration_and_leaves_the_device_idle(tmp_path):
    trace = ListTrace([0.0, 10.0], [0, 0], [1.0, 1.0])
    run = simulate(
        own(trace), make_policy("balance"), tmp_path, calibration=ideal(host_s=ByKind(kaas=0.5, exclusive=0))
    )
    rows = run.table("invocations")
    assert list(rows.host_s) == [0.5, 0.5]
    assert list(rows.completed_at_s) == [1.5, 11.5]
    devices = run.table("devices")
    assert devices.busy_s.sum() == pytest.approx(2.0)
    assert devices.load_s.sum() == pytest.approx(0.0, abs=1e-9)


class Told(Recorder):
    """A recorder that is told when workers took their device, and whose invocations have a measured host_s."""

    def worker(self, *args, **more):
        super().worker(*args, **more, took_device_at_s=0.25)

    def completed(self, block):
        host_s = np.full(len(block["invocation"]), 0.125)
        super().completed({**block, "host_s": host_s, "completed_at_s": block["completed_at_s"] + host_s})


def test_a_world_tells_of_the_host_and_of_starts_what_it_measures(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.compose.Recorder", Told)
    start = Startup(kill_release=0.0, process=1.0, runtime=0.0, context=0.0, first_run=0.0)
    run = simulate(
        own(ListTrace([1.0], [0], [1.0])), make_policy("exclusive"), tmp_path, calibration=ideal(startup_s=start)
    )
    assert run.table("workers").ready_at_s[0] == pytest.approx(2.0)
    assert run.table("devices").startup_s.sum() == pytest.approx(1.75)
    assert run.table("invocations").host_s[0] == 0.125


def test_run_is_an_action_of_the_policy_not_of_the_world():
    assert Run(1, 2) == Run(1, 2) != Run(1, 3)
    assert repr(Run(1, 2)) == "Run(invocation=1, worker=2)"


def test_a_run_without_a_worker_can_be_recorded(tmp_path):
    class NoOne(known()["exclusive"]):
        """Rejects everything."""

        def on_event(self, now_s, event, view):
            return (Reject(event.invocation, "closed"),)

    run = simulate(own(ListTrace([0.0], [0], [1.0])), NoOne(), tmp_path)
    assert len(run.table("workers")) == 0
    assert run.summary["rejected"] == 1
