"""When work piles up a run says so, and what grew; when it does not, it doesn't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sim.models.calibration import ByKind, FrontendFacts
from sim.policies import make_policy
from sim.protocol import Arrival, Reject
from sim.records.backlog import Backlog, is_steady
from tests.support import ideal, own, poisson, simulate


def backlog(arrived_at_s: Sequence[float], left_at_s: Sequence[float], duration_s: float = 100.0) -> Backlog:
    made = Backlog(duration_s, 1.0)
    made.add(np.asarray(arrived_at_s, float), np.asarray(left_at_s, float))
    return made


def test_what_waits_is_counted_at_the_end_of_each_interval():
    made = backlog([0.5, 0.5, 2.5, 4.5], [1.5, 3.0, np.nan, 4.75])
    assert made.waiting().tolist() == [2, 1, 2, 1, 1]


def test_added_in_parts_it_is_the_same():
    rng = np.random.default_rng(0)
    arrived = np.sort(rng.uniform(0, 100, 500))
    left = arrived + rng.exponential(3, 500)
    parts = Backlog(100.0, 1.0)
    for rows in np.array_split(rng.permutation(500), 7):
        parts.add(arrived[rows], left[rows])
    assert parts.waiting().tolist() == backlog(arrived, left).waiting().tolist()


@pytest.mark.parametrize(
    ("load", "steady"), [(0.5, True), (0.9, True), (1.02, False), (1.1, False), (2.0, False), (50.0, False)]
)
def test_a_fleet_that_keeps_up_is_steady_and_one_that_does_not_is_not(load, steady):
    """Evenly spaced arrivals, of which one a second is begun."""
    arrived = np.arange(20_000) / load
    left = np.maximum(arrived, np.arange(20_000) * 1.0)
    verdict = backlog(arrived, left, arrived[-1]).verdict()
    assert (verdict == "") is steady
    if not steady:
        assert verdict.startswith("not steady: ")


def test_a_backlog_that_is_worked_off_before_the_arrivals_end_is_no_trend():
    arrived = np.concatenate([np.linspace(0, 50, 1_000), np.linspace(50, 99, 100)])
    left = np.maximum(arrived, np.linspace(0, 70, 1_100))
    assert not backlog(arrived, left).verdict()


def test_nothing_and_a_single_burst_have_no_trend():
    assert not Backlog(0.0, 1.0).verdict()
    assert not backlog([0.0] * 100, [50.0] * 100).verdict()


@pytest.mark.parametrize(("rate_per_s", "n_warnings"), [(1.0, 0), (4.0, 1)])
def test_a_run_warns_when_the_fleet_is_overloaded(tmp_path, rate_per_s, n_warnings):
    run = simulate(own(poisson(5_000, rate_per_s, "constant", 1)), make_policy("balance"), tmp_path, gpus=2)
    assert len(run.warnings) == n_warnings
    assert is_steady(["something: else is not steady: at all", *run.warnings]) == (n_warnings == 0)
    if n_warnings:
        assert "of 5,000 at the last" in run.warnings[0]


def test_what_was_rejected_no_longer_waits(tmp_path):
    class Picky(type(make_policy("balance"))):
        name = "picky"

        def on_event(self, now_s, event, view):
            if type(event) is Arrival and not self._free:
                return (Reject(event.invocation, "busy"),)
            return super().on_event(now_s, event, view)

    assert not simulate(own(poisson(5_000, 4.0, "constant", 1)), Picky(), tmp_path, gpus=2).warnings


def test_what_waits_before_the_pool_is_counted_and_told(tmp_path):
    server = FrontendFacts(0.0, ByKind(1.0, 1.0), cores=1, max_outstanding=10**9, resume_frac=0.8)
    workload = own(replace(poisson(2_000, 2.0, "constant", 1), mean_s=0.001))
    run = simulate(workload, make_policy("balance"), tmp_path, gpus=4, calibration=ideal(frontend=server))
    assert len(run.warnings) == 2
    assert "its server, which takes at most 1 requests/s" in run.warnings[0]
    told = run.warnings[1]
    assert told.startswith("not steady: ")
    assert told.endswith("of them had not entered the pool")
