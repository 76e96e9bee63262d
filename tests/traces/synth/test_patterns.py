"""Arrival patterns against theory: mean rate, irregularity, and how long it lasts."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from sim.errors import TraceError
from traces.cli.synth import synth
from traces.synth.patterns import PATTERNS, Bursty, Gamma, Mmpp, Periodic, Poisson, Sporadic, make_pattern

DAY_S = 86_400.0


def instants(pattern, rate_per_s=5.0, horizon_s=10 * DAY_S, seed=1):
    return np.concatenate([np.empty(0), *pattern.instants(np.random.default_rng(seed), rate_per_s, horizon_s)])


def counts(at_s, horizon_s, width_s=60.0):
    return np.bincount((at_s / width_s).astype(int), minlength=round(horizon_s / width_s))


def cv_of_rates(count):
    """CV of the rates behind the counts of minutes: a Poisson count adds 1 / mean to the squared CV."""
    return math.sqrt(count.var() / count.mean() ** 2 - 1 / count.mean())


@pytest.mark.parametrize("pattern", [make_pattern(name) for name in PATTERNS], ids=list(PATTERNS))
def test_instants_ascend_within_the_horizon(pattern):
    blocks = list(pattern.instants(np.random.default_rng(0), 40.0, 20_000.0))
    at_s = np.concatenate(blocks)
    assert (np.diff(at_s) >= 0).all()
    assert at_s[0] >= 0
    assert at_s[-1] < 20_000
    assert max(map(len, blocks)) < 200_000


@pytest.mark.parametrize("pattern", [make_pattern(name) for name in PATTERNS], ids=list(PATTERNS))
def test_the_same_generator_gives_the_same_instants(pattern):
    assert instants(pattern, horizon_s=DAY_S).tolist() == instants(pattern, horizon_s=DAY_S).tolist()


@pytest.mark.parametrize("pattern", [make_pattern(name) for name in PATTERNS], ids=list(PATTERNS))
def test_the_mean_rate_is_the_asked_one(pattern):
    """Within four standard errors, estimated from 20 independent runs."""
    rates = [len(instants(pattern, 2.0, 2 * DAY_S, seed)) / (2 * DAY_S) for seed in range(20)]
    assert np.mean(rates) == pytest.approx(2.0, abs=4 * np.std(rates) / math.sqrt(20) + 1e-3)


def test_poisson_gaps_are_exponential():
    gaps = np.diff(instants(Poisson(), 0.1, DAY_S))
    assert stats.kstest(gaps, "expon", args=(0, 10.0)).pvalue > 0.01


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_gamma_gaps_have_their_distribution(cv):
    gaps = np.diff(instants(Gamma(cv), 0.1, DAY_S))
    assert stats.kstest(gaps, stats.gamma(cv**-2, scale=10 * cv**2).cdf).pvalue > 0.01


@pytest.mark.parametrize("cv", [0.5, 3.0])
def test_gamma_counts_of_long_intervals_are_dispersed_by_the_squared_cv(cv):
    """The index of dispersion of a renewal process tends to cv^2 (Cox, Renewal Theory, section 3.3)."""
    count = counts(instants(Gamma(cv)), 10 * DAY_S, width_s=600.0)
    assert count.var() / count.mean() == pytest.approx(cv**2, rel=0.15)


def test_an_mmpp_has_two_rates_for_exponential_times():
    """Index of dispersion of counts: Fischer and Meier-Hellstern, "The MMPP cookbook", Perf. Evaluation 18 (1993)."""
    pattern, rate, horizon_s = Mmpp(ratio=9.0, high_s=100.0, low_s=300.0), 3.0, 40 * DAY_S
    low = rate * 400 / (9 * 100 + 300)
    variance = (8 * low) ** 2 * (100 / 400) * (300 / 400)
    correlation_s = 1 / (1 / 100 + 1 / 300)
    at_s = instants(pattern, rate, horizon_s)
    for t in (10.0, 60.0, 1200.0):
        x = t / correlation_s
        expected = 1 + 2 * variance / rate * correlation_s * (1 - (1 - math.exp(-x)) / x)
        count = counts(at_s, horizon_s, t)
        assert count.var() / count.mean() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("cv", [0.3, 0.76, 0.95, 2.0])
def test_bursty_minutes_have_their_cv_and_last(cv):
    """And neighbours are correlated as exp(-1/2) on average over a minute each: 0.72."""
    count = counts(instants(Bursty(cv), 3.0, 20 * DAY_S), 20 * DAY_S)
    assert cv_of_rates(count) == pytest.approx(cv, rel=0.05)
    x = 0.5
    expected = (1 - math.exp(-x)) ** 2 / (2 * (x - 1 + math.exp(-x)))
    covariance = np.cov(count[1:], count[:-1])[0, 1]
    assert covariance / (cv_of_rates(count) * count.mean()) ** 2 == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("cv", [0.5, 0.92, 1.39])
def test_a_periodic_load_has_its_cv_and_its_period(cv):
    count = counts(instants(Periodic(cv, period_s=7200.0), 20.0), 10 * DAY_S)
    assert cv_of_rates(count) == pytest.approx(cv, rel=0.03)
    assert np.corrcoef(count[120:], count[:-120])[0, 1] > 0.97
    assert np.corrcoef(count[60:], count[:-60])[0, 1] < 0


@pytest.mark.parametrize("cv", [2.36, 6.83])
def test_a_sporadic_load_is_idle_but_for_single_minutes(cv):
    count = counts(instants(Sporadic(cv), 1.0, 60 * DAY_S), 60 * DAY_S)
    assert cv_of_rates(count) == pytest.approx(cv, rel=0.06)
    assert np.mean(count == 0) == pytest.approx(1 - 1 / (1 + cv**2), abs=0.01)
    assert np.corrcoef(count[1:], count[:-1])[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("name", ["bursty", "periodic", "sporadic"])
def test_the_default_is_the_published_load(sample, name):
    """StreamBox's counts: their CV, and the share of idle minutes that the pattern's docstring tells."""
    load = np.array((sample("streambox-loads") / f"{name}-load.txt").read_text().split(), float)
    assert PATTERNS[name]().cv == pytest.approx(load.std() / load.mean(), abs=0.006)
    idle = np.mean(counts(instants(PATTERNS[name](), 20.0), 10 * DAY_S) == 0)
    assert idle == pytest.approx((load == 0).mean(), abs=0.16 if name == "periodic" else 0.01)


def test_parameters_are_read():
    assert make_pattern("gamma[cv=2.5]") == Gamma(cv=2.5)
    assert make_pattern(" mmpp[ ratio = 4, low_s=9 ] ") == Mmpp(ratio=4, low_s=9)
    assert make_pattern("poisson") == Poisson()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("weibull", "unknown arrivals 'weibull'; known are azure, poisson, gamma, mmpp, bursty, periodic, sporadic"),
        ("gamma[cv", "must look like NAME or NAME"),
        ("gamma[shape=2]", "gamma takes cv, not 'shape'"),
        ("poisson[cv=1]", "poisson takes no parameters, not 'cv'"),
        ("gamma[cv=0]", "cv is '0', must be a number of 0.001 or more"),
        ("gamma[cv=high]", "cv is 'high'"),
        ("gamma[cv=nan]", "cv is 'nan'"),
        ("gamma[cv]", "cv is ''"),
        ("mmpp[high_s=0.5]", "high_s is '0.5', must be a number of 1 or more"),
        ("periodic[period_s=inf]", "period_s is 'inf'"),
    ],
)
def test_what_is_no_pattern_is_refused(text, match):
    with pytest.raises(TraceError, match=match):
        make_pattern(text)


def test_every_pattern_has_the_parameters_that_the_command_lists():
    listed = next(p.help for p in synth.params if p.name == "arrivals")
    for name, pattern in PATTERNS.items():
        names = ",".join(f.name for f in dataclasses.fields(pattern))
        assert f"{name}[{names}]" in listed or (not names and name in listed)
