"""Intervals over replications: against formulas by hand, scipy's own tests, and known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.bootstrap import LEAST, bca
from analysis.statistics.interval import no_interval, t_interval
from analysis.statistics.precision import precise
from analysis.statistics.replications import paired, replicated

RNG = np.random.default_rng(1)
VALUES = RNG.exponential(2.0, 12)


def test_the_t_interval_is_that_of_the_formula():
    found = t_interval(VALUES, 0.9)
    low, high = stats.t.interval(0.9, 11, VALUES.mean(), stats.sem(VALUES))
    assert (found.estimate, found.low, found.high) == pytest.approx((VALUES.mean(), low, high))
    assert (found.confidence, found.n, found.method) == (0.9, 12, "t")
    assert found.half_width == pytest.approx((high - low) / 2)


def test_equal_values_have_an_interval_without_width():
    found = t_interval(np.full(7, 0.1))
    assert found.low == found.estimate == found.high


@pytest.mark.parametrize("values", [[], [3.0]])
@pytest.mark.parametrize("skewed", [False, True])
def test_one_value_has_no_interval_and_says_why(values, skewed):
    found = replicated(np.array(values), skewed=skewed)
    assert not found.known
    assert found.method.startswith("none") or "few" in found.method
    assert math.isnan(found.estimate) == (not values)
    assert math.isnan(no_interval(1.0, 0.95, 1, "x").half_width)


def test_a_skewed_measure_has_a_bootstrap_of_enough_values_and_a_t_interval_of_fewer():
    assert replicated(VALUES, skewed=True).method == "BCa"
    few = replicated(VALUES[: LEAST - 1], skewed=True)
    assert few.low == t_interval(VALUES[: LEAST - 1]).low
    assert "too few" in few.method
    assert replicated(np.full(LEAST, 2.0), skewed=True).half_width == 0


def test_the_bootstrap_follows_the_skew_and_is_the_same_every_time():
    found = bca((VALUES,), np.mean, 0.95)
    assert found.high - found.estimate > found.estimate - found.low
    assert found == bca((VALUES,), np.mean, 0.95)


def test_of_many_normal_values_bootstrap_and_t_agree():
    values = RNG.normal(10, 1, 400)
    by_bca, by_t = bca((values,), np.mean, 0.95), t_interval(values)
    assert (by_bca.low, by_bca.high) == pytest.approx((by_t.low, by_t.high), abs=0.02)


def test_of_few_values_the_bootstrap_is_as_wide_as_student_has_it():
    """Without wider levels it would be narrower by a fifth."""
    values = stats.norm.ppf((np.arange(10) + 0.5) / 10)
    assert bca((values,), np.mean, 0.95).half_width == pytest.approx(t_interval(values).half_width, rel=0.07)


def test_a_pair_of_policies_has_the_p_of_the_paired_t_test():
    value = 0.9 * VALUES + RNG.normal(0, 0.2, 12)
    for skewed in (False, True):
        found = paired(value, VALUES, skewed=skewed)
        assert found.p == pytest.approx(stats.ttest_rel(value, VALUES).pvalue)
        assert found.difference.estimate == pytest.approx((value - VALUES).mean())
        assert found.difference.method == ("BCa" if skewed else "t")
    assert found.ratio.estimate == pytest.approx(value.mean() / VALUES.mean())
    assert found.ratio.low < found.ratio.estimate < found.ratio.high


def test_pairs_cancel_what_both_suffer():
    """Seeds differ by far more than policies, and the difference is found all the same."""
    value = VALUES - 0.1 + RNG.normal(0, 0.01, 12)
    assert paired(value, VALUES).difference.high < 0
    assert t_interval(value).high > t_interval(VALUES).low


def test_the_ratio_of_few_pairs_is_by_the_delta_method():
    value, base = np.array([2.0, 4.1, 5.9, 8.2]), np.array([1.0, 2.0, 3.0, 4.0])
    found = paired(value, base).ratio
    rest = value - found.estimate * base
    half = stats.t.ppf(0.975, 3) * rest.std(ddof=1) / 2 / base.mean()
    assert found.high - found.estimate == pytest.approx(half)
    assert "too few" in found.method


def test_policies_that_are_the_same_in_every_pair_do_not_differ():
    found = paired(VALUES, VALUES.copy(), skewed=True)
    assert found.p == 1
    assert found.difference.low == found.difference.high == 0
    assert found.ratio.low == found.ratio.high == 1


def test_a_difference_that_is_the_same_in_every_pair_is_certain():
    counts = np.arange(5.0)
    assert paired(counts + 1, counts).p == 0
    assert paired(3 * VALUES, VALUES).ratio.half_width == 0


def test_a_baseline_of_zero_has_no_ratio():
    found = paired(np.ones(9), np.zeros(9))
    assert math.isnan(found.ratio.estimate)
    assert "not above 0" in found.ratio.method
    assert found.difference.estimate == 1


def test_one_pair_and_none_have_no_p():
    assert math.isnan(paired(np.ones(1), np.ones(1)).p)
    assert not paired(np.ones(1), np.ones(1)).ratio.known
    assert math.isnan(paired(np.empty(0), np.empty(0)).p)


def test_stopping_waits_for_precision_and_for_ten_replications():
    assert precise(RNG.normal(100, 1, 10), 0.05).reached
    assert not precise(np.full(5, 3.0), 0.05).reached
    assert precise(np.full(5, 3.0), 0.05).n_needed == 10
    assert precise(np.array([1.0]), 0.05).n_needed is None
    assert precise(np.array([-1.0, 1.0]), 0.05).n_needed is None


def test_as_many_replications_as_it_asks_for_are_enough():
    values = RNG.normal(100, 30, 20)
    asked = precise(values, 0.05)
    assert not asked.reached
    again = RNG.normal(size=asked.n_needed)
    again = values.mean() + (again - again.mean()) * values.std(ddof=1) / again.std(ddof=1)
    assert precise(again, 0.05).reached
    assert precise(again, 0.05).interval.half_width == pytest.approx(0.05 / 1.05 * values.mean(), rel=0.01)
