"""Run times that vary: mean 1, the spread that was asked for, and draws that shift no others."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from sim.models.variation import Variation
from sim.streams import Stream, generator


def variation(*spread, seed=0):
    return Variation(np.array(spread, dtype=np.float64), generator(seed, Stream.RUN_TIME))


def draws(of, function, n):
    return [of.factor(function) for _ in range(n)]


@pytest.mark.parametrize("spread", [0.01, 0.3, 1.0])
def test_factors_have_mean_one_their_spread_and_a_normal_logarithm(spread):
    n = 100_000
    factors = np.array(draws(variation(spread), 0, n))
    assert factors.min() > 0
    # Four standard errors: of a mean, and of the variance of a normal law.
    assert factors.mean() == pytest.approx(1, abs=4 * spread / n**0.5)
    variance = np.log1p(spread**2)
    assert np.log(factors).var() == pytest.approx(variance, rel=4 * (2 / n) ** 0.5)
    standard = (np.log(factors) + variance / 2) / variance**0.5
    below = [np.mean(standard < x) for x in (-2, -1, 0, 1, 2)]
    assert below == pytest.approx([0.02275, 0.15866, 0.5, 0.84134, 0.97725], abs=4 * 0.5 / n**0.5)


def test_without_spread_the_factor_is_exactly_one_and_nothing_is_drawn():
    rng = generator(0, Stream.RUN_TIME)
    before = rng.bit_generator.state
    fixed = Variation(np.zeros(3), rng)
    assert draws(fixed, 2, 5000) == [1.0] * 5000
    assert rng.bit_generator.state == before
    assert not fixed.varies
    assert variation(0.0, 0.1).varies


def test_no_functions_are_no_variation():
    assert not variation().varies


def test_a_seed_gives_the_same_factors_and_another_one_others():
    assert draws(variation(0.2), 0, 10) == draws(variation(0.2), 0, 10)
    assert draws(variation(0.2), 0, 10) != draws(variation(0.2, seed=1), 0, 10)


def test_what_one_spread_draws_shifts_no_other():
    alone, beside = variation(0.2, 0.5, 0.0), variation(0.2, 0.5, 0.0)
    told = draws(alone, 0, 9000)
    seen = []
    for i in count():
        if len(seen) == len(told):
            break
        beside.factor(1 + i % 2)
        seen.append(beside.factor(0))
    assert seen == told


def test_functions_of_one_spread_share_a_sequence():
    shared, one = variation(0.2, 0.2), variation(0.2)
    assert [shared.factor(i % 2) for i in range(10)] == draws(one, 0, 10)
