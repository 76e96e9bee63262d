"""Intervals and verdicts of ``analyze compare`` on queues whose truth is known; the benchmark has the full numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.statistics.interval import t_interval
from benchmarks.coverage import covers, simulate, tally, truth
from benchmarks.mmc import erlang_c, mean_sojourn_s, sojourn_quantile_s, sojourn_tail, sojourns_s
from sim.policies import make_policy
from tests import support

STUDIES = 100
ERROR = math.sqrt(0.95 * 0.05 / STUDIES)  # of a share of 95 %


@pytest.fixture(scope="module")
def found():
    return tally(simulate(STUDIES, n_seeds=10, customers=4_000))


def test_intervals_hold_the_truth_as_often_as_they_say(found):
    held, _ = found
    assert len(held) == 2 * (1 + 2 * 2)
    for (name, what), n in held.items():
        if (name, what) != ("p99", "of one policy"):  # whose tail has not been seen in so short runs
            assert n / STUDIES >= (0.95 if name == "mean-latency" else 0.92) - 3 * ERROR, (name, what, n)
    assert sum(held.values()) < len(held) * STUDIES, "they are too wide to be wrong ever"


def test_the_same_policy_under_another_name_is_seldom_told_apart(found):
    _, counts = found
    assert counts["wrong"] / STUDIES <= 0.05 + 3 * ERROR
    for name in ("mean-latency", "p99"):
        assert counts[f"faster {name} better"] / STUDIES > 0.8


def test_intervals_of_a_wrong_truth_are_noticed(found):
    """The bars are high enough to tell the faster policy from the baseline."""
    studies = list(simulate(20, n_seeds=10, customers=4_000))
    wrong = truth("mean-latency", "faster")
    assert np.mean([covers(t_interval(s["mean-latency"]["baseline"]), wrong) for s in studies]) < 0.7


def test_many_queues_at_once_are_what_the_simulator_serves(tmp_path):
    n, c = 3_000, 3
    rng = np.random.default_rng(2)
    gaps_s, services_s = rng.exponential(1 / 2.4, (n, 1)), rng.exponential(1.0, (n, 1))
    at_s = np.cumsum(gaps_s[:, 0])
    trace = support.ListTrace(at_s, [0] * n, services_s[:, 0])
    run = support.simulate(support.own(trace), make_policy("balance"), tmp_path, gpus=c)
    rows = run.table("invocations", ["invocation", "arrival_at_s", "completed_at_s"]).sort_values("invocation")
    latency_s = (rows["completed_at_s"] - rows["arrival_at_s"]).to_numpy()
    assert latency_s == pytest.approx(sojourns_s(gaps_s, services_s, c)[:, 0], rel=1e-6, abs=1e-6)


def test_the_truth_is_that_of_the_books():
    """M/M/1 has an exponential sojourn; M/M/4 at 80 % waits with 0.5964, and takes 1.7455 on average."""
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert mean_sojourn_s(1, 0.8, 1.0) == pytest.approx(5.0)
    assert sojourn_quantile_s(0.99, 1, 0.8, 1.0) == pytest.approx(math.log(100) / 0.2)
    assert erlang_c(4, 3.2) == pytest.approx(0.5964, abs=1e-4)
    assert mean_sojourn_s(4, 3.2, 1.0) == pytest.approx(1.7455, abs=1e-4)
    t_s = np.linspace(0, 60, 60_001)
    tail = np.array([sojourn_tail(t, 4, 3.2, 1.0) for t in t_s])
    assert (tail.sum() - tail[[0, -1]].mean()) * 0.001 == pytest.approx(1.7455, abs=1e-4)
