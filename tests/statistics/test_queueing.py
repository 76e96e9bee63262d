"""The simulator against queueing theory: mean response within 4 standard errors of independent replications.

Values: mean response in units of the mean service, Kleinrock, Queueing Systems, vol. 1 (M/M/1: 1/(1-r); M/D/1:
Pollaczek and Khinchine; M/M/c: Erlang's C).
"""

from __future__ import annotations

import numpy as np
import pytest

from sim.policies import make_policy
from tests.support import own, poisson, simulate

REPLICATIONS, ARRIVALS, WARM_UP = 10, 20_000, 2_000


def mean_responses_s(policy, directory, n_gpus, load, service, n_functions=1, seeds=None):
    """Mean response of each replication, without its warm-up."""
    means = []
    for seed in seeds or range(REPLICATIONS):
        workload = own(poisson(ARRIVALS, load * n_gpus, service, seed, n_functions))
        run = simulate(workload, make_policy(policy), directory / str(seed), gpus=n_gpus, check=seed == 0)
        rows = run.table("invocations", ["invocation", "arrival_at_s", "completed_at_s"])
        rows = rows[rows.invocation >= WARM_UP]
        means.append(float((rows.completed_at_s - rows.arrival_at_s).mean()))
    return np.array(means)


def assert_mean(means, expected):
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - expected) <= 4 * error, f"{means.mean():.4f} +- {error:.4f}, theory {expected}"
    assert error < 0.1 * expected, "the test has no power"


@pytest.mark.parametrize(("load", "response"), [(0.5, 2.0), (0.8, 5.0)])
@pytest.mark.parametrize("policy", ["balance", "affinity"])
def test_m_m_1(tmp_path, policy, load, response):
    assert_mean(mean_responses_s(policy, tmp_path, 1, load, "exponential", 5), response)


@pytest.mark.parametrize(("load", "response"), [(0.5, 1.5), (0.8, 3.0)])
def test_m_d_1(tmp_path, load, response):
    assert_mean(mean_responses_s("balance", tmp_path, 1, load, "constant"), response)


def test_m_d_1_under_exclusive_with_one_function(tmp_path):
    """One function on one GPU never loses its worker; its only cold start lies in the warm-up."""
    assert_mean(mean_responses_s("exclusive", tmp_path, 1, 0.5, "constant"), 1.5)


@pytest.mark.parametrize(
    ("n_gpus", "load", "response"), [(4, 0.8, 1.7455), (8, 0.8, 1.2860), (4, 0.9, 2.9694), (8, 0.9, 1.8769)]
)
def test_m_m_c(tmp_path, n_gpus, load, response):
    assert_mean(mean_responses_s("balance", tmp_path, n_gpus, load, "exponential", 20), response)


def test_a_work_conserving_pool_serves_as_one_queue_in_whatever_order(tmp_path):
    """Sizes unknown to the policy: the order does not change the mean (conservation law, Kleinrock, vol. 2)."""
    fcfs, fair = (mean_responses_s(p, tmp_path / p, 4, 0.8, "exponential", 20) for p in ("balance", "affinity"))
    difference = fcfs - fair
    assert abs(difference.mean()) <= 4 * difference.std(ddof=1) / np.sqrt(len(difference)) + 1e-3


def test_join_the_shortest_queue_lies_between_a_random_split_and_one_queue(tmp_path):
    response = mean_responses_s("least-loaded", tmp_path, 4, 0.8, "exponential").mean()
    assert 1.7455 < response < 5.0


def test_a_wrong_oracle_is_noticed(tmp_path):
    """The band is narrow enough to tell M/D/1 from M/M/1."""
    means = mean_responses_s("balance", tmp_path, 1, 0.8, "constant", seeds=range(5))
    with pytest.raises(AssertionError, match="theory"):
        assert_mean(means, 5.0)
