"""Where counted invocations arrive in their minute, and how counts scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from traces.arrivals.placement import place, scale_counts
from traces.options import PLACEMENTS

COUNTS = np.array([3, 1, 4])


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("placement", [p for p in PLACEMENTS if p != "poisson"])
def test_counts_are_kept(placement):
    cell, offset_s = place(COUNTS, placement, rng())
    assert np.bincount(cell).tolist() == COUNTS.tolist()
    assert len(offset_s) == COUNTS.sum()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_offsets_are_in_the_minute(placement):
    _, offset_s = place(np.array([1000]), placement, rng())
    assert offset_s.min() >= 0
    assert offset_s.max() < 60


def test_equidistant_is_the_middle_of_equal_slots():
    _, offset_s = place(COUNTS, "equidistant", rng())
    assert offset_s.tolist() == [10, 30, 50, 30, 7.5, 22.5, 37.5, 52.5]


def test_start_is_the_start():
    assert place(COUNTS, "start", rng())[1].tolist() == [0.0] * 8


@pytest.mark.parametrize("placement", ["uniform", "poisson"])
def test_random_offsets_are_uniform(placement):
    _, offset_s = place(np.array([100_000]), placement, rng())
    assert stats.kstest(offset_s, "uniform", (0, 60)).pvalue > 1e-3


def test_poisson_draws_the_count():
    """Mean and variance of the count are both 9."""
    cell, _ = place(np.full(20_000, 9), "poisson", rng())
    n = np.bincount(cell, minlength=20_000)
    assert n.mean() == pytest.approx(9, abs=0.1)
    assert n.var() == pytest.approx(9, rel=0.05)


@given(st.integers(0, 50), st.integers(1, 5), st.integers(0, 2**32))
def test_whole_scales_are_exact(count, scale, seed):
    assert scale_counts(np.array([count]), float(scale), rng(seed)).tolist() == [count * scale]


@given(st.integers(0, 1000), st.floats(0.001, 20), st.integers(0, 2**32))
def test_scaled_counts_stay_between_the_whole_scales(count, scale, seed):
    scaled = scale_counts(np.array([count]), scale, rng(seed))[0]
    assert count * int(scale) <= scaled <= count * (int(scale) + 1)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.25, 3.7])
def test_scaled_counts_have_the_scaled_mean(scale):
    counts = np.full(50_000, 4)
    assert scale_counts(counts, scale, rng()).mean() == pytest.approx(4 * scale, rel=0.02)
