"""The simulated world: by hand, lumping, order at equal times, determinism, cost in events."""

from __future__ import annotations

import gc
from dataclasses import replace
from heapq import heappush
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sim.compose import assemble
from sim.domain import Buffer, BufferArg, Direction, FleetSpec, Kernel, KernelGraph, Role
from sim.engine import clock as clock_module
from sim.engine.clock import Clock
from sim.engine.hardware import make_devices
from sim.engine.simulation import Simulation
from sim.loads import Clients, make_load
from sim.models.calibration import ByKind, Copies, GraphCosts, Startup, load_calibration
from sim.models.workloads.catalogue import CatalogueEntry
from sim.policies import known, make_policy
from sim.protocol import ANY_DEVICE, Arrival, Run, Start, Stop, WorkerReady
from sim.records.recorder import Recorder
from sim.records.results import Run as Result
from sim.scenario import FleetSettings
from sim.workload import bind
from tests.support import ELASTIC, POOL, ListTrace, ideal, own, poisson, simulate

V100 = load_calibration("v100-kaas")


def graph(name="g", n_kernels=3, constants=(1000,), n_iter=2, flops=10**9):
    buffers = tuple(Buffer(f"c{i}", size, Role.CONSTANT) for i, size in enumerate(constants))
    args = (*(BufferArg(b.name, Direction.IN) for b in buffers), BufferArg("out", Direction.OUT))
    kernel = Kernel("k", "k", (1, 1, 1), (1, 1, 1), args, flops=flops)
    io = (Buffer("in", 5000, Role.INPUT), Buffer("out", 7000, Role.OUTPUT))
    return KernelGraph(name, (kernel,) * n_kernels, (*buffers, *io), n_iter)


def catalogued(trace, *graphs):
    return bind(trace, catalogue={g.name: CatalogueEntry(g, fresh_inputs=True) for g in graphs})


def rows(run):
    return run.table("invocations").sort_values("invocation").reset_index(drop=True)


def test_one_invocation_by_hand(tmp_path):
    workload = own(ListTrace([2.0], [0], [3.0]))
    calibration = ideal(
        dispatch_s=replace(V100.dispatch_s, kaas=0.5),
        copies=replace(V100.copies, h2d_first_bytes_per_s=4000.0),
        executor_first_use_s=0.25,
        module_s=replace(V100.module_s, kaas=0.125),
    )
    row = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration)).iloc[0]
    assert row.queued_at_s == 2.0
    assert row.started_at_s == 2.5  # dispatch
    assert row.load_s == 0.25 + 0.125 + 1000 / 4000  # first use, one module, constants
    assert row.completed_at_s == 2.5 + row.load_s + 3.0
    assert (row.h2d_bytes, row.constant_bytes, row.d2h_bytes) == (1000, 1000, 0)


def test_functions_of_one_graph_share_its_modules(tmp_path):
    workload = catalogued(ListTrace([0.0, 10.0], [0, 1], [1.0, 1.0]), graph("a"))
    calibration = ideal(module_s=replace(V100.module_s, kaas=0.5), executor_first_use_s=0.25)
    table = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration))
    np.testing.assert_allclose(table.load_s, [0.75, 0.25])


def test_functions_of_which_only_durations_are_known_have_modules_of_their_own(tmp_path):
    workload = own(ListTrace([0.0, 10.0], [0, 1], [1.0, 1.0]))
    calibration = ideal(module_s=replace(V100.module_s, kaas=0.5))
    table = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration))
    np.testing.assert_allclose(table.load_s, [0.5, 0.5])


@pytest.mark.parametrize(("eviction", "evicted"), [("kaas", [0, 0, 0, 0, 1, 1]), ("lru", [0, 0, 0, 0, 1, 0])])
def test_executors_evict_by_the_strategy_of_the_calibration(tmp_path, eviction, evicted):
    """Function 0 has three uses and the older ones when 2 needs room, so that LRU takes it and KaaS the other."""
    function = [0, 0, 0, 1, 2, 1]
    workload = own(ListTrace(np.arange(6.0), function, [0.5] * 6, memory_bytes=7 * 10**9))
    calibration = ideal(executor=replace(ideal().executor, eviction=eviction))
    table = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration))
    assert list(table.n_evicted) == evicted


def test_every_dispatch_takes_its_time_and_a_worker_that_is_busy_does_not_wait_for_it(tmp_path):
    workload = own(ListTrace([0.0] * 4, range(4), [1.0] * 4))
    calibration = ideal(dispatch_s=replace(V100.dispatch_s, kaas=0.25))
    for policy, started in (("balance", [0.25, 0.25, 1.5, 1.5]), ("least-loaded", [0.25, 0.25, 1.25, 1.25])):
        table = rows(simulate(workload, make_policy(policy), tmp_path / policy, gpus=2, calibration=calibration))
        assert list(table.started_at_s) == started


@pytest.mark.parametrize("name", ELASTIC)
def test_a_kernel_at_a_time_changes_nothing(tmp_path, name):
    trace = poisson(300, 30.0, "constant", 3, 6)
    workload = catalogued(trace, graph("a"), graph("b", 5, (10**8, 10**9), 1), graph("c", 1, (3 * 10**9,), 4))
    tables = {}
    for per_kernel in (False, True):
        run = simulate(
            workload, make_policy(name), tmp_path / str(per_kernel), gpus=2, calibration=V100, per_kernel=per_kernel
        )
        tables[per_kernel] = [run.table(t) for t in ("invocations", "devices", "workers")]
    for lumped, stepped in zip(tables[False], tables[True], strict=True):
        pd.testing.assert_frame_equal(lumped, stepped, check_exact=True)


def over_links(directory, workload, calibration):
    """Rows of the workload on 2 GPUs: with a link each, and with one for both."""
    for n in (1, 2):
        run = simulate(
            workload, make_policy("balance"), directory / str(n), gpus=2, calibration=calibration, gpus_per_link=n
        )
        yield rows(run)


def test_copies_over_a_shared_link_queue(tmp_path):
    workload = own(ListTrace([0.0, 0.0], [0, 1], [1.0, 1.0], memory_bytes=4000))
    slow = ideal(copies=replace(V100.copies, h2d_first_bytes_per_s=1000.0, h2d_bytes_per_s=1e30, d2h_bytes_per_s=1e30))
    assert [list(table.load_s) for table in over_links(tmp_path, workload, slow)] == [[4.0, 4.0], [4.0, 8.0]]


def test_who_has_nothing_to_copy_does_not_wait_for_the_link(tmp_path):
    """The last finds its constants resident, while the one before loads its own over the same link."""
    slow = ideal(copies=replace(V100.copies, h2d_first_bytes_per_s=1000.0))
    workload = own(ListTrace([0.0, 1.0, 10.0, 10.0], [0, 1, 2, 1], [2.0, 1.0, 9.0, 1.0], memory_bytes=4000))
    table = rows(simulate(workload, make_policy("least-loaded"), tmp_path, gpus=2, calibration=slow, gpus_per_link=2))
    assert list(table.device) == [0, 1, 0, 1]
    assert list(table.load_s) == [4.0, 7.0, 4.0, 0.0]


def test_outputs_over_a_shared_link_queue(tmp_path):
    slow = ideal(copies=Copies(h2d_first_bytes_per_s=1e30, h2d_bytes_per_s=1e30, d2h_bytes_per_s=1000.0))
    workload = catalogued(ListTrace([0.0, 0.0], [0, 1], [1.0, 1.0]), graph("a", flops=0))
    ends_s = [list(table.completed_at_s) for table in over_links(tmp_path, workload, slow)]
    np.testing.assert_allclose(ends_s, [[7.0, 7.0], [7.0, 14.0]], rtol=1e-9)


def test_cold_starts_over_a_shared_link_queue(tmp_path):
    slow = ideal(copies=replace(V100.copies, h2d_bytes_per_s=1000.0), startup_s=replace(V100.startup_s, first_run=0.25))
    workload = own(ListTrace([0.0, 0.0], [0, 1], [1.0, 1.0], memory_bytes=4000))
    run = simulate(workload, make_policy("exclusive"), tmp_path, gpus=2, calibration=slow, gpus_per_link=2)
    workers = run.table("workers")
    assert list(workers.constants_s) == [4.0, 8.0]
    stages = [c for c in workers.columns if c.endswith("_s") and not c.endswith("_at_s")]
    np.testing.assert_allclose(workers[stages].sum(axis=1), workers.ready_at_s)


def test_links_are_shared_within_a_node_only():
    fleet = FleetSpec(V100.spec, n_gpus=6, gpus_per_node=3, gpus_per_link=2)
    links = [device.h2d for device in make_devices(fleet)]
    numbers = [links.index(link) for link in links]
    assert numbers == [0, 0, 2, 3, 3, 5]


@pytest.mark.parametrize(
    ("name", "halt_s", "unfinished"),
    [
        ("exclusive", 1.0, [(-1, None), (-1, None)]),  # the worker is starting
        ("balance", 0.25, [(0, None), (-1, None)]),  # the first is being dispatched
        ("balance", 1.0, [(0, 0.5), (-1, None)]),  # it runs
        ("balance", 20.0, [(0, 10.5)]),  # the second runs
    ],
)
def test_what_is_half_done_when_a_run_breaks_off_is_unfinished(tmp_path, monkeypatch, name, halt_s, unfinished):
    run_out = Clock.run_out
    monkeypatch.setattr(Clock, "run_out", lambda clock: (clock.call(halt_s, 0, Clock.halt), run_out(clock)))
    workload = own(ListTrace([0.0, 0.0], [0, 0], [9.5, 30.0], mean_s=20.0))
    calibration = ideal(dispatch_s=ByKind(0.5, 0.5), startup_s=replace(V100.startup_s, process=3.0))
    run = simulate(workload, make_policy(name), tmp_path, calibration=calibration)
    left = rows(run)[rows(run).status == "unfinished"]
    found = [(row.worker, None if np.isnan(row.started_at_s) else row.started_at_s) for row in left.itertuples()]
    assert found == unfinished
    assert run.summary["completed"] == 2 - len(unfinished)
    assert list(run.table("workers").h2d_bytes) == [0]
    assert run.table("workers").stopped_at_s.isna().all()


class Fickle(known()["exclusive"]):
    """Starts a second worker behind the first, and stops it before it gets the device."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            return (Start(0, 0, 0), Run(0, 0), Stop(0), Start(1, 0, 0), Stop(1))
        return ()


def test_a_worker_that_waits_for_its_device_can_be_stopped(tmp_path):
    run = simulate(own(ListTrace([2.0], [0], [50.0])), Fickle(), tmp_path, calibration=POOL)
    workers = run.table("workers")
    assert list(workers.worker) == [0, 1]
    worker = workers.loc[1]
    assert (worker.requested_at_s, worker.stopped_at_s, worker.device, worker.h2d_bytes) == (2.0, 2.0, -1, 0)
    assert np.isnan(worker.ready_at_s)
    assert run.summary["completed"] == 1


class Anywhere(known()["exclusive"]):
    """A worker for every invocation, on any device; for the fourth one on device 0."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            i = event.invocation
            return (Start(i, 0 if i == 3 else ANY_DEVICE, event.function), Run(i, i), Stop(i))
        return ()


@pytest.mark.parametrize(
    ("first_s", "devices", "starts_s"),
    [(5.0, [0, 1, 1, 0, 1], [0.0, 0.0, 1.0, 5.0, 2.0]), (0.5, [0, 1, 1, 0, 0], [0.0, 0.0, 1.0, 0.5, 1.5])],
)
def test_a_start_on_any_device_takes_the_first_that_is_free(tmp_path, first_s, devices, starts_s):
    """Device 0 goes first to the worker that wants no other, though one for any is in line before it."""
    trace = ListTrace([0.0] * 5, [0, 1, 2, 3, 4], [first_s, 1.0, 1.0, 1.0, 5.0])
    zero = Startup(kill_release=0, process=0, runtime=0, context=0, first_run=0)
    run = simulate(own(trace), Anywhere(), tmp_path, gpus=2, calibration=ideal(startup_s=zero))
    assert list(rows(run).device) == list(run.table("workers").device) == devices
    np.testing.assert_allclose(rows(run).started_at_s, starts_s, atol=1e-9)


def test_a_device_that_was_left_takes_the_next_worker_that_is_started(tmp_path):
    trace = ListTrace([0.0, 100.0, 200.0], [0, 1, 2], [1.0] * 3)
    run = simulate(own(trace), Anywhere(), tmp_path, gpus=2, calibration=POOL)
    assert list(rows(run).device) == [0, 0, 0]
    assert list(run.table("workers").requested_at_s) == [0.0, 100.0, 200.0]
    assert run.summary["completed"] == 3


class Onlooker(known()["exclusive"]):
    """A worker on any device for every invocation; notes the belief of where each is when it gets ready."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            return (Start(event.invocation, ANY_DEVICE, event.function), Run(event.invocation, event.invocation))
        if isinstance(event, WorkerReady):
            self.devices.append(view.workers[event.worker].device)
        return ()


def test_a_policy_is_told_which_device_a_worker_got(tmp_path):
    policy = Onlooker()
    policy.devices = []
    run = simulate(own(ListTrace([0.0, 1.0], [0, 1], [1.0] * 2)), policy, tmp_path, gpus=2, calibration=POOL)
    assert policy.devices == list(run.table("workers").device) == [0, 1]


def test_the_cold_start_ladder_of_an_exclusive_worker(tmp_path):
    # One GPU, two functions: the second start has a victim, the third invocation finds its worker warm.
    workload = catalogued(ListTrace([0.0, 100.0, 200.0], [0, 1, 1], [1.0] * 3), graph("a"))
    start = replace(V100.startup_s, kill_release=1.5, first_run=0.25, notice_period=0.0)
    run = simulate(workload, make_policy("exclusive"), tmp_path, calibration=replace(POOL, startup_s=start))
    workers, table = run.table("workers"), rows(run)
    assert list(table.cold) == [True, True, False]
    assert list(workers.kill_release_s) == [0.0, start.kill_release]
    assert (workers.process_s == start.process).all()
    assert (workers.modules_s == V100.module_s.exclusive).all()
    np.testing.assert_allclose(workers.constants_s, 1000 / V100.copies.h2d_bytes_per_s)
    stages = [c for c in workers.columns if c.endswith("_s") and not c.endswith("_at_s")]
    np.testing.assert_allclose(workers[stages].sum(axis=1), workers.ready_at_s - [0.0, 100.0])
    assert list(table.started_at_s[:2]) == list(workers.ready_at_s)
    assert workers.stopped_at_s[0] == 100.0
    assert np.isnan(workers.stopped_at_s[1])
    assert run.summary["cold_starts"] == 2


def test_a_robbed_busy_worker_finishes_before_the_thief_starts(tmp_path):
    workload = own(ListTrace([0.0, 0.5], [0, 1], [10.0, 1.0], 2))
    start = replace(V100.startup_s, kill_release=1.5)
    run = simulate(workload, make_policy("exclusive"), tmp_path, calibration=replace(POOL, startup_s=start))
    table, workers = rows(run), run.table("workers")
    assert workers.stopped_at_s[0] == table.completed_at_s[0]
    assert workers.kill_release_s[1] == 1.5 + start.notice_period
    assert table.started_at_s[1] >= table.completed_at_s[0] + workers.kill_release_s[1]


@pytest.mark.parametrize(("idle_s", "notices_s"), [(0.0, 4.0), (1.0, 3.0), (4.0, 4.0), (11.0, 1.0)])
def test_an_idle_victim_notices_in_what_is_left_of_its_period(tmp_path, idle_s, notices_s):
    zero = Startup(kill_release=0.5, process=0, runtime=0, context=0, first_run=0, notice_period=4.0)
    workload = own(ListTrace([0.0, 2.0 + idle_s], [0, 1], [2.0, 1.0], 2))
    run = simulate(workload, make_policy("exclusive"), tmp_path, calibration=ideal(startup_s=zero))
    assert list(run.table("workers").kill_release_s) == [0.0, notices_s + 0.5]
    assert rows(run).started_at_s[1] == 2.0 + idle_s + notices_s + 0.5


def test_of_equal_times_the_completion_goes_before_the_arrival(tmp_path):
    # Device 0 is free again at exactly 3.0, when the second invocation arrives: it must not go to device 1.
    log = []
    workload = own(ListTrace([1.0, 3.0], [0, 0], [2.0, 1.0]))
    simulate(
        workload, make_policy("balance"), tmp_path, gpus=2, log=lambda now, event, acts: log.append((now, type(event)))
    )
    assert [name.__name__ for now, name in log if now == 3.0] == ["Finished", "Arrival"]


def test_equal_times_in_order_of_arrival_and_of_cause(tmp_path):
    log = []
    workload = own(ListTrace([0.0] * 4, [3, 1, 2, 0], [1.0] * 4))
    simulate(workload, make_policy("balance"), tmp_path, gpus=4, log=lambda now, event, acts: log.append((now, event)))
    assert [e.invocation for _, e in log] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [now for now, _ in log] == [0.0] * 4 + [1.0] * 4


@pytest.mark.parametrize(("name", "n_gpus"), [("affinity", 8), ("balance", 2), ("least-loaded", 1)])
def test_an_invocation_costs_two_events(tmp_path, monkeypatch, name, n_gpus):
    pushed = []
    monkeypatch.setattr(clock_module, "heappush", lambda queue, item: (pushed.append(item), heappush(queue, item)))
    simulate(own(poisson(1000, 0.8 * n_gpus, "exponential", 1, 20)), make_policy(name), tmp_path, gpus=n_gpus)
    assert len(pushed) == 2 * 1000


@pytest.mark.parametrize(("pre_s", "server_s", "n_events"), [(0.0, 0.0, 2), (0.1, 0.0, 3), (0.1, 10.0, 4 - 1 / 50)])
def test_what_is_in_the_way_to_the_pool_costs_an_event_each(tmp_path, monkeypatch, pre_s, server_s, n_events):
    """A host stage, and the wait for the server, which all but the first have."""
    pushed = []
    monkeypatch.setattr(clock_module, "heappush", lambda queue, item: (pushed.append(item), heappush(queue, item)))
    costs = GraphCosts(run_s=0.0, pre_s=pre_s, post_s=0.5)
    frontend = replace(V100.frontend, server_s=ByKind(server_s, server_s))
    calibration = ideal(frontend=frontend, graphs={"opaque": {"kaas": costs}})
    simulate(
        own(ListTrace(np.arange(50), [0] * 50, [0.5] * 50)), make_policy("balance"), tmp_path, calibration=calibration
    )
    assert len(pushed) == n_events * 50


@pytest.mark.parametrize(("name", "gpus_per_link"), [("exclusive", 1), ("exclusive", 2), ("affinity", 2)])
def test_the_loop_leaves_nothing_to_garbage_collection(tmp_path, monkeypatch, name, gpus_per_link):
    """It is off while the loop runs: a cycle of objects an invocation would fill the memory."""
    found = []
    run_out = Clock.run_out

    def counted(clock):
        gc.collect()
        run_out(clock)
        found.append(gc.collect())

    monkeypatch.setattr(Clock, "run_out", counted)
    workload = own(poisson(300, 3.0, "exponential", 1, 9))
    simulate(workload, make_policy(name), tmp_path, gpus=2, gpus_per_link=gpus_per_link, calibration=POOL)
    assert found == [0]


def test_a_failing_event_of_simpy_is_not_swallowed():
    time = Clock()

    def fails():
        yield time.timeout(1.0)
        raise ValueError("broken model")

    time.process(fails())
    with pytest.raises(ValueError, match="broken model"):
        time.run_out()


def test_running_out_is_simpys_run():
    orders = []
    for run in ("run", "run_out"):
        time, order = Clock(), []

        def process(name, time=time, order=order):
            for _ in range(5):
                yield time.timeout(name % 3)
                order.append((time.now, name))

        for name in range(7):
            time.process(process(name))
        getattr(time, run)()
        orders.append(order)
    assert orders[0] == orders[1]


@pytest.mark.parametrize("name", ELASTIC)
def test_the_same_seed_gives_the_same_bytes(tmp_path, name):
    for directory in ("a", "b"):
        workload = catalogued(poisson(500, 40.0, "constant", 9, 30), graph("a"), graph("b", 2, (10**9, 10**9)))
        simulate(workload, make_policy(name), tmp_path / directory, gpus=2, calibration=V100)
    for table in ("invocations", "devices", "workers", "functions"):
        one, other = (tmp_path / d / f"{table}.parquet" for d in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()


def test_two_simulations_at_once_do_not_see_each_other(tmp_path):
    """Step two simulations alternately in one process: each ends as if it were alone."""
    workload = own(poisson(400, 1.5, "exponential", 2, 10))
    alone = rows(simulate(workload, make_policy("affinity"), tmp_path / "alone", gpus=2))
    recorders, simulations = [], []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        inputs = assemble(workload, make_policy("affinity"), ideal(), FleetSettings(gpus=2))
        recorders.append(Recorder(tmp_path / name, workload, inputs.fleet, inputs.costs, 1.0))
        simulations.append(Simulation(inputs, recorders[-1], None, None))
        simulations[-1]._doors.open()
    clocks = [simulation._clock for simulation in simulations]
    while any(clock.peek() < float("inf") for clock in clocks):
        for clock in clocks:
            if clock.peek() < float("inf"):
                clock.step()
    for name, simulation, recorder in zip(("one", "other"), simulations, recorders, strict=True):
        simulation.close()
        recorder.close()
        pd.testing.assert_frame_equal(rows(Result(tmp_path / name, {}, {})), alone)


def test_chunks_of_a_trace_do_not_matter(tmp_path):
    frames = []
    for chunk in (1, 7, 10_000):
        trace = poisson(200, 40.0, "constant", 4, 8)
        trace.chunk = chunk
        workload = catalogued(trace, graph("resnet50"), graph("bert", 2))
        frames.append(rows(simulate(workload, make_policy("affinity"), tmp_path / str(chunk), calibration=POOL)))
    for one, other in pairwise(frames):
        pd.testing.assert_frame_equal(one, other)


def test_progress_counts_the_arrivals(tmp_path):
    told = []
    trace = poisson(250, 40.0, "constant", 4, 8)
    trace.chunk = 100
    simulate(own(trace), make_policy("affinity"), tmp_path / "trace", progress=told.append)
    assert told == [100, 100, 50]
    told.clear()
    loop = make_load("nshot[n=7]").trace(Clients(3, "g"))
    simulate(own(loop), make_policy("affinity"), tmp_path / "loop", progress=told.append)
    assert told == [3] + [1] * 18


def test_a_trace_without_arrivals_ends_at_once(tmp_path):
    run = simulate(own(ListTrace([], [], [], n_functions=1)), make_policy("affinity"), tmp_path)
    assert run.summary["invocations"] == 0
    assert run.summary["latency_s"]["p50"] is None
