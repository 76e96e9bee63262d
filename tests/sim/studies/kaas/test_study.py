"""The study around the simulator: warm fleets, processes, ablations, the micro-benchmark, the earlier generation."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sim.domain import DeviceSpec, FleetSpec
from sim.errors import RunError
from sim.loads import Clients, make_load
from sim.policies.exclusive import Exclusive
from sim.policies.exclusive_random import ExclusiveRandom
from sim.protocol import Arrival, Finished, Stop
from sim.studies.kaas.ablation import ABLATIONS
from sim.studies.kaas.experiments import SETUPS, Point
from sim.studies.kaas.micro import micro
from sim.studies.kaas.run import measure, simulate_points
from sim.studies.kaas.variations import instant_dispatch, no_headroom
from sim.studies.kaas.warm import Warmed
from sim.studies.processes import in_processes
from tests.support import opaque_functions

ARXIV = SETUPS["arxiv"]


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


def test_a_process_that_dies_is_told():
    with pytest.raises(RunError, match="a process died"):
        in_processes(os._exit, [1, 2], cost=float, jobs=2)


def test_a_refused_point_has_a_note():
    point = Point("cGEMM", "fractional", 17)
    result = simulate_points("arxiv", {point: True}, 0, jobs=1)[point]
    assert result.throughput_qps is None
    assert "functions on 4 GPUs: " in result.note


def test_every_ablation_changes_something():
    for ablation in ABLATIONS:
        system = ARXIV.system(ablation.points[0])
        assert ablation.change(system) != system, ablation.without


def test_without_headroom_the_knee_is_gone():
    point = Point("cGEMM", "kaas", 29)
    assert measure(no_headroom(ARXIV.system(point)), point, 0, wants_latency=False).throughput_qps > 80


def test_without_dispatch_no_graph_has_one_of_its_own():
    calibration = instant_dispatch(ARXIV.system(Point("jacobi", "kaas", 4))).calibration
    own = [costs.dispatch_s for kinds in calibration.graphs.values() for costs in kinds.values()]
    assert {calibration.dispatch_s.kaas, calibration.dispatch_s.exclusive, *own} == {0.0}


def test_the_micro_benchmark_costs_what_was_measured():
    rows = {(row["mode"], row["temperature"]): row for row in micro(0)}
    assert list(rows) == [("kaas", "warm"), ("kaas", "cold"), ("exclusive", "warm"), ("exclusive", "cold")]
    for call, row in rows.items():
        assert abs(row["again_error_frac"]) < 0.20
        if call != ("exclusive", "cold"):  # whose start took 0.4 s in the first run and 1.5 s in the later
            assert abs(row["error_frac"]) < 0.15
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


def test_in_the_dissertation_bert_collapses_earlier_since_its_results_have_buffers_of_their_own():
    """1.8 GB of them leave room for the constants of 11 clients on a GPU, where 38 MB leave room for 12."""
    dissertation, arxiv = SETUPS["dissertation"], ARXIV.entries()
    ten, thirteen = (
        measure(dissertation.system(p), p, 0, wants_latency=False).throughput_qps
        for p in (Point("bert", "kaas_balance", n) for n in (10, 13))
    )
    assert thirteen < 0.7 * ten
    shared = replace(dissertation.system(Point("bert", "kaas_balance", 13)), entry=arxiv["bert"])
    assert measure(shared, Point("bert", "kaas_balance", 13), 0, wants_latency=False).throughput_qps > 1.2 * thirteen


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
