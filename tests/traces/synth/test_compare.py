"""The synthetic trace and the published statistics of Azure Functions 2019, each within its stated tolerance."""

import re

import numpy as np
import pytest
from scipy import stats

from tests.docs.pages import ROOT, blocks
from traces.arrivals.minutes import MinuteTrace
from traces.open import open_trace
from traces.synth import facts
from traces.synth.azure2019 import write_azure2019
from traces.synth.compare import Statistic, compare
from traces.synth.curves import curves, if_invoked, top_share
from traces.synth.measure import measure
from traces.synth.work import burr_mb, normal_quantile

PAGE = ROOT / "docs" / "howto" / "synthetic-traces.md"


def measured_of(path, **size):
    write_azure2019(path, **size)
    trace = open_trace(path)
    assert isinstance(trace, MinuteTrace)
    return measure(trace)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A day of 20,000 functions, some 400 million invocations."""
    return measured_of(tmp_path_factory.mktemp("day"), n_functions=20_000, minutes=1440)


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """Two weeks of 600 functions."""
    return measured_of(tmp_path_factory.mktemp("fortnight"), n_functions=600, minutes=20_160)


def test_every_published_statistic_is_met_within_its_tolerance(day):
    statistics = compare(day)
    assert [s for s in statistics if not s.holds] == []
    for word in (
        "invocations a day",
        "top",
        "functions: ",
        "apps: ",
        "invocations: ",
        "apps of at most",
        "CV",
        "variance",
    ):
        assert any(word in s.name for s in statistics), word
    for word in ("mean of at most", "maximum", "rank correlation", "logarithm", "memory"):
        assert any(word in s.name for s in statistics), word


def test_the_page_shows_these_statistics(day):
    """All of them, to about the digits that are shown: they may differ a little with another version of NumPy."""
    (shown,) = (block.text for block in blocks(PAGE) if block.text.lstrip().startswith("published"))
    rows = [re.fullmatch(r"(.*?) +(\S+) +(\S+) +(\S+)", line).groups() for line in shown.splitlines()[1:]]
    statistics = compare(day)
    assert [name for name, *_ in rows] == [s.name for s in statistics]
    for statistic, (name, *numbers) in zip(statistics, rows, strict=True):
        published, measured, tolerance = map(float, numbers)
        assert statistic.published == pytest.approx(published, rel=0.006), name
        assert statistic.measured == pytest.approx(measured, rel=0.006, abs=0.2 * tolerance), name
        assert statistic.tolerance == pytest.approx(tolerance, rel=0.06), name


def test_the_hours_of_two_weeks_swing_as_published(fortnight):
    hours = {s.name: s for s in compare(fortnight) if "hour" in s.name}
    assert len(hours) == 2
    assert all(s.holds for s in hours.values()), hours


def test_a_day_has_no_range_of_hours_to_compare(day):
    assert not any("hour" in s.name for s in compare(day))


def test_a_statistic_holds_up_to_its_tolerance():
    assert Statistic("", 0.5, 0.6, 0.11).holds
    assert not Statistic("", 0.5, 0.6, 0.09).holds
    assert not Statistic("", 0.5, 0.4, 0.09).holds


def test_a_trace_that_is_not_like_it_is_found_out(tmp_path):
    """Eight functions at a rate 100 times as high."""
    statistics = compare(measured_of(tmp_path, n_functions=8, minutes=60, rate_per_s=100.0))
    assert sum(not s.holds for s in statistics) > 5


def test_curves_are_near_where_laws_are_published(day):
    """The largest distance of the two distribution functions of durations and of memory."""
    for title, distance in (("Duration of functions", 0.02), ("Memory of apps", 0.04)):
        curve = next(c for c in curves(day) if c.title == title)
        x, share = curve.measured
        at_published = np.interp(curve.published[0], x, share)
        assert np.abs(at_published - curve.published[1]).max() < distance


def test_curves_are_distributions(day):
    for curve in curves(day):
        for x, share in (curve.published, curve.measured):
            assert len(x) == len(share) > 2
            assert (np.diff(x) >= 0).all()
            assert (np.diff(share) >= 0).all()
            assert 0 <= share[0] <= share[-1] <= 1 + 1e-9


def test_inter_arrival_times_are_those_of_the_arrivals(tmp_path):
    """Against all arrivals, one by one; no app of this trace has more arrivals than are looked at."""
    write_azure2019(tmp_path, n_functions=60, minutes=600, rate_per_s=0.3)
    trace = open_trace(tmp_path)
    measured = measure(trace)
    app, at_s = [], []
    for chunk in trace.chunks():
        app.append(measured.app[chunk.function])
        at_s.append(chunk.at_s)
    app, at_s = np.concatenate(app), np.concatenate(at_s)
    n_known = 0
    for number, cv in enumerate(measured.app_cv):
        gaps = np.diff(at_s[app == number])
        assert np.isfinite(cv) == (len(gaps) >= 9)
        if np.isfinite(cv):
            n_known += 1
            assert cv == pytest.approx(gaps.std() / gaps.mean(), rel=0.1, abs=0.05)  # another placement in the minute
    assert n_known > 5


def test_a_genuine_sample_has_the_figures_that_were_taken_from_it(sample):
    """Measured in the same way as a synthetic trace, over the 8 hours of the sample."""
    measured = {
        s.name: s.measured for s in compare(measure(open_trace(sample("azure2019-500fn"), window="08:00-16:00")))
    }
    assert measured["rank correlation of rate and mean"] == pytest.approx(facts.RATE_DURATION_CORRELATION, abs=0.01)
    assert measured["variance / mean of counts in 1 min"] == pytest.approx(facts.VARIANCE_TO_MEAN[1], rel=0.2)
    assert measured["variance / mean of counts in 5 min"] == pytest.approx(facts.VARIANCE_TO_MEAN[5], rel=0.2)
    assert measured["memory of apps, p50, in MiB"] == 154.5
    assert measured["functions: timer"] == pytest.approx(0.49, abs=0.005)


def test_variances_are_those_of_the_counts(tmp_path):
    write_azure2019(tmp_path, n_functions=30, minutes=1440, rate_per_s=5.0)
    trace = open_trace(tmp_path)
    day, n = trace.days[0], len(trace.functions)
    counts = np.zeros((n, 1440))
    counts[day.function, np.repeat(day.minutes, np.diff(day.indptr))] = day.count
    busy = [i for i, f in enumerate(trace.functions) if f.trigger != "timer" and counts[i].mean() > 1]
    five = counts[busy].reshape(len(busy), -1, 5).sum(axis=2)
    assert measure(trace).variance_to_mean[5] == pytest.approx(np.median(five.var(axis=1) / five.mean(axis=1)))


def test_rates_of_a_short_trace_are_compared_with_those_that_it_can_have():
    """Of functions with one invocation in a day or more, 0.22 of 0.67 have up to 10."""
    rates, cdf = if_invoked(facts.RATE_A_DAY, facts.RATE_CDF, 1.0)
    assert rates[0] == 10
    assert cdf[0] == pytest.approx((0.55 - 0.33) / 0.67)
    assert cdf[-1] == pytest.approx((0.99 - 0.33) / 0.67)


def test_the_share_of_the_most_invoked_has_one_at_least():
    assert top_share(np.array([1, 5, 2, 2]), 0.01) == 0.5
    assert top_share(np.array([1, 5, 2, 2]), 0.5) == 0.7


def test_the_laws_are_the_published_ones():
    """Burr XII and normal, against scipy."""
    p = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    burr = stats.burr12(facts.MEMORY_BURR_C, facts.MEMORY_BURR_K, scale=facts.MEMORY_BURR_SCALE_MB)
    assert burr_mb(p) == pytest.approx(burr.ppf(p))
    assert burr_mb(p) == pytest.approx([82, 103, 140, 262, 640], rel=0.01)
    assert normal_quantile(p) == pytest.approx(stats.norm.ppf(p))
