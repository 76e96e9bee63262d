"""Workers that there are from the beginning, alone on devices or side by side: policies static and fractional."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads.catalogue import CatalogueEntry
from sim.policies import make_policy
from sim.policies.fractional import Fractional
from sim.policies.static import Static
from sim.protocol import Arrival, Finished, Run, Standing, Start, Stop
from sim.workload import bind
from tests.contract.scripted import FLEET_MEMORY_BYTES, FixedCosts, ScriptedWorld, functions
from tests.support import POOL, V100, ListTrace, ideal, own, poisson, scripted_fleet, simulate

EIGHTH = FLEET_MEMORY_BYTES // 8


def standing(name, n_gpus, memory_bytes):
    policy = make_policy(name)
    costs = FixedCosts([1.0] * len(memory_bytes), memory_bytes)
    policy.reset(scripted_fleet(n_gpus), functions(len(memory_bytes)), costs, np.random.default_rng(0))
    return policy.standing(scripted_fleet(n_gpus))


def test_static_functions_take_whole_gpus_in_turn():
    assert standing("static", 4, [1, 1]) == [Standing(d, d % 2, 1.0) for d in range(4)]


def test_the_first_worker_of_a_function_is_taken_first_and_then_the_most_recently_freed():
    script = [(0.0, 0, 2.0), (0.0, 0, 1.0), (5.0, 0, 1.0), (5.0, 0, 1.0), (5.0, 0, 1.0)]
    world = ScriptedWorld(make_policy("static"), 3, script, 1).run()
    assert [world.ran_on[i] for i in range(5)] == [0, 1, 0, 1, 2]


def test_static_refuses_more_functions_than_gpus():
    with pytest.raises(
        ScenarioError, match="no room for 3 functions on 2 GPUs: f2 needs 100% of one, and the emptiest has 0% left"
    ):
        standing("static", 2, [1, 1, 1])


@pytest.mark.parametrize(("n", "share"), [(4, 1.0), (8, 0.5), (12, 0.25), (16, 0.25), (20, 0.125), (32, 0.125)])
def test_fractional_thread_shares_are_whole_eighths(n, share):
    """kaas.md (d): 1, 2, 3, 4, 5 and 8 workers a GPU."""
    workers = standing("fractional", 4, [EIGHTH] * n)
    assert [w.device for w in workers] == [i % 4 for i in range(n)]
    assert {w.share for w in workers} == {share}


def test_fractional_fits_by_eighths_of_memory():
    """cGEMM's quarter: 16 clients fit on 4 GPUs, 17 don't (kaas.md (d))."""
    assert len(standing("fractional", 4, [EIGHTH + 1] * 16)) == 16
    with pytest.raises(ScenarioError, match=r"f16 needs 25% of one, and the emptiest has 0% left"):
        standing("fractional", 4, [EIGHTH + 1] * 17)


@pytest.mark.parametrize("name", ["static", "fractional"])
def test_a_function_keeps_to_its_own_workers_first_come_first_served(name):
    rng = np.random.default_rng(2)
    script = [(t / 4, int(f), d / 4) for t, f, d in zip(
        np.sort(rng.integers(0, 100, 60)), rng.integers(0, 2, 60), rng.integers(1, 8, 60), strict=True)]  # fmt: skip
    world = ScriptedWorld(make_policy(name), 3, script, 2).run()
    owner = [worker.function for worker in world.dispatcher.standing]
    assert all(owner[world.ran_on[i]] == function for i, (_, function, _) in enumerate(script))
    for function in (0, 1):
        starts = [world.ended[i][1] - d for i, (_, f, d) in enumerate(script) if f == function]
        assert starts == sorted(starts)


def compute(name, blocks, flops, n_kernels=4):
    """A graph that needs its blocks' worth of multiprocessors, and memory of a quarter GPU."""
    kernel = Kernel("k", "k", (blocks, 1, 1), (256, 1, 1), (BufferArg("c", Direction.IN),), flops=flops)
    return KernelGraph(name, (kernel,) * n_kernels, (Buffer("c", 3 * 10**9, Role.CONSTANT),))


def together(directory, graphs, at_s, function, *, per_kernel=False):
    """Each function on a share of the one GPU; the functions get graphs by the seed of the catalogue."""
    trace = ListTrace(at_s, function, [1.0] * len(at_s), len(graphs))
    catalogue = {g.name: CatalogueEntry(g, fresh_inputs=False) for g in graphs}
    workload = bind(trace, catalogue=catalogue)
    calibration = ideal(n_multiprocessors=V100.n_multiprocessors)
    return simulate(workload, make_policy("fractional"), directory, calibration=calibration, per_kernel=per_kernel)


def test_a_cap_stretches_a_kernel_by_waves_of_blocks(tmp_path):
    """160 blocks, one a multiprocessor: 2 waves on 80, 4 on the half, 8 on the quarter."""
    graph = compute("g", 160, 10**12)
    run_s = {}
    for n in (1, 2, 4):
        table = together(tmp_path / str(n), [graph] * n, [0.0], [0]).table("invocations")
        run_s[n] = table.run_s[0]
    assert run_s[2] == pytest.approx(2 * run_s[1])
    assert run_s[4] == pytest.approx(4 * run_s[1])


def test_workers_side_by_side_do_not_wait_for_each_other(tmp_path):
    graph = compute("g", 160, 10**12)
    alone = together(tmp_path / "alone", [graph] * 2, [0.0], [0]).table("invocations").run_s[0]
    both = together(tmp_path / "both", [graph] * 2, [0.0, 0.0], [0, 1]).table("invocations")
    assert list(both.run_s) == [alone, alone], "each has its own half of the multiprocessors"
    assert list(both.started_at_s) == [0.0, 0.0]


def test_a_device_is_busy_once_however_many_run_on_it(tmp_path):
    graph = compute("g", 160, 10**12)
    runs = [together(tmp_path / str(n), [graph] * 4, [0.0] * n, range(n)) for n in (1, 4)]
    assert runs[0].summary["gpu_busy_frac"] == pytest.approx(1.0)
    assert runs[1].summary["gpu_busy_frac"] == pytest.approx(1.0)
    devices = [run.table("devices") for run in runs]
    np.testing.assert_allclose(devices[1].busy_s, devices[0].busy_s)
    assert list(devices[1].n_started[:1]) == [4]


def test_a_kernel_at_a_time_ends_as_a_graph_at_a_time_where_nobody_is_in_the_way(tmp_path):
    graph = compute("g", 160, 10**12)
    frames = [
        together(tmp_path / str(k), [graph] * 2, [0.0, 0.1, 0.7], [0, 1, 0], per_kernel=k).table("invocations")
        for k in (False, True)
    ]
    pd.testing.assert_frame_equal(*frames, rtol=1e-12)


class Crowd(Fractional):
    """Two workers that may both use the whole device."""

    def standing(self, fleet):
        return [Standing(0, 0), Standing(0, 1)]


def test_shares_beyond_the_device_are_shared_out(tmp_path):
    """160 blocks want all multiprocessors, 40 the half: two of the first get half of their speed, of the second all."""
    for blocks, slower in ((160, 2.0), (40, 1.0)):
        run_s = {}
        for n in (1, 2):
            workload = bind(
                ListTrace([0.0] * n, range(n), [1.0] * n, 2),
                catalogue={"g": CatalogueEntry(compute("g", blocks, 10**12), fresh_inputs=False)},
            )
            calibration = ideal(n_multiprocessors=80)
            run = simulate(workload, Crowd(), tmp_path / f"{blocks}-{n}", calibration=calibration)
            run_s[n] = run.table("invocations").run_s
        np.testing.assert_allclose(run_s[2], slower * run_s[1][0])


class Replaces(Static):
    """Stops its worker when it is done for the first time, and starts another on its device."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Finished) and event.worker == 0:
            return (Stop(0), Start(1, 0, 0))
        if isinstance(event, Arrival):
            return (Run(event.invocation, 1 if now_s else 0),)
        return ()


def test_a_started_worker_waits_until_a_standing_one_is_gone_and_its_memory_free(tmp_path):
    workload = own(ListTrace([0.0, 2.0], [0, 0], [1.0, 1.0]))
    run = simulate(workload, Replaces(), tmp_path, calibration=POOL)
    workers = run.table("workers")
    assert list(workers.kill_release_s) == [0.0, V100.startup_s.kill_release + V100.startup_s.notice_period]
    assert list(workers.device) == [0, 0]
    assert list(run.table("invocations").cold) == [False, True]
    assert workers.stopped_at_s[0] == run.table("invocations").completed_at_s[0] == workers.requested_at_s[1]


class Inherits(Fractional):
    """Two workers on a device; a third is to have it when they are gone."""

    def standing(self, fleet):
        return [Standing(0, 0, 0.5), Standing(0, 1, 0.5)]

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            stops = (Stop(0), Stop(1), Start(2, 0, 0)) if event.invocation == 2 else ()
            return (Run(event.invocation, event.invocation if now_s == 0 else 1), *stops)
        return ()


def test_a_started_worker_waits_until_all_that_stand_on_its_device_are_gone(tmp_path):
    workload = bind(ListTrace([0.0, 0.0, 0.5], [0, 1, 1], [1.0] * 3, 2), catalogue=None)
    policy = Inherits()
    calibration = ideal(startup_s=replace(V100.startup_s, kill_release=4.0))
    run = simulate(workload, policy, tmp_path, calibration=calibration, sharing="turns")
    workers = run.table("workers")
    assert list(workers.stopped_at_s[:2]) == [1.0, 3.0]
    start = calibration.startup_s
    assert workers.ready_at_s[2] == pytest.approx(
        3.0 + 4.0 + start.notice_period + start.process + start.runtime + start.context + start.first_run
    )


def test_standing_workers_are_ready_without_a_cold_start(tmp_path):
    run = together(tmp_path, [compute("g", 10, 10**9)] * 3, [0.0], [0])
    workers = run.table("workers")
    assert list(workers.ready_at_s) == [0.0] * 3
    assert list(workers.function) == [0, 1, 2]
    assert set(workers.kind) == {"exclusive"}
    assert run.summary["cold_starts"] == 0


def test_the_same_load_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        trace = poisson(400, 40.0, "constant", 9, 3)
        together(tmp_path / name, [compute("g", 300, 10**11)] * 3, trace.at_s, trace.function)
    for table in ("invocations", "devices", "workers"):
        one, other = ((tmp_path / d / f"{table}.parquet").read_bytes() for d in ("a", "b"))
        assert one == other


def test_a_calibration_without_multiprocessors_can_not_share_a_device(tmp_path):
    calibration = replace(V100, n_multiprocessors=None)
    trace = ListTrace([0.0], [0], [1.0], 2)
    workload = bind(trace, catalogue={"g": CatalogueEntry(compute("g", 1, 1), False)})
    with pytest.raises(ScenarioError, match="n_multiprocessors is not given"):
        simulate(workload, make_policy("fractional"), tmp_path, calibration=calibration)
