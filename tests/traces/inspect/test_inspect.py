"""What ``traces inspect`` says of a trace: exact where it says so, in one pass, in bounded memory."""

import re
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from tests.traces.trace_files import collect
from traces.inspect.summary import summarise
from traces.inspect.tally import Tally
from traces.open import open_trace


@dataclass
class Chunks:
    """A trace of these chunks; function i has mean i + 1 s and i + 1 bytes."""

    parts: list
    n_functions: int
    duration_s: float = 3600.0

    def __post_init__(self):
        self.source = TraceSource("test", (), (0.0, self.duration_s))
        self.functions = [TraceFunction(f"a/f{i}", "a", "http", i + 1.0, i + 1, 1.0) for i in range(self.n_functions)]

    def chunks(self):
        yield from self.parts


def chunk(at_s, function, duration_s=0.5):
    at_s = np.asarray(at_s, float)
    return ArrivalChunk(at_s, np.asarray(function, np.int32), np.full(len(at_s), duration_s))


def tally(at_s, function, cuts=(), n_functions=4):
    """Fed the arrivals, cut at these places."""
    counted = Tally(n_functions, 3600.0)
    for times, functions in zip(np.split(at_s, cuts), np.split(function, cuts), strict=True):
        if len(times):
            counted.add(chunk(times, functions))
    return counted


ARRIVALS = st.lists(st.tuples(st.integers(0, 3_599_999), st.integers(0, 3)), min_size=1, max_size=60).map(sorted)


@given(ARRIVALS, st.lists(st.integers(0, 60), max_size=5).map(sorted))
def test_inter_arrival_cvs_are_those_of_all_arrivals_at_once(arrivals, cuts):
    at_s, function = np.array([a for a, _ in arrivals]) / 1e3, np.array([f for _, f in arrivals])
    counted = tally(at_s, function, cuts)
    for i, cv in enumerate(counted.inter_arrival_cv()):
        gaps = np.diff(at_s[function == i])
        if len(gaps) < 3 or not gaps.any():
            assert np.isnan(cv)
        else:
            assert cv == pytest.approx(gaps.std() / gaps.mean(), rel=1e-5, abs=1e-5)
    assert counted.per_function.tolist() == np.bincount(function, minlength=4).tolist()


def test_a_timer_has_no_variation_and_a_poisson_process_has_one():
    gaps = np.random.default_rng(0).exponential(size=100_000)
    both = [*((t, 0) for t in np.arange(5, 3600, 60.0)), *((t, 1) for t in 3599 * np.cumsum(gaps) / gaps.sum())]
    at_s, function = map(np.array, zip(*sorted(both), strict=True))
    timer, poisson, *_ = tally(at_s, function, cuts=[10, 5000, 5001]).inter_arrival_cv()
    assert timer == pytest.approx(0, abs=1e-6)
    assert poisson == pytest.approx(1, abs=0.02)


def test_minutes_are_counted_up_to_their_very_end():
    at_s = [0.0, np.nextafter(60, 0), 60.0, 3540.0, np.nextafter(3600, 0)]
    per_minute = tally(np.array(at_s), np.zeros(5, int), cuts=[1, 4]).per_minute
    assert {m: n for m, n in enumerate(per_minute.tolist()) if n} == {0: 2, 1: 1, 59: 2}


def test_percentiles_of_three_durations():
    at_s, duration_s = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.5, 1.25])
    figures = summarise(Chunks([ArrivalChunk(at_s, np.zeros(3, np.int32), duration_s)], 1))
    assert [figures["duration_s"]["of_invocations"][p] for p in (0, 1, 50, 75, 100)] == [0.5, 0.515, 1.25, 1.625, 2]


def test_popularity_is_the_share_of_the_first_and_the_last():
    """200 functions, of which the i-th has i invocations: 1% are two, 10% twenty, half a hundred."""
    counts = np.arange(1, 201)
    function = np.repeat(np.arange(200), counts)
    popularity = summarise(Chunks([chunk(np.linspace(0, 3599, len(function)), function)], 200))["popularity"]
    n = counts.sum()
    assert popularity["top_function"] == "a/f199"
    assert popularity["top_1_frac"] == pytest.approx(200 / n)
    assert popularity["top_1_percent_frac"] == pytest.approx((200 + 199) / n)
    assert popularity["top_10_percent_frac"] == pytest.approx(counts[-20:].sum() / n)
    assert popularity["bottom_half_frac"] == pytest.approx(counts[:100].sum() / n)
    shares = dict(zip(popularity["rank"], popularity["rank_frac"], strict=True))
    assert shares[1] == pytest.approx(200 / n)
    assert shares[200] == pytest.approx(1 / n)


def test_of_few_functions_one_percent_is_one_and_half_is_rounded_down():
    popularity = summarise(Chunks([chunk([1, 2, 3, 4], [0, 1, 1, 2])], 3))["popularity"]
    assert popularity["top_1_percent_frac"] == popularity["top_10_percent_frac"] == popularity["top_1_frac"] == 0.5
    assert popularity["bottom_half_frac"] == 0.25


def test_rates_are_those_of_the_bins_and_the_last_one_may_be_short():
    """400 bins of a minute would not cover 24,090 s; the last of 5 minutes has 90 s."""
    at_s = [*np.arange(0, 300, 3), 301, *np.arange(24_000, 24_090)]
    rate = summarise(Chunks([chunk(at_s, np.zeros(len(at_s)))], 1, 24_090.0))["rate"]
    assert (rate["bin_s"], len(rate["bins_per_s"])) == (300, 81)
    assert rate["bins_per_s"][:3] == [1 / 3, 1 / 300, 0]
    assert rate["bins_per_s"][-1] == rate["max_per_s"] == rate["busiest_minute_per_s"] == 1
    assert rate["min_per_s"] == 0
    assert rate["mean_per_s"] == pytest.approx(191 / 24_090)


@pytest.mark.parametrize(("duration_s", "bin_s"), [(30, 60), (24_000, 60), (86_400, 300), (14 * 86_400, 3600)])
def test_bins_are_as_short_as_a_figure_can_show(duration_s, bin_s):
    assert summarise(Chunks([chunk([0], [0])], 1, float(duration_s)))["rate"]["bin_s"] == bin_s


def test_a_trace_shorter_than_a_minute_has_the_rate_of_its_seconds():
    rate = summarise(Chunks([chunk([0, 1, 2], [0, 0, 0])], 1, 30.0))["rate"]
    assert rate["mean_per_s"] == rate["max_per_s"] == rate["busiest_minute_per_s"] == 0.1


def test_load_is_the_time_in_invocations():
    parts = [chunk([0, 10], [0, 1], 2.0), chunk([20, 30], [0, 0], 6.0)]
    figures = summarise(Chunks(parts, 2))
    assert figures["duration_s"]["mean"] == 4
    assert figures["mean_concurrency"] == pytest.approx(16 / 3600)
    assert figures["duration_s"]["of_functions"] == pytest.approx(np.linspace(1, 2, 101))
    assert figures["duration_s"]["of_invocations"][100] == 6
    assert figures["memory_bytes"]["percentiles"][0] == 1


@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(1, 400)), min_size=1, max_size=30).map(sorted),
    st.lists(st.integers(0, 30), max_size=3).map(sorted),
)
def test_concurrency_of_a_minute_is_the_mean_of_its_seconds(arrivals, cuts):
    """200 s: three minutes and a third; some outlast the window."""
    at_s, duration_s = np.array(arrivals, float).T
    counted = Tally(1, 200.0)
    for part in np.split(np.arange(len(at_s)), cuts):
        if len(part):
            counted.add(ArrivalChunk(at_s[part], np.zeros(len(part), np.int32), duration_s[part]))
    seconds = [sum(a <= t < a + d for a, d in arrivals) for t in range(200)]
    exact = [np.mean(seconds[first : first + 60]) for first in range(0, 200, 60)]
    assert counted.concurrency().tolist() == pytest.approx(exact, abs=1e-9)


def test_fleets_are_sized_by_concurrency():
    """70 s of work in 100 s; the second minute, of 40 s, has 35 s of it and what goes on from the first."""
    at_s, duration_s = np.array([0.0, 50.0, 60.0]), np.array([25.0, 10.0, 35.0])
    figures = summarise(Chunks([ArrivalChunk(at_s, np.zeros(3, np.int32), duration_s)], 1, 100.0))
    assert (figures["mean_concurrency"], figures["busiest_minute_concurrency"]) == (0.7, 0.875)
    assert figures["fleet"] == {
        "utilisation_frac": [0.5, 0.7, 0.9],
        "gpus": [2, 1, 1],  # 0.7 / 0.7 is one GPU
        "busiest_minute_gpus": [2, 2, 1],
    }


def test_a_trace_without_arrivals_has_figures():
    """A Poisson draw of a count may be none."""
    figures = summarise(Chunks([], 3))
    assert figures["invocations"] == figures["busiest_minute_concurrency"] == 0
    assert figures["fleet"]["gpus"] == [1, 1, 1]
    assert figures["iat_cv"]["percentiles"] is figures["duration_s"]["of_invocations"] is None


def keys(figures, prefix=""):
    """Dotted keys; * for keys that are names of the trace's own."""
    for key, value in figures.items():
        name = prefix + ("*" if prefix in ("triggers.", "anomalies.") else key)
        if isinstance(value, dict) and name != "options":
            yield from keys(value, f"{name}.")
        else:
            yield name


def test_every_key_is_documented_and_every_documented_key_is_there(azure2019):
    azure2019.day(("a/f", {1: 9}))
    azure2019.durations(("a/f", -3, [5] * 7))
    documented = re.findall(r"^ *- ([\w.*]+):", summarise.__doc__, re.MULTILINE)
    assert sorted(set(keys(summarise(open_trace(azure2019.path))))) == sorted(documented)


def test_memory_does_not_grow_with_the_number_of_invocations():
    def lazily(n_chunks):
        for i in range(n_chunks):
            yield chunk(np.linspace(30 * i, 30 * i + 29, 1000), np.arange(1000) % 100)

    peaks = []
    for n_chunks in (5, 100):
        trace = Chunks([], 100)
        trace.chunks = lambda n=n_chunks: lazily(n)
        tracemalloc.start()
        assert summarise(trace)["invocations"] == 1000 * n_chunks
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_five_hundred_functions_have_the_published_skew(sample):
    """Shares, and the CVs of a uniform placement, as computed independently of the sample's tables."""
    figures = summarise(open_trace(sample("azure2019-500fn")))
    assert (figures["invocations"], figures["functions"], figures["apps"]) == (3_037_902, 500, 476)
    popularity, cv = figures["popularity"], figures["iat_cv"]
    shares = [popularity[f"{name}_frac"] for name in ("top_1", "top_1_percent", "top_10_percent", "bottom_half")]
    assert shares == pytest.approx([0.631, 0.836, 0.984, 0.0010], abs=5e-4)
    assert [cv["percentiles"][p] for p in (25, 50, 75, 90)] == pytest.approx([0.08, 0.42, 1.06, 2.66], abs=0.03)
    assert figures["duration_s"]["of_functions"][50] == pytest.approx(0.567)


def test_figures_of_a_sample_are_those_of_its_arrivals(sample):
    trace = open_trace(sample("azure2019-500fn"), window="08:00-08:30")
    figures, arrivals = summarise(trace), collect(trace)
    assert figures["invocations"] == len(arrivals.at_s)
    assert figures["duration_s"]["mean"] == pytest.approx(arrivals.duration_s.mean())
    exact = np.percentile(arrivals.duration_s, range(101))
    assert figures["duration_s"]["of_invocations"] == pytest.approx(exact, rel=0.004)
    per_minute = np.bincount((arrivals.at_s // 60).astype(int), minlength=30)
    assert figures["rate"]["bins_per_s"] == pytest.approx(per_minute / 60)
