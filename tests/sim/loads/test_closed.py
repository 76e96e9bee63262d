"""Closed loops: who is in flight when, against what must hold for k customers and a fixed service time."""

from __future__ import annotations

import numpy as np
import pytest

from sim.domain import ClosedTrace
from sim.loads import Clients, make_load
from sim.policies import make_policy
from tests.sim.loads.driver import arrivals, serve
from tests.support import own, simulate


def in_flight(served, client, at_s):
    """Requests of a client that have arrived and have no reply, just after an instant."""
    its = served.function == client
    return int(np.sum(its & (served.arrival_at_s <= at_s) & (served.replied_at_s > at_s)))


@pytest.mark.parametrize(("servers", "clients", "outstanding"), [(1, 1, 1), (2, 3, 2), (4, 1, 3), (3, 5, 4)])
def test_every_client_has_k_in_flight_until_the_end_of_the_duration(servers, clients, outstanding):
    trace = make_load(f"closed[outstanding={outstanding},duration=30]").trace(Clients(clients, "g"))
    served = serve(trace, servers, service_s=0.7)
    for at_s in np.unique([*served.arrival_at_s, *served.replied_at_s]):
        counts = [in_flight(served, client, at_s) for client in range(clients)]
        assert counts == [outstanding] * clients if at_s < 30 else max(counts) <= outstanding
    assert served.arrival_at_s.max() < 30 <= served.replied_at_s.max()


@pytest.mark.parametrize(("servers", "customers"), [(4, 3), (4, 4), (4, 10), (1, 7)])
def test_throughput_and_latency_are_those_of_a_closed_queue(servers, customers):
    """k customers on c servers of service s: throughput min(k, c) / s; latency max(s, k s / c); Little: k = X R."""
    served = serve(make_load(f"closed[outstanding={customers},duration=1000]").trace(Clients(1, "g")), servers, 0.5)
    steady = (served.arrival_at_s > 100) & (served.arrival_at_s < 900)
    throughput_per_s = np.sum((served.replied_at_s > 100) & (served.replied_at_s <= 900)) / 800
    latency_s = served.latency_s[steady].mean()
    assert throughput_per_s == pytest.approx(min(customers, servers) / 0.5, rel=2e-3)
    assert latency_s == pytest.approx(max(0.5, customers * 0.5 / servers), rel=2e-3)
    assert throughput_per_s * latency_s == pytest.approx(customers, rel=2e-3)


def test_clients_begin_at_once_and_in_order():
    first = arrivals(make_load("closed[outstanding=2,duration=1]").trace(Clients(3, "g")))
    assert first.at_s.tolist() == [0.0] * 6
    assert first.function.tolist() == [0, 0, 1, 1, 2, 2]


def test_shots_are_one_after_another_and_as_many_as_asked_for():
    served = serve(make_load("nshot[n=5]").trace(Clients(2, "g")), servers=4, service_s=0.3)
    for client in range(2):
        its = served.function == client
        np.testing.assert_allclose(served.arrival_at_s[its], 0.3 * np.arange(5))
    assert make_load("nshot[n=5]").trace(Clients(2, "g")).n_arrivals == 10


@pytest.mark.parametrize("text", ["closed[outstanding=3,duration=9]", "nshot[n=9]", "multi-stream[duration=20]"])
def test_a_second_run_sees_the_same_load(text):
    trace = make_load(text).trace(Clients(2, "g"))
    one, other = serve(trace, 3), serve(trace, 3)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "text", ["closed[outstanding=3,duration=20]", "nshot[n=7]", "multi-stream[duration=30,min_queries=2]"]
)
def test_the_engine_serves_them_as_the_driver_does(tmp_path, text):
    trace = make_load(text).trace(Clients(3, "g"))
    assert isinstance(trace, ClosedTrace)
    rows = simulate(own(trace), make_policy("balance"), tmp_path, gpus=2).table("invocations")
    served = serve(trace, servers=2)
    for column in ("arrival_at_s", "completed_at_s"):
        expected = served.arrival_at_s if column == "arrival_at_s" else served.replied_at_s
        for client in range(3):
            got = np.sort(rows[rows.function == client][column])
            np.testing.assert_allclose(got, np.sort(expected[served.function == client]), atol=1e-9)
