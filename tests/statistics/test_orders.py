"""Queueing policies against theory: mean response within 4 standard errors of independent replications.

Expected durations are those of each function; services are of unit mean over all functions.
"""

from __future__ import annotations

import numpy as np
import pytest

from sim.policies import make_policy
from tests.contract.scripted import FixedCosts
from tests.statistics.test_queueing import REPLICATIONS, assert_mean, mean_responses_s
from tests.support import ListTrace, own, simulate

ARRIVALS, WARM_UP = 20_000, 2_000
SHORT_S, LONG_S, SHORT_FRAC = 0.5, 5.5, 0.9  # two functions of constant services; their mean is 1


@pytest.mark.parametrize(("policy", "n_gpus", "response"), [("power-of-d[d=1]", 4, 3.333), ("power-of-d", 100, 1.6145)])
def test_power_of_d(tmp_path, policy, n_gpus, response):
    """A random split is M/M/1; with two choices and many servers, the sum over i >= 1 of r ** (2 ** i - 2).

    Mitzenmacher, IEEE TPDS 12(10), 2001; Vvedenskaya, Dobrushin and Karpelevich, Probl. Inf. Transm. 32, 1996.
    """
    assert_mean(mean_responses_s(policy, tmp_path, n_gpus, 0.7, "exponential"), response)


def test_least_work_serves_as_one_queue_where_durations_are_known(tmp_path):
    """M/D/c: every invocation begins when it would begin in one queue."""
    ends = [mean_responses_s(p, tmp_path / p, 4, 0.8, "constant", seeds=[0]) for p in ("least-work", "balance")]
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)


def two_classes(seed, load):
    """Poisson arrivals of a short and a long function."""
    rng = np.random.default_rng(seed)
    function = (rng.random(ARRIVALS) >= SHORT_FRAC).astype(int)
    at_s = np.cumsum(rng.exponential(1 / load, ARRIVALS))
    return ListTrace(at_s, function, np.where(function, LONG_S, SHORT_S), 2)


def responses_s(name, directory, load, seed):
    """Mean response of the short, of the long, and of all."""
    policy = make_policy(name)
    told = policy.reset
    policy.reset = lambda fleet, functions, costs, rng: told(fleet, functions, FixedCosts([SHORT_S, LONG_S]), rng)
    run = simulate(own(two_classes(seed, load)), policy, directory / f"{name} {seed}", check=seed == 0)
    rows = run.table("invocations", ["invocation", "function", "arrival_at_s", "completed_at_s"])
    rows = rows[rows.invocation >= WARM_UP]
    took_s = rows.completed_at_s - rows.arrival_at_s
    return [took_s[rows.function == 0].mean(), took_s[rows.function == 1].mean(), took_s.mean()]


def test_shortest_first_of_two_classes(tmp_path):
    """Waiting under priorities without preemption, w0 / (1 - r1) and w0 / ((1 - r1) (1 - r)) (Cobham, 1954)."""
    load = 0.7
    w0 = load * (SHORT_FRAC * SHORT_S**2 + (1 - SHORT_FRAC) * LONG_S**2) / 2
    short = load * SHORT_FRAC * SHORT_S
    means = np.array([responses_s("sjf", tmp_path, load, seed) for seed in range(REPLICATIONS)])
    assert_mean(means[:, 0], w0 / (1 - short) + SHORT_S)
    assert_mean(means[:, 1], w0 / ((1 - short) * (1 - load)) + LONG_S)


def test_shorter_is_better_on_average(tmp_path):
    """The mean response of shortest first is below that of order of arrival, in every replication."""
    for seed in range(3):
        first_come, shortest = (responses_s(name, tmp_path, 0.7, seed)[2] for name in ("balance", "sjf"))
        assert shortest < first_come
