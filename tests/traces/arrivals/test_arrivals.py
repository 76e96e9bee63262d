"""Arrivals of a minute trace, whatever the counts: in order, complete, reproducible, the same in every window."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import TraceError
from tests.traces.trace_files import Azure2019, collect
from traces.arrivals import chunks
from traces.open import open_trace
from traces.options import PLACEMENTS

PLACED = st.sampled_from(PLACEMENTS)
SCALES = st.sampled_from([0.3, 1.0, 2.0, 2.5])
COUNTS = st.dictionaries(st.integers(1, 30), st.integers(1, 40), min_size=1, max_size=8)
ROWS = st.lists(COUNTS, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes rows of counts as functions a/f0, a/f1, ... and gives the path of the invocations."""
    path = tmp_path_factory.mktemp("trace")

    def write_rows(rows):
        lines = ["HashApp,HashFunction," + ",".join(map(str, range(1, 31)))]
        lines += [f"a,f{i}," + ",".join(str(row.get(m, 0)) for m in range(1, 31)) for i, row in enumerate(rows)]
        file = path / "invocations.csv"
        file.write_text("\n".join(lines) + "\n")
        return file

    return write_rows


def opened(file, **options):
    """The trace, or None where no invocation is left in it."""
    try:
        return open_trace(file, **options)
    except TraceError as error:
        if "no invocation in the window" in str(error):
            return None
        raise


@given(rows=ROWS, placement=PLACED, scale=SCALES, seed=st.integers(0, 99))
@settings(max_examples=60)
def test_arrivals_are_ordered_complete_and_reproducible(write, rows, placement, scale, seed):
    trace = opened(write(rows), placement=placement, rate_scale=scale, seed=seed)
    if trace is None:
        return
    arrivals = collect(trace)
    order = np.lexsort((arrivals.function, arrivals.at_s))
    assert (order == np.arange(len(order))).all()
    assert (arrivals.at_s >= 0).all()
    assert (arrivals.at_s < trace.duration_s).all()
    assert (arrivals.duration_s > 0).all()
    assert arrivals.function.dtype == np.int32
    assert set(arrivals.function) <= set(range(len(trace.functions)))
    if placement != "poisson":
        assert trace.n_arrivals == len(arrivals.at_s)
    if placement != "poisson" and scale == int(scale):
        assert len(arrivals.at_s) == scale * sum(sum(row.values()) for row in rows)
    again = collect(trace)
    assert all((getattr(again, name) == getattr(arrivals, name)).all() for name in ("at_s", "function", "duration_s"))


@given(rows=ROWS, placement=PLACED, scale=SCALES, start_s=st.integers(0, 1700), length_s=st.integers(1, 1800))
@settings(max_examples=100)
def test_a_window_is_a_slice_of_the_whole(write, rows, placement, scale, start_s, length_s):
    file = write(rows)
    end_s = min(start_s + length_s, 1800)
    text = "-".join(f"00:{t // 60:02d}:{t % 60:02d}" for t in (start_s, end_s))
    options = {"placement": placement, "rate_scale": scale, "seed": 5}
    whole, part = opened(file, **options), opened(file, window=text, **options)
    if whole is None or part is None:
        return
    everything, some = collect(whole), collect(part)
    inside = (everything.at_s >= start_s) & (everything.at_s < end_s)
    assert some.at_s == pytest.approx(everything.at_s[inside] - start_s, abs=1e-9)
    assert some.duration_s.tolist() == everything.duration_s[inside].tolist()
    assert [part.functions[i].key for i in some.function] == [
        whole.functions[i].key for i in everything.function[inside]
    ]


def test_a_day_draws_the_same_alone_and_after_another(azure2019: Azure2019):
    azure2019.day(("a/f", {9: 5}), day=1)
    azure2019.day(("b/g", {1: 9, 7: 3}), ("a/f", {1: 9}), day=2)
    both = collect(open_trace(azure2019.path, window="24:00-48:00"))
    alone = collect(open_trace([f for f in azure2019.path.iterdir() if ".d02." in f.name]))
    assert both.at_s == pytest.approx(alone.at_s, abs=1e-9)
    assert both.duration_s.tolist() == alone.duration_s.tolist()


@pytest.mark.parametrize("placement", ["start", "equidistant", "uniform"])
def test_equal_instants_are_in_order_of_function_also_where_the_file_is_not(azure2019, placement):
    """Functions are numbered by the first day, and stand in another order on the second."""
    rows = [(f"a/f{i}", {1: 7, 2: 200}) for i in range(40)]
    azure2019.day(*rows, day=1)
    azure2019.day(*reversed(rows), day=2)
    arrivals = collect(open_trace(azure2019.path, placement=placement))
    assert len(arrivals.at_s) == 2 * 40 * 207
    assert (np.lexsort((arrivals.function, arrivals.at_s)) == np.arange(len(arrivals.at_s))).all()


def test_memory_is_that_of_the_busiest_minute_not_of_the_trace(write):
    peaks = []
    for last in (4, 30):
        trace = open_trace(write([dict.fromkeys(range(1, last + 1), 20_000)]))
        tracemalloc.start()
        assert sum(len(chunk.at_s) for chunk in trace.chunks()) == last * 20_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_seeds_and_minutes_and_days_differ(azure2019):
    for day in (1, 2):
        azure2019.day(("a/f", {1: 5, 2: 5}), day=day)
        azure2019.durations(("a/f", 5, range(1, 8)), day=day)
    drawn = [collect(open_trace(azure2019.path, seed=seed)) for seed in (0, 1)]
    instants = [group for a in drawn for group in np.split(np.round(a.at_s % 60, 6), 4)]
    durations = [group for a in drawn for group in np.split(a.duration_s, 4)]
    assert len({tuple(sorted(group)) for group in instants}) == 8
    assert len({tuple(sorted(group)) for group in durations}) == 8


def test_placement_leaves_durations_alone(write):
    """Policies and placements are compared on the same work."""
    file = write([{3: 7}, {3: 2, 5: 4}])
    totals = {collect(open_trace(file, placement=p)).duration_s.sum() for p in ("uniform", "equidistant", "start")}
    assert len(totals) == 1


def test_rate_scale_scales_the_mean(write):
    file = write([dict.fromkeys(range(1, 31), 100)] * 4)
    for scale in (0.25, 1.5):
        assert open_trace(file, rate_scale=scale).n_arrivals == pytest.approx(12_000 * scale, rel=0.05)


def test_chunks_are_bounded_and_small_minutes_are_merged(write, monkeypatch):
    monkeypatch.setattr(chunks, "_LEAST", 50)
    monkeypatch.setattr(chunks, "_MOST", 80)
    trace = open_trace(write([dict.fromkeys(range(1, 31), 7) | {20: 500}]))
    sizes = [len(chunk.at_s) for chunk in trace.chunks()]
    assert sum(sizes) == 29 * 7 + 500
    assert max(sizes) == 80
    assert sizes[:2] == [56, 56]


def test_a_cut_minute_is_estimated_by_its_share(write):
    trace = open_trace(write([{1: 40, 2: 10}]), window="00:00:30-00:02:00", placement="equidistant")
    assert trace.n_arrivals == 30
    assert len(collect(trace).at_s) == 30
