"""The way between clients and pool: gate, cores, server; by hand, and against queueing theory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.loads import Clients, make_load
from sim.models.calibration import ByKind, FrontendFacts, GraphCosts
from sim.models.frontend import Cores, Gate, Server
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.policies.balance import Balance
from sim.protocol import Arrival, Finished, Reject
from sim.workload import bind
from tests.support import V100, ListTrace, ideal, own, poisson, simulate

OPEN = FrontendFacts(transport_s=0.0, server_s=ByKind(0.0, 0.0), cores=1000, max_outstanding=10**9, resume_frac=0.8)

RESNET50 = {"resnet50": load_catalogue("kaas")["resnet50"]}


def rows(run):
    return run.table("invocations").sort_values("invocation").reset_index(drop=True)


def staged(pre_s=0.0, post_s=0.0, **frontend):
    """A GPU on which nothing but host stages, the trace's own durations and this frontend take time."""
    costs = GraphCosts(run_s=0.0, pre_s=pre_s, post_s=post_s)
    return ideal(frontend=replace(OPEN, **frontend), graphs={"opaque": {"kaas": costs}})


def test_cores_take_stages_in_order():
    cores = Cores(2)
    assert [cores.reserve(0.0, d) for d in (3.0, 1.0, 1.0, 1.0)] == [3.0, 1.0, 2.0, 3.0]
    assert cores.reserve(2.5, 0.0) == 2.5, "a stage of no length needs no core"


def test_the_gate_closes_above_the_limit_and_opens_below_the_share():
    gate = Gate(10, 0.8)
    assert [gate.enter(t) for t in range(12)] == [True] * 11 + [False]
    for _ in range(3):
        gate.leave(15.0)
        assert not gate.enter(15.0), "8 inside are not fewer than 80 % of 10"
    gate.leave(20.0)
    assert gate.enter(20.0)


def test_a_gate_limits_a_run_by_the_part_of_it_in_which_it_was_closed():
    gate = Gate(1, 1.0)
    assert [gate.enter(2.0), gate.enter(4.0), gate.enter(5.0)] == [True, True, False]
    assert "closed for 20% of the time" in gate.limit(5.0), "it is closed now"
    gate.leave(5.0)
    gate.leave(5.0)
    assert "closed for 10% of the time" in gate.limit(10.0)
    assert not gate.limit(1000.0), "one thousandth of a run is nothing"
    assert not Gate(1, 1.0).limit(0.0)


def test_a_server_and_cores_limit_a_run_when_they_are_busy_all_the_time():
    server, cores = Server(1.0, np.random.default_rng(0)), Cores(2)
    assert not server.limit(0.0)
    assert not cores.limit(0.0)
    for _ in range(100):
        server.turn_at_s(0.0)
        cores.reserve(0.0, 1.0)
    assert "at most 1 requests/s" in server.limit(50.0)
    assert "busy for 100% of the time" in server.limit(50.0)
    assert not server.limit(200.0)
    assert "its 2 cores were busy for 100% of the time" in cores.limit(50.0)
    assert not cores.limit(60.0)


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
    run = simulate(workload, make_policy("balance"), tmp_path, calibration=calibration)
    row = rows(run).iloc[0]
    assert row.queued_at_s == 2.0 + 0.125 + 0.5
    assert row.admitted_at_s == 2.0 + 0.125
    assert run.summary["queue_s"]["max"] == 0.125 + 0.5, "all of the way to a device is waiting"
    assert run.summary["pool_s"]["max"] == 0.0
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


def test_who_waits_outside_is_not_overtaken(tmp_path):
    """The third comes at the instant at which the first leaves, and the second waits outside."""
    calibration = staged(max_outstanding=1, resume_frac=1.0)
    workload = own(ListTrace([0.0, 0.0, 0.5, 2.0], [0] * 4, [1.0] * 4))
    table = rows(simulate(workload, make_policy("balance"), tmp_path, calibration=calibration))
    assert list(table.queued_at_s) == [0.0, 0.0, 2.0, 2.0]
    assert list(table.completed_at_s) == [1.0, 2.0, 3.0, 4.0]


class OnlyFirst(Balance):
    """Rejects all but the first."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival) and event.invocation:
            return (Reject(event.invocation, "not the first"),)
        return super().on_event(now_s, event, view)


class Impatient(Balance):
    """Rejects all that wait, and all that come later, when the first is done."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            return super().on_event(now_s, event, view) if not now_s else (Reject(event.invocation, "late"),)
        return tuple(Reject(i, "late") for i in view.waiting)


def test_the_policy_hears_of_those_outside_after_what_let_them_in(tmp_path):
    """Also when each that is rejected lets in the next."""
    log = []
    n = 2_000  # more than Python's calls may nest
    run = simulate(
        own(ListTrace([0.0] * n, [0] * n, [1.0] * n)),
        Impatient(),
        tmp_path,
        calibration=staged(max_outstanding=4, resume_frac=1.0),
        log=lambda now_s, event, actions: log.append((now_s, type(event), len(actions))),
    )
    assert (run.summary["completed"], run.summary["rejected"]) == (1, n - 1)
    assert log[:7] == [(0.0, Arrival, 1), *[(0.0, Arrival, 0)] * 4, (1.0, Finished, 4), (1.0, Arrival, 1)]


def test_what_is_rejected_has_no_stage_after_the_device(tmp_path):
    calibration = staged(pre_s=0.5, post_s=4.0, transport_s=0.125)
    workload = own(ListTrace([0.0, 0.0, 2.0], [0] * 3, [1.0] * 3))
    table = rows(simulate(workload, Impatient(), tmp_path, calibration=calibration))
    assert list(table.status) == ["rejected"] * 3
    assert list(table.completed_at_s) == [0.75, 0.75, 2.75]


def test_a_run_lasts_until_the_last_reply(tmp_path):
    calibration = staged(post_s=4.0, transport_s=0.125)
    run = simulate(
        own(ListTrace([0.0, 0.0], [0, 0], [1.0, 2.0])), make_policy("balance"), tmp_path, calibration=calibration
    )
    assert rows(run).completed_at_s.max() == 0.125 + 3.0 + 4.0 + 0.125
    assert run.summary["throughput_per_s"] == 2 / 7.25
    assert run.summary["gpu_busy_frac"] == 3 / 7.25


def test_the_last_reply_may_be_to_an_earlier_request(tmp_path):
    """The second is rejected, at 2.125 s, and has its reply while the host is at work for the first."""
    calibration = staged(post_s=4.0, transport_s=0.125)
    run = simulate(own(ListTrace([0.0, 2.0], [0, 0], [1.0, 1.0])), OnlyFirst(), tmp_path, calibration=calibration)
    assert list(rows(run).completed_at_s) == [5.25, 2.25]
    assert run.summary["throughput_per_s"] == 1 / 5.25


def test_the_server_has_a_rate_for_each_kind_of_worker(tmp_path):
    calibration = staged(server_s=ByKind(0.0, 1000.0))
    for name, served_at_once in (("balance", 3), ("exclusive", 1)):
        workload = own(ListTrace([0.0] * 3, [0] * 3, [1.0] * 3))
        table = rows(simulate(workload, make_policy(name), tmp_path / name, calibration=calibration))
        assert (table.queued_at_s == 0).sum() == served_at_once


class Gambler(Balance):
    """Draws a number before the run."""

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        rng.random()


def test_every_policy_meets_the_same_server(tmp_path):
    calibration = staged(server_s=ByKind(0.1, 0.1))
    tables = [
        rows(simulate(own(poisson(99, 9.0, "constant", 3)), policy, tmp_path / str(n), gpus=9, calibration=calibration))
        for n, policy in enumerate((Balance(), Gambler()))
    ]
    assert list(tables[0].queued_at_s) == list(tables[1].queued_at_s)


@pytest.mark.parametrize("name", ["balance", "static"])
def test_a_request_without_any_queue_takes_the_isolated_latency(tmp_path, name):
    idle = replace(V100.frontend, server_s=ByKind(0.0, 0.0))
    graphs = {"resnet50": {k: replace(costs, post_s=0.003) for k, costs in V100.graphs["resnet50"].items()}}
    calibration = replace(V100, frontend=idle, graphs=graphs)
    workload = bind(make_load("nshot[n=3]").trace(Clients(1, "resnet50")), catalogue=RESNET50)
    run = simulate(workload, make_policy(name), tmp_path, calibration=calibration)
    latency_s = rows(run).completed_at_s - rows(run).arrival_at_s
    assert latency_s[2] == pytest.approx(run.table("functions").isolated_s[0], rel=1e-12)


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


@pytest.mark.parametrize(
    ("key", "value"), [("cores", 0), ("max_outstanding", 0), ("resume_frac", 0.0), ("resume_frac", 1.5)]
)
def test_an_impossible_frontend_is_refused(key, value):
    with pytest.raises(ScenarioError, match=f"{key} is {value}"):
        replace(OPEN, **{key: value})
