"""Queues whose server breaks down, against theory: within 4 standard errors of independent replications.

A device fails at rate x while it is up, idle or not, and is repaired after exponential times of mean r; what ran on it
begins again. The time from when a request of length S begins until it is done, repairs included, is its completion time
C (Gaver, A Waiting Line with Interrupted Service, Including Priorities, J. R. Stat. Soc. B 24, 1962; repeat model).
A request that finds nobody may find the device down, and so takes longer: the queue is that of Welch, On a Generalized
M/G/1 Queuing Process in which the First Customer of Each Busy Period Receives Exceptional Service, Oper. Res. 12, 1964.

S is constant there: then it makes no difference that a request which begins again does so behind the others. Where a
request is lost that ran, and S is exponential, number and state of the device are a Markov chain, which is solved here.
"""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from sim.models.calibration import Startup
from sim.models.failures import Failure
from sim.policies import make_policy
from tests.statistics.test_queueing import ARRIVALS, REPLICATIONS, WARM_UP, assert_mean
from tests.support import ideal, own, poisson, simulate

AT_ONCE = ideal(startup_s=Startup(0.0, 0.0, 0.0, 0.0, 0.0))


def completion_moments(x, r):
    """First two moments of C for S = 1: a geometric number of tries that fail before 1, each with its repair."""
    succeeds = exp(-x)
    n1 = (1 - succeeds) / succeeds
    n2 = n1 * (1 + (1 - succeeds)) / succeeds
    lost1 = 1 / x - succeeds / (1 - succeeds)  # of an exponential time that ends before 1
    lost2 = (2 / x**2 - succeeds * (1 + 2 / x + 2 / x**2)) / (1 - succeeds)
    try1, try2 = lost1 + r, lost2 + 2 * lost1 * r + 2 * r**2
    once = n1 * try1
    return 1 + once, 1 + 2 * once + n1 * (try2 - try1**2) + n2 * try1**2


def response_s(rate, x, r):
    """Mean response of M/D/1 with breakdowns, for S = 1."""
    m1, m2 = completion_moments(x, r)
    is_down = x / (rate + x + 1 / r)  # when the first comes after the device was left idle, and up
    a1, a2 = m1 + is_down * r, m2 + 2 * is_down * r * m1 + is_down * 2 * r**2
    finds_nobody = (1 - rate * m1) / (1 - rate * m1 + rate * a1)
    waits = rate * (finds_nobody * a2 + (1 - finds_nobody) * m2) / (2 * (1 - rate * m1))
    return waits + finds_nobody * a1 + (1 - finds_nobody) * m1


def mean_number_when_lost(rate, x, r, most=200):
    """Mean number of M/M/1 with breakdowns that lose who is served, for E[S] = 1; and the share that is lost."""
    q = np.zeros((2, most, 2, most))  # from and to (is down, number)
    n = np.arange(most)
    for down in (0, 1):
        q[down, n[:-1], down, n[1:]] = rate
    q[0, n[1:], 0, n[:-1]] = 1.0
    q[0, n, 1, np.maximum(n - 1, 0)] = x
    q[1, n, 0, n] = 1 / r
    q = q.reshape(2 * most, -1)
    np.fill_diagonal(q, -q.sum(axis=1))
    probability = np.linalg.lstsq(np.vstack([q.T, np.ones(2 * most)]), np.r_[np.zeros(2 * most), 1.0], rcond=None)[0]
    by_state = probability.reshape(2, most)
    return float((by_state.sum(axis=0) * n).sum()), float(by_state[0, 1:].sum() * x / rate)


def rows_of_runs(directory, rate, x, r, service, retries, replications=REPLICATIONS):
    """The rows of each replication, without its warm-up."""
    for seed in range(replications):
        run = simulate(
            own(poisson(ARRIVALS, rate, service, seed)), make_policy("balance"), directory / str(seed),
            calibration=AT_ONCE, check=seed == 0, seed=seed, retries=retries,
            failures=[Failure("device", mtbf_s=1 / x, mttr_s=r)],
        )  # fmt: skip
        rows = run.table("invocations", ["invocation", "status", "arrival_at_s", "completed_at_s"])
        yield rows[rows.invocation >= WARM_UP]


def mean_responses_s(directory, rate, x, r, replications=REPLICATIONS):
    means = []
    for rows in rows_of_runs(directory, rate, x, r, "constant", 1_000, replications):
        assert (rows.status == "completed").all()
        means.append(float((rows.completed_at_s - rows.arrival_at_s).mean()))
    return np.array(means)


def test_without_breakdowns_the_formula_is_that_of_pollaczek_and_khinchine():
    assert response_s(0.8, 1e-6, 1e-3) == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize(("rate", "x", "r"), [(0.5, 0.1, 2.0), (0.6, 0.02, 5.0)])
def test_m_d_1_with_breakdowns(tmp_path, rate, x, r):
    assert_mean(mean_responses_s(tmp_path, rate, x, r), response_s(rate, x, r))


def test_m_m_1_with_breakdowns_that_lose_who_is_served(tmp_path):
    """Little's law over all that came: completed, or lost when the device failed."""
    rate, x, r = 0.6, 0.1, 2.0
    number, lost_frac = mean_number_when_lost(rate, x, r)
    times_s, lost = [], []
    for rows in rows_of_runs(tmp_path, rate, x, r, "exponential", 0):
        times_s.append(float((rows.completed_at_s - rows.arrival_at_s).mean()))
        lost.append(float((rows.status == "failed").mean()))
    assert_mean(np.array(times_s), number / rate)
    assert_mean(np.array(lost), lost_frac)


def test_a_wrong_mean_time_to_repair_is_noticed(tmp_path):
    means = mean_responses_s(tmp_path, 0.5, 0.1, 2.0, replications=5)
    with pytest.raises(AssertionError, match="theory"):
        assert_mean(means, response_s(0.5, 0.1, 1.5))
