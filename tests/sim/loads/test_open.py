"""Open loads: Poisson in law, lazy, in order, and seeded by client."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sim.errors import ScenarioError
from sim.loads import Clients, make_load
from sim.loads.open import _Stream, zipf_weights
from tests.sim.loads.driver import arrivals, serve


def of(text, clients, seed=0):
    return arrivals(make_load(text).trace(Clients(clients, "g", seed)))


def test_each_client_is_a_poisson_process_with_its_share_of_the_rate():
    load = of("poisson[rate=40,duration=1000]", clients=4)
    for client in range(4):
        at_s = load.at_s[load.function == client]
        assert abs(len(at_s) - 10_000) < 4 * 100
        assert stats.kstest(np.diff(at_s), stats.expon(scale=0.1).cdf).pvalue > 1e-3
        counts = np.histogram(at_s, bins=1000, range=(0, 1000))[0]
        assert abs(counts.var() / counts.mean() - 1) < 4 * np.sqrt(2 / 1000)
    one, other = (np.histogram(load.at_s[load.function == c], bins=1000)[0] for c in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(1000)


def test_a_queue_of_them_waits_as_pollaczek_and_khinchine_say():
    """M/D/1 at half load: the mean response is 1.5 services (Kleinrock, Queueing Systems, vol. 1)."""
    traces = [make_load("poisson[rate=0.5,duration=4000]").trace(Clients(3, "g", seed)) for seed in range(12)]
    means = np.array([serve(trace, servers=1).latency_s[100:].mean() for trace in traces])
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - 1.5) < 4 * error
    assert error < 0.05


def test_arrivals_are_in_order_within_the_duration_and_come_lazily():
    chunks = make_load("poisson[rate=100,duration=1e5]").trace(Clients(7, "g")).chunks()
    at_s = [next(chunks).at_s for _ in range(3)]
    assert all(10_000 < len(part) < 25_000 for part in at_s)
    assert (np.diff(np.concatenate(at_s)) >= 0).all()
    assert of("poisson[rate=1000,duration=40]", clients=2).at_s.max() < 40


def test_more_clients_change_nothing_for_the_others():
    few, many = of("poisson[rate=30,duration=100]", 3), of("poisson[rate=70,duration=100]", 7)
    for client in range(3):
        np.testing.assert_array_equal(few.at_s[few.function == client], many.at_s[many.function == client])


def test_another_rate_changes_only_the_scale_of_time():
    slow, fast = of("poisson[rate=1,duration=1000]", 2), of("poisson[rate=4,duration=250]", 2)
    np.testing.assert_allclose(slow.at_s, 4 * fast.at_s)
    np.testing.assert_array_equal(slow.function, fast.function)


def test_a_seed_gives_the_same_arrivals_and_another_seed_others():
    one, same, other = (of("poisson[rate=5,duration=100]", 2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.at_s, same.at_s)
    assert len(np.intersect1d(one.at_s, other.at_s)) == 0


def test_the_pieces_in_which_instants_are_asked_for_make_no_difference():
    whole, pieces = (_Stream(np.random.default_rng(3), 7.0) for _ in range(2))
    parts = [pieces.until(end_s) for end_s in (0.1, 0.2, 5.0, 300.0, 301.0, 900.0)]
    np.testing.assert_array_equal(whole.until(900.0), np.concatenate(parts))


@pytest.mark.parametrize(("clients", "weights"), [(4, [3, 1, 8, 11]), (8, [3, 1, 8, 11, 5, 12, 1, 1])])
def test_zipf_weights_are_those_of_the_authors(clients, weights):
    assert zipf_weights(clients, 1.8, 20) == weights
    load = of("zipf[rate=120,duration=1000]", clients, seed=9)
    for client, weight in enumerate(weights):
        expected = 120 / clients * weight / max(weights) * 1000
        assert abs(np.sum(load.function == client) - expected) < 4 * np.sqrt(expected)


def test_weights_that_spread_too_much_are_drawn_again():
    for clients in range(1, 60):
        weights = zipf_weights(clients, 1.8, 20)
        assert len(weights) == clients
        assert max(weights) <= 20 * min(weights)


def test_weights_that_can_not_be_had_are_refused():
    with pytest.raises(ScenarioError, match=r"max_ratio is 1, but 60 Zipf numbers of exponent 1.8 spread more"):
        make_load("zipf[rate=1,max_ratio=1]").trace(Clients(60, "g"))
