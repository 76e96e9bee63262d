"""Early stopping against the tables of the rules and against SciPy."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc
from scipy.stats import binom

from sim.loads.early_stopping import _probabilities, late_allowed, queries_needed

PERCENTILES = st.sampled_from([0.9, 0.97, 0.99])


@pytest.mark.parametrize(
    ("percentile", "needed"),
    [
        (0.9, {0: 44, 1: 64, 2: 81, 5: 127, 10: 197}),
        (0.97, {0: 152, 1: 219}),
        (0.99, {0: 459, 1: 662, 2: 838, 5: 1307, 10: 2010}),
        (0.999, {0: 4603, 1: 6636}),
    ],
)
def test_the_table_of_the_rules(percentile, needed):
    assert {t: queries_needed(t, percentile) for t in needed} == needed


def test_what_was_asked_for_before_early_stopping():
    assert late_allowed(270_336, 0.99) == 2583


@settings(max_examples=60)
@given(n_late=st.integers(0, 120), percentile=PERCENTILES)
def test_needed_is_the_least_with_a_small_incomplete_beta_function(n_late, percentile):
    n = queries_needed(n_late, percentile)
    on_time = n - n_late
    assert betainc(on_time, n_late + 1, percentile) <= 0.01
    assert on_time == 1 or betainc(on_time - 1, n_late + 1, percentile) > 0.01


@settings(max_examples=60)
@given(n_queries=st.integers(0, 5000), percentile=PERCENTILES)
def test_allowed_is_the_most_that_need_no_more(n_queries, percentile):
    allowed = late_allowed(n_queries, percentile)
    assert allowed < 0 or queries_needed(allowed, percentile) <= n_queries
    assert queries_needed(allowed + 1, percentile) > n_queries


@pytest.mark.parametrize(("n", "percentile"), [(1, 0.9), (50, 0.9), (3000, 0.99), (300_000, 0.999)])
def test_the_sum_is_the_binomial_tail(n, percentile):
    tail = [p for _, p in zip(range(400), accumulate(_probabilities(n, percentile)), strict=False)]
    np.testing.assert_allclose(tail, binom.cdf(np.arange(len(tail)), n, 1 - percentile), rtol=1e-8, atol=1e-300)
