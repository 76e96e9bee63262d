"""MLPerf's scenarios: what they send, and what a run has shown."""

from __future__ import annotations

import numpy as np
import pytest

from sim.loads import Clients, make_load
from sim.loads.mlperf import BOUND_S, BOUNDS_S
from tests.sim.loads.driver import Served, arrivals, serve


def run(text, servers=1, service_s=1.0, clients=1):
    load = make_load(text)
    return load, serve(load.trace(Clients(clients, "resnet50")), servers, service_s)


def told(load, latency_s, graph="resnet50"):
    """The result when queries of one client take so long, one after another."""
    latency_s = np.asarray(latency_s, dtype=np.float64)
    at_s = np.arange(len(latency_s)) * 100.0
    return load.result(graph, np.zeros(len(at_s), dtype=np.int32), at_s, at_s + latency_s)


# What they send


@pytest.mark.parametrize(
    ("text", "n_queries"),
    [("single-stream[duration=100,min_queries=7]", 334), ("single-stream[duration=1,min_queries=7]", 7)],
)
def test_single_stream_goes_on_until_both_duration_and_count(text, n_queries):
    """Queries of 0.3 s: the 334th begins at 99.9 s."""
    _, served = run(text, servers=2, service_s=0.3, clients=2)
    for client in range(2):
        its = served.function == client
        np.testing.assert_allclose(served.arrival_at_s[its], 0.3 * np.arange(n_queries))


def test_multi_stream_sends_the_next_eight_when_the_slowest_is_done():
    load, served = run("multi-stream[duration=0,min_queries=5]", servers=3)
    np.testing.assert_array_equal(served.arrival_at_s, np.repeat([0.0, 3.0, 6.0, 9.0, 12.0], 8))
    result = load.result("g", *served)
    assert result.n_queries == 5
    assert result.value is None
    assert "too few queries" in result.reasons[0]


def test_server_is_poisson_and_goes_on_until_both_duration_and_count():
    clients = Clients(3, "resnet50", seed=5)
    long = arrivals(make_load("server[rate=30,duration=100,min_queries=1]").trace(clients))
    poisson = arrivals(make_load("poisson[rate=30,duration=100]").trace(clients))
    np.testing.assert_array_equal(long.at_s, poisson.at_s)
    many = arrivals(make_load("server[rate=30,duration=100,min_queries=50000]").trace(clients))
    assert len(many.at_s) == 50_000
    np.testing.assert_array_equal(many.at_s[: len(long.at_s)], long.at_s)


@pytest.mark.parametrize(
    ("text", "graph", "n"),
    [("offline", "resnet50", 24_576), ("offline", "bert", 10_833), ("offline[samples=7]", "g", 7)],
)
def test_offline_sends_all_at_once_in_equal_shares(text, graph, n):
    trace = make_load(text).trace(Clients(4, graph))
    sent = arrivals(trace)
    assert len(sent.at_s) == n == trace.n_arrivals
    assert not sent.at_s.any()
    shares = np.bincount(sent.function)
    assert shares.max() - shares.min() <= 1


# What a run has shown


@pytest.mark.parametrize(
    ("text", "n", "estimate_s"),
    [
        ("single-stream", 63, None),
        ("single-stream", 64, 64.0),  # n(1) = 64: one may be late, none is dropped
        ("single-stream", 80, 80.0),
        ("single-stream", 81, 80.0),  # n(2) = 81: the slowest is dropped
        ("single-stream", 127, 123.0),  # n(5) = 127
        ("multi-stream", 661, None),
        ("multi-stream", 838, 837.0),
    ],
)
def test_a_stream_is_told_by_the_fastest_that_may_be_late(text, n, estimate_s):
    latency_s = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    result = told(make_load(text), latency_s)
    assert result.value == estimate_s
    assert result.valid is (estimate_s is not None)
    assert estimate_s is None or estimate_s >= np.quantile(latency_s, make_load(text).percentile)


def test_queries_without_reply_are_the_slowest():
    load = make_load("single-stream")
    assert told(load, [1.0] * 80 + [np.inf]).value == 1.0
    result = told(load, [1.0] * 79 + [np.inf] * 2)
    assert (result.valid, result.value) == (False, None)
    assert "no reply" in str(result)


def test_a_query_of_eight_lasts_as_long_as_its_slowest():
    load = make_load("multi-stream")
    rng = np.random.default_rng(1)
    latency_s = rng.random((2, 700, 8))
    at_s = np.broadcast_to(np.arange(700)[:, None], latency_s.shape) * 1.0
    function = np.broadcast_to(np.arange(2)[:, None, None], latency_s.shape)
    order = rng.permutation(latency_s.size)  # rows come as they end
    served = Served(*(a.reshape(-1)[order] for a in (function, at_s, at_s + latency_s)))
    result = load.result("g", *served)
    assert result.n_queries == 1400
    assert result.value == pytest.approx(np.sort(latency_s.max(axis=2).reshape(-1))[-5])  # n(5) = 1307


@pytest.mark.parametrize(
    ("n", "n_late", "valid"), [(458, 0, False), (459, 0, True), (459, 1, False), (661, 1, False), (662, 1, True)]
)
def test_server_is_valid_when_the_late_ones_are_few_enough_to_show_it(n, n_late, valid):
    for late_s in (0.0151, np.inf):
        result = told(make_load("server[rate=7]"), [0.0149] * (n - n_late) + [late_s] * n_late)
        assert result.valid is valid
        assert result.value == 7.0


def test_the_bound_is_that_of_the_workload_or_the_one_given():
    assert BOUNDS_S["bert"] == 0.130
    assert BOUND_S == 0.010
    latency_s = [0.1] * 459
    assert told(make_load("server[rate=1]"), latency_s, "bert").valid
    result = told(make_load("server[rate=1]"), latency_s, "cGEMM")
    assert result.reasons == ("459 had no reply within 0.01 s, and 0 may",)
    assert told(make_load("server[rate=1,bound=0.2]"), latency_s, "cGEMM").valid
    assert told(make_load("server[rate=1,bound=0.25]"), [0.25] * 459).valid


def test_offline_is_samples_a_second_and_must_last():
    load, served = run("offline[samples=1000,duration=50]", servers=4, service_s=0.25, clients=3)
    result = load.result("g", *served)
    assert result.value == pytest.approx(16)
    assert result.valid
    assert make_load("offline[duration=62.5]").result("g", *served).valid
    assert not make_load("offline[duration=62.6]").result("g", *served).valid
    short = make_load("offline[samples=1000]").result("g", *served)
    assert short.reasons == ("it lasted 62.5 s, must be 600 s: try samples=10560",)
    lost = served._replace(replied_at_s=np.append(served.replied_at_s[1:], np.inf))
    assert load.result("g", *lost).reasons == ("not every sample had a reply",)


def test_what_the_advice_says_is_enough():
    load, served = run("offline[samples=10560]", servers=4, service_s=0.25)
    assert load.result("g", *served).valid


def test_a_result_reads_as_one_line():
    result = told(make_load("server[rate=20]"), [0.001] * 1000)
    assert str(result) == "MLPerf Server VALID: 20 queries/s, 99 % within 0.015 s, of 1,000 queries"


@pytest.mark.parametrize("text", ["single-stream", "multi-stream", "server[rate=1]", "offline"])
def test_a_run_without_a_query_shows_nothing(text):
    result = told(make_load(text), [])
    assert not result.valid
