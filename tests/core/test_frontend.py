"""The way between clients and pool: gate, cores, server; by hand, and against queueing theory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.models.calibration import ByKind, Frontend
from sim.models.frontend import Cores, Gate, Server
from sim.policies import make_policy
from tests.support import V100, ListTrace, ideal, own, poisson, simulate

OPEN = Frontend(transport_s=0.0, server_s=ByKind(0.0, 0.0), cores=1000, max_outstanding=10**9, resume_frac=0.8)


def rows(run):
    return run.table("invocations").sort_values("invocation").reset_index(drop=True)


def staged(pre_s=0.0, post_s=0.0, **frontend):
    """A GPU on which nothing but host stages, the trace's own durations and this frontend take time."""
    costs = replace(V100.graphs["jacobi"]["kaas"], run_s=0.0, pre_s=pre_s, post_s=post_s)
    return ideal(frontend=replace(OPEN, **frontend), graphs={"opaque": {"kaas": costs}})


def test_cores_take_stages_in_order():
    cores = Cores(2)
    assert [cores.reserve(0.0, d) for d in (3.0, 1.0, 1.0, 1.0)] == [3.0, 1.0, 2.0, 3.0]
    assert cores.reserve(2.5, 0.0) == 2.5, "a stage of no length needs no core"


def test_the_gate_closes_above_the_limit_and_opens_below_the_share():
    gate = Gate(10, 0.8)
    assert [gate.enter() for _ in range(12)] == [True] * 11 + [False]
    for _ in range(3):
        gate.leave()
        assert not gate.enter(), "8 inside are not fewer than 80 % of 10"
    gate.leave()
    assert gate.enter()


def test_an_idle_server_delays_nothing_and_a_busy_one_is_a_queue():
    """M/M/1: the mean wait is rho / (mu - lambda); 99.9 % interval by batches."""
    rng = np.random.default_rng(3)
    server = Server(1.0, rng)
    assert server.turn_at_s(5.0) == 5.0
    at_s = np.cumsum(rng.exponential(2.0, 200_000)) + 10.0
    waits = np.array([server.turn_at_s(t) for t in at_s.tolist()]) - at_s
    batches = waits.reshape(100, -1).mean(axis=1)
    error = 3.4 * batches.std(ddof=1) / 10
    assert error < 0.1
    assert abs(batches.mean() - 0.5 / (1.0 - 0.5)) < error


def test_a_request_on_its_way_by_hand(tmp_path):
    calibration = staged(pre_s=0.5, post_s=0.25, transport_s=0.125)
    workload = own(ListTrace([2.0], [0], [3.0]))
    row = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration)).iloc[0]
    assert row.queued_at_s == 2.0 + 0.125 + 0.5
    assert row.started_at_s == row.queued_at_s
    assert row.completed_at_s == row.started_at_s + 3.0 + 0.25 + 0.125


def test_host_stages_wait_for_cores_before_and_after_the_device(tmp_path):
    calibration = staged(pre_s=1.0, post_s=1.0, cores=1)
    workload = own(ListTrace([0.0, 0.0], [0, 1], [0.5, 0.5]))
    table = rows(simulate(workload, make_policy("balance"), tmp_path, gpus=2, calibration=calibration))
    assert list(table.queued_at_s) == [1.0, 2.0]
    assert list(table.completed_at_s) == [3.0, 4.0], "the reply of the first waits for the second's pre-processing"


def test_requests_beyond_the_limit_wait_outside_until_the_share_is_reached(tmp_path):
    calibration = staged(max_outstanding=4, resume_frac=0.5)
    workload = own(ListTrace([0.0] * 8, [0] * 8, [1.0] * 8))
    table = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration))
    # 5 enter; the gate opens when fewer than 2 are inside, which is when the 4th is done
    assert list(table.queued_at_s) == [0.0] * 5 + [4.0] * 3
    assert list(table.completed_at_s) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_the_server_bounds_the_rate_of_the_fleet(tmp_path):
    calibration = staged(server_s=ByKind(0.1, 0.1))
    run = simulate(own(poisson(4000, 50.0, "constant", 3, 10)), make_policy("balance"), tmp_path, gpus=64,
                   calibration=calibration)  # fmt: skip
    ends_s = np.sort(rows(run).queued_at_s)
    assert 4000 / ends_s[-1] == pytest.approx(10.0, rel=0.06)  # 4,000 exponential times: 1.6 % a sigma


def test_what_is_still_before_the_pool_at_the_end_is_unfinished(tmp_path):
    class Never(type(make_policy("balance"))):
        """Leaves everything waiting."""

        def on_event(self, now_s, event, view):
            return ()

    calibration = staged(max_outstanding=1, resume_frac=1.0)
    run = simulate(own(ListTrace([0.0] * 5, [0] * 5, [1.0] * 5)), Never(), tmp_path, calibration=calibration)
    table = rows(run)
    assert list(table.status) == ["unfinished"] * 5
    assert list(table.queued_at_s.isna()) == [False, False, True, True, True]


def test_host_stages_without_a_frontend_are_refused():
    with pytest.raises(ScenarioError, match="graphs: resnet50: kaas: host stages need a frontend"):
        replace(V100, frontend=None)


@pytest.mark.parametrize(("key", "value"), [("cores", 0), ("max_outstanding", 0), ("resume_frac", 1.5)])
def test_an_impossible_frontend_is_refused(key, value):
    with pytest.raises(ScenarioError, match=f"{key} is {value}"):
        replace(OPEN, **{key: value})
