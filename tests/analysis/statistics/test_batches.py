"""Batch means, the check of their independence, and warm-up by MSER-5."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.batches import batch_means, in_batches, lag_1, von_neumann
from analysis.statistics.warmup import mser5


def correlated(n, rho, seed=0):
    """An autoregressive sequence of mean 5: neighbours have the correlation rho."""
    rng = np.random.default_rng(seed)
    values = np.empty(n)
    values[0] = rng.normal()
    for i, noise in enumerate(rng.normal(0, np.sqrt(1 - rho**2), n - 1)):
        values[i + 1] = rho * values[i] + noise
    return 5 + values


def test_independent_values_are_told_by_the_most_batches():
    found = batch_means(correlated(10_000, 0.0))
    assert found.interval.n == 20
    assert found.interval.low < 5 < found.interval.high
    assert found.interval.half_width == pytest.approx(0.02, rel=0.3)
    assert batch_means(correlated(9_999, 0.0)).interval.n == 10


def test_correlation_makes_batches_wider_than_the_plain_standard_error():
    values = correlated(40_000, 0.95)
    found = batch_means(values)
    assert found.interval.known
    assert found.interval.half_width > 4 * 1.96 * values.std() / np.sqrt(len(values))


def test_too_strong_a_correlation_gets_no_interval():
    walk = np.cumsum(np.random.default_rng(0).normal(size=10_000))
    found = batch_means(walk)
    assert not found.interval.known
    assert found.interval.estimate == walk.mean()
    assert found.lag1 > 0.3
    assert "10 batches depend on each other" in found.interval.method


def test_a_short_run_has_no_batches():
    for n in (0, 4_999):
        assert "too short" in batch_means(np.ones(n)).interval.method
    assert batch_means(np.ones(5_000)).interval.n == 10


def test_batches_are_means_of_neighbours_and_the_rest_goes_at_the_beginning():
    assert in_batches(np.array([9.0, 1, 2, 3, 4, 5, 6]), 3).tolist() == [1.5, 3.5, 5.5]


def test_von_neumann_holds_its_level_and_finds_correlation():
    rng = np.random.default_rng(0)
    p = np.array([von_neumann(rng.normal(size=20)) for _ in range(2_000)])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean([von_neumann(correlated(40, 0.6, seed)) <= 0.05 for seed in range(100)]) > 0.9
    assert von_neumann(np.ones(10)) == 1


def test_lag_1_is_the_correlation_of_neighbours():
    assert lag_1(correlated(50_000, 0.7)) == pytest.approx(0.7, abs=0.02)
    assert lag_1(np.ones(10)) == 0


def slow_mser5(values):
    """As the paper has it: for every truncation the squared standard error of what is left."""
    z = values[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    k = len(z)
    return 5 * int(np.argmin([np.sum((z[d:] - z[d:].mean()) ** 2) / (k - d) ** 2 for d in range(k - 5)]))


@pytest.mark.parametrize("seed", range(3))
def test_mser_5_cuts_the_warm_up_as_the_formula_says(seed):
    values = correlated(2_000, 0.5, seed)
    values[:300] += np.linspace(20, 0, 300)
    found = mser5(values)
    assert found == slow_mser5(values)
    assert 200 <= found <= 400


def test_mser_5_is_not_led_astray_by_a_large_mean():
    values = correlated(2_000, 0.5)
    assert mser5(values + 1e6) == mser5(values)


def test_a_run_that_never_settles_has_no_answer():
    assert mser5(np.linspace(0, 1, 1_000)) is None
    assert mser5(np.ones(49)) is None
    assert mser5(np.ones(50)) == 0
