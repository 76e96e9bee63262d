"""Closed loops drive the engine: replies set off arrivals; against theory where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.domain import Buffer, KernelGraph, Role
from sim.engine import arrivals
from sim.errors import PolicyError, ScenarioError
from sim.loads import Clients, make_load
from sim.models.calibration import ByKind, GraphCosts
from sim.models.workloads.catalogue import CatalogueEntry
from sim.policies import make_policy
from sim.policies.balance import Balance
from sim.protocol import Arrival, Reject
from sim.workload import bind
from tests.support import V100, ideal, simulate

GRAPH = KernelGraph("jacobi", (), (Buffer("in", 10, Role.INPUT),))
CATALOGUE = {"jacobi": CatalogueEntry(GRAPH, False)}


def closed(directory, load, n_clients, *, gpus=1, policy="balance", run_s=1.0, **calibration):
    costs = GraphCosts(run_s)
    trace = make_load(load).trace(Clients(n_clients, "jacobi", seed=1))
    workload = bind(trace, catalogue=CATALOGUE)
    gpu = ideal(graphs={"jacobi": {"kaas": costs, "exclusive": costs}}, **calibration)
    run = simulate(workload, make_policy(policy), directory, gpus=gpus, calibration=gpu)
    return run, run.table("invocations").sort_values("invocation").reset_index(drop=True)


@pytest.mark.parametrize(("n", "k", "gpus"), [(1, 1, 2), (1, 2, 2), (3, 1, 2), (2, 8, 4)])
def test_a_saturated_loop_does_as_much_as_the_fleet_or_its_requests_allow(tmp_path, n, k, gpus):
    """Constant service of 1 s: min(customers, GPUs) a second."""
    _, rows = closed(tmp_path, f"closed[outstanding={k},duration=50]", n, gpus=gpus)
    done = rows.completed_at_s
    assert ((done > 10) & (done <= 40)).sum() == 30 * min(n * k, gpus)


def test_a_client_never_has_more_than_its_requests_outstanding(tmp_path):
    _, rows = closed(tmp_path, "closed[outstanding=3,duration=20]", 2, gpus=4)
    for _, own in rows.groupby("function"):
        instants = np.unique(own.completed_at_s)
        sent = np.searchsorted(np.sort(own.arrival_at_s), instants, side="right")
        done = np.searchsorted(np.sort(own.completed_at_s), instants, side="right")
        assert set((sent - done)[instants < 20]) == {3}, "each reply is followed by a request at once"


def test_numbers_follow_arrivals_and_nothing_is_lost(tmp_path):
    run, rows = closed(tmp_path, "closed[outstanding=2,duration=30]", 3, gpus=2)
    assert list(rows.invocation) == list(range(len(rows)))
    assert rows.arrival_at_s.is_monotonic_increasing
    assert run.summary["completed"] == run.summary["invocations"] == len(rows)
    assert rows.arrival_at_s.max() < 30 <= rows.completed_at_s.max()


def test_one_after_another(tmp_path):
    _, rows = closed(tmp_path, "nshot[n=5]", 1, run_s=2.0)
    assert list(rows.arrival_at_s) == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_loop_can_be_run_again(tmp_path):
    load = "multi-stream[duration=10]"
    first, second = (closed(tmp_path / name, load, 2)[1] for name in ("a", "b"))
    assert first.equals(second)


class Picky(Balance):
    """Rejects every so many."""

    name = "picky"

    def __init__(self, one_in):
        self.one_in = one_in

    def describe(self):
        return f"picky[one_in={self.one_in}]"

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival) and event.invocation % self.one_in == self.one_in - 1:
            return (Reject(event.invocation, "picky"),)
        return super().on_event(now_s, event, view)


def refused(directory, load, one_in, **calibration):
    """A client of a policy that rejects."""
    workload = bind(make_load(load).trace(Clients(1, "jacobi")), catalogue=CATALOGUE)
    costs = GraphCosts(1.0)
    gpu = ideal(graphs={"jacobi": {"kaas": costs}}, **calibration)
    return simulate(workload, Picky(one_in), directory, calibration=gpu).summary


def test_a_rejected_request_is_a_reply_too(tmp_path):
    summary = refused(tmp_path, "nshot[n=6]", 3)
    assert (summary["completed"], summary["rejected"]) == (4, 2)


def test_clients_who_are_answered_as_fast_as_they_send_end_the_run_with_a_reason(tmp_path, monkeypatch):
    """Else a run would never end, since time doesn't pass."""
    monkeypatch.setattr(arrivals, "REPLIES_AT_ONCE", 100)
    assert refused(tmp_path / "ends", "nshot[n=100]", 1)["rejected"] == 100
    with pytest.raises(PolicyError, match=r"time stands still at 0\.0 s, after 100 replies: requests are rejected"):
        refused(tmp_path / "never", "closed[outstanding=2,duration=5]", 1)
    way = replace(V100.frontend, transport_s=0.5, server_s=ByKind(0.0, 0.0))
    assert refused(tmp_path / "far", "closed[outstanding=2,duration=100]", 1, frontend=way)["rejected"] == 200


def test_how_many_requests_a_closed_loop_makes_is_not_to_be_limited():
    with pytest.raises(ScenarioError, match="limit is 5, must be left out with a closed loop"):
        bind(make_load("nshot[n=6]").trace(Clients(1, "jacobi")), catalogue=CATALOGUE, limit=5)
