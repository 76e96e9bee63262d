"""Run times that vary in the simulated world."""

from __future__ import annotations

import numpy as np
import pytest

from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.workload import bind
from tests.support import POOL, own, poisson, same_tables, simulate

CATALOGUE = load_catalogue("kaas")


def run(directory, policy="balance", spread=0.0, **options):
    workload = bind(poisson(4000, 40.0, "constant", 5, 4), catalogue=CATALOGUE)
    return simulate(workload, make_policy(policy), directory, gpus=4, calibration=POOL.with_spread(spread), **options)


@pytest.mark.parametrize("policy", ["balance", "exclusive"])
@pytest.mark.parametrize("gpus_per_link", [1, 2])
def test_kernels_take_what_is_expected_times_a_factor_of_mean_one(tmp_path, policy, gpus_per_link):
    certain, varied = (
        run(tmp_path / str(s), policy, s, gpus_per_link=gpus_per_link)
        .table("invocations")
        .set_index("invocation")
        .sort_index()
        for s in (0.0, 0.3)
    )
    factors = varied.run_s / certain.run_s
    n = len(factors)
    assert factors.mean() == pytest.approx(1, abs=4 * 0.3 / n**0.5)
    assert np.log(factors).var() == pytest.approx(np.log1p(0.3**2), rel=4 * (2 / n) ** 0.5)
    assert (varied.expected_s == certain.expected_s).all(), "policies are told the mean"
    assert (varied.arrival_at_s == certain.arrival_at_s).all(), "arrivals don't shift"


def test_every_policy_meets_the_same_run_times(tmp_path):
    one, other = (
        run(tmp_path / p, p, 0.3).table("invocations").set_index("invocation").sort_index()
        for p in ("balance", "affinity")
    )
    assert (one.started_at_s != other.started_at_s).any()
    assert (one.run_s == other.run_s).all()


def test_a_seed_gives_the_same_run_times_again(tmp_path):
    run(tmp_path / "one", spread=0.3)
    run(tmp_path / "two", spread=0.3)
    assert same_tables(tmp_path / "one", tmp_path / "two")


def test_durations_of_the_trace_stay_as_they_are(tmp_path):
    workload = own(poisson(200, 10.0, "exponential", seed=1))
    runs = [
        simulate(workload, make_policy("balance"), tmp_path / str(s), calibration=POOL.with_spread(s))
        for s in (0.0, 0.3)
    ]
    assert runs[0].table("invocations").equals(runs[1].table("invocations"))
