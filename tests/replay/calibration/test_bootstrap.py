"""Intervals of autocorrelated samples: how often they have what is known to be true."""

from __future__ import annotations

import numpy as np
import pytest

from replay.calibration.bootstrap import block_length, interval, student
from replay.calibration.estimates import mean, ratio


def autoregression(r, n, cases, rng):
    """Cases of a stationary first-order autoregression with mean 0 (cases x n)."""
    shocks = rng.standard_normal((cases, n))
    x = np.empty((cases, n))
    x[:, 0] = shocks[:, 0] / np.sqrt(1 - r**2)
    for i in range(1, n):
        x[:, i] = r * x[:, i - 1] + shocks[:, i]
    return x


def covers(cases, truth, statistic, rng):
    found = [interval(case, statistic, rng) for case in cases]
    return np.mean([low <= truth <= high for low, high, _ in found])


@pytest.mark.parametrize(("r", "n"), [(-0.5, 100), (0.0, 100), (0.5, 100), (0.8, 100), (0.9, 200), (0.9, 500)])
def test_intervals_of_a_mean_have_it_in_nine_of_ten_cases(r, n, monkeypatch):
    monkeypatch.setattr("replay.calibration.bootstrap.RESAMPLES", 400)
    rng = np.random.default_rng(7)
    assert 0.9 <= covers(autoregression(r, n, 300, rng)[:, :, None], 0.0, mean, rng) <= 0.99


def test_intervals_of_a_ratio_have_it_too(monkeypatch):
    monkeypatch.setattr("replay.calibration.bootstrap.RESAMPLES", 400)
    rng = np.random.default_rng(3)
    size = rng.integers(1, 9, (200, 1000)) * 1e6
    seconds = size / 4e9 * np.exp(0.1 * autoregression(0.8, 1000, 200, rng))
    truth = 4e9 / np.exp(0.1**2 / (1 - 0.8**2) / 2)  # the mean of a lognormal
    assert covers(np.stack([size, seconds], axis=2), truth, ratio, rng) >= 0.9


def test_drawing_rows_one_by_one_would_miss_it(monkeypatch):
    """The reason for blocks: without them, and without what makes up for their shortness."""
    monkeypatch.setattr("replay.calibration.bootstrap.RESAMPLES", 400)
    monkeypatch.setattr("replay.calibration.bootstrap.block_length", lambda series: 1.0)
    monkeypatch.setattr("replay.calibration.bootstrap._widening", lambda series, block: 1.0)
    rng = np.random.default_rng(7)
    assert covers(autoregression(0.8, 100, 300, rng)[:, :, None], 0.0, mean, rng) < 0.6


def test_blocks_are_as_long_as_neighbours_are_alike():
    rng = np.random.default_rng(1)
    lengths = [np.mean([block_length(x) for x in autoregression(r, 500, 50, rng)]) for r in (0.0, 0.5, 0.9)]
    assert 1 <= lengths[0] < 3 < lengths[1] < 15 < lengths[2] < 67, "3 * sqrt(500) is the most"
    assert block_length(np.full(50, 0.1)) == block_length(np.arange(3.0)) == 1


def test_the_block_length_is_the_published_formula():
    """Politis and White's example: of an autoregression, (2 G^2 / D)^(1/3) n^(1/3) with G and g known."""
    r, n = 0.5, 200_000
    x = autoregression(r, n, 1, np.random.default_rng(5))[0]
    g = (1 + r) / (1 - r)
    slope = 2 * r / (1 - r) ** 2
    assert block_length(x) == pytest.approx((slope / g) ** (2 / 3) * n ** (1 / 3), rel=0.1)


def test_constant_samples_have_an_interval_without_length():
    assert interval(np.full((20, 1), 0.1), mean, np.random.default_rng(0))[:2] == pytest.approx((0.1, 0.1))


def test_quantiles_of_student():
    """From the table in Abramowitz and Stegun, 26.10."""
    for degrees, tabled in ((2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1e9, 1.960)):
        assert student(degrees) == pytest.approx(tabled, rel=0.01)
