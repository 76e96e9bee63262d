"""A histogram against the numbers it counted: quantiles within the stated error, everything else exact."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.records.histogram import FEW, RELATIVE_ERROR, Histogram

SHARES = np.append(np.linspace(0, 1, 1001), [0.999, 0.9999, 1e-9])
TIMES_S = st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.sampled_from([1.0, 2.0, 0.1, 1 / 3, 255 / 256]))


def of(values, parts=1, few=FEW):
    made = Histogram(few)
    for part in np.array_split(np.asarray(values, dtype=np.float64), parts):
        made.add(part)
    return made


def check(counted, values):
    """Whether a histogram may say of these values what it says."""
    assert counted.count == len(values)
    assert (counted.least, counted.most) == (min(values), max(values))
    assert counted.total == pytest.approx(math.fsum(values), rel=1e-12)
    exact, found = np.quantile(values, SHARES), counted.quantiles(SHARES)
    error = np.abs(found - exact)
    # rounding of what is linear between neighbours is no error of buckets
    assert (error <= RELATIVE_ERROR * exact * (1 + 1e-9)).all()
    assert found[[0, 1000]].tolist() == [counted.least, counted.most]


def test_the_error_is_at_most_half_a_percent():
    assert RELATIVE_ERROR < 0.005


@given(st.lists(TIMES_S, min_size=1, max_size=60), st.integers(1, 9))
def test_quantiles_are_within_the_error_whatever_is_counted(values, parts):
    counted = of(values, parts, few=0)
    assert not counted.exact
    check(counted, values)


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1.0, 1e9])
@pytest.mark.parametrize("zero_frac", [0.0, 0.3, 0.999])
def test_quantiles_of_many_numbers_are_within_the_error(scale, zero_frac):
    rng = np.random.default_rng(0)
    values = scale * rng.lognormal(0, 3, 50_000) * (rng.random(50_000) >= zero_frac)
    check(of(values, 7), values)


def test_the_worst_number_of_a_bucket_is_as_wrong_as_stated():
    """Below the middle of the first bucket over a power of two; else the error could be stated smaller."""
    counted = of(np.append(np.ones(3 * FEW), [0.5, 2.0]))
    assert counted.quantiles([0.5])[0] == 1 + RELATIVE_ERROR


@pytest.mark.parametrize("n", [1, 2, 3, 100, FEW])
def test_quantiles_of_few_numbers_are_exact(n):
    values = np.random.default_rng(n).lognormal(0, 3, n)
    counted = of(values, min(n, 7))
    assert counted.exact
    assert counted.quantiles(SHARES).tolist() == np.quantile(values, SHARES).tolist()


def test_quantiles_lie_between_neighbours():
    values = np.repeat([1.0, 100.0], 5000)
    assert np.quantile(values, 0.5) == 50.5
    assert of(values).quantiles([0.5])[0] == pytest.approx(50.5, rel=RELATIVE_ERROR)


def test_quantiles_of_equal_numbers_are_that_number():
    assert set(of(np.full(2 * FEW, 0.1)).quantiles(SHARES)) == {0.1}


@given(st.lists(st.lists(TIMES_S, max_size=20), min_size=1, max_size=5), st.sampled_from([0, 30, FEW]))
def test_merged_ones_say_what_one_of_all_says(parts, few):
    values = [value for part in parts for value in part]
    merged, whole = Histogram(few), of(values, few=few)
    for part in parts:
        merged.merge(of(part, few=few))
    plain, expected = merged.as_plain(), whole.as_plain()
    assert plain.pop("sum") == pytest.approx(expected.pop("sum"), rel=1e-12)
    assert plain == expected


def test_merging_leaves_the_other_as_it_was():
    one, other = of([1.0, 2.0]), of([4.0])
    one.merge(other)
    one.merge(other)
    check(one, [1.0, 2.0, 4.0, 4.0])
    check(other, [4.0])


@pytest.mark.parametrize("n", [0, 1, FEW, FEW + 1])
def test_plain_data_bring_back_a_histogram_that_counts_on(n):
    values = np.random.default_rng(n).exponential(1.0, n + 9)
    counted = of(values[:n])
    restored = Histogram.of_plain(json.loads(json.dumps(counted.as_plain(), allow_nan=False)))
    assert restored.as_plain() == counted.as_plain()
    assert restored.exact is counted.exact
    restored.add(values[n:])
    check(restored, values)


def test_memory_follows_the_range_and_not_the_number():
    values = np.random.default_rng(0).uniform(1.0, 1024.0, 200_000)
    assert len(of(values, 9).as_plain()["counts"]) == 10 * 128  # 10 powers of two


def test_what_has_no_bucket_counts_as_zero():
    counted = of(np.append(np.full(FEW, 1.0), [-1e-9, 5e-324] * FEW))
    assert counted.quantiles([0.1, 0.5]).tolist() == [0.0, 0.0]
    assert counted.least == -1e-9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_and_nothing_is_counted(value):
    counted = of([1.0])
    with pytest.raises(ValueError, match="finite"):
        counted.add(np.array([1.0, value]))
    assert counted.count == 1
