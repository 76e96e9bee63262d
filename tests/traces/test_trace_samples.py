"""Genuine excerpts of the public data sets, where they are at hand."""

import numpy as np
import pytest
from trace_files import collect

from traces.open import open_trace


def test_five_hundred_functions_of_2019(sample):
    trace = open_trace(sample("azure2019-500fn"))
    assert trace.source.format == "azure2019"
    assert (len(trace.functions), trace.n_arrivals, trace.duration_s) == (500, 3_037_902, 86_400)
    assert trace.source.anomalies == {"average_not_positive": 13}
    n = np.zeros(500, int)
    last_s = 0.0
    for chunk in trace.chunks():
        assert len(chunk.at_s) <= 200_000
        assert chunk.at_s[0] >= last_s
        assert (np.diff(chunk.at_s) >= 0).all()
        last_s = chunk.at_s[-1]
        n += np.bincount(chunk.function, minlength=500)
    assert n.sum() == 3_037_902
    assert n.max() / n.sum() == pytest.approx(0.631, abs=0.001)


def test_both_layouts_of_the_same_data_are_the_same_trace(sample):
    published, derived = (
        open_trace(sample(name), window="08:00-09:00") for name in ("azure2019-500fn", "azure2019-500fn-invitro")
    )
    assert (published.source.format, derived.source.format) == ("azure2019", "azure2019-invitro")
    one, other = collect(published), collect(derived)
    assert one.at_s.tolist() == other.at_s.tolist()
    assert one.function.tolist() == other.function.tolist()
    assert one.duration_s.tolist() == other.duration_s.tolist()
    for f, g in zip(published.functions, derived.functions, strict=True):
        assert (f.key, f.trigger, f.mean_s) == (g.key, g.trigger, g.mean_s)


def test_the_drawn_durations_have_nearly_the_published_mean(sample):
    """The reason for interpolating logarithms: the total stays within a sixth of what the Averages say."""
    trace = open_trace(sample("azure2019-500fn"), window="08:00-10:00")
    arrivals = collect(trace)
    published_s = np.array([f.mean_s for f in trace.functions])[arrivals.function].sum()
    assert 0.9 < arrivals.duration_s.sum() / published_s < 1.17


def test_a_derived_slice_covers_its_own_minutes(sample):
    trace = open_trace(sample("azure2019-500fn-invitro"))
    assert trace.source.window_s == (479 * 60, 959 * 60)
    assert trace.n_arrivals == 3_037_902


def test_a_whole_day_without_other_tables(sample):
    trace = open_trace(sample("azure2019-8fn-fullday/test_workload.csv"))
    assert (len(trace.functions), trace.n_arrivals) == (9, 1061)
    assert trace.source.anomalies["function_without_durations"] == 9


def test_two_hundred_rows_of_2021(sample):
    trace = open_trace(sample("azure2021-199rows/Azure2021_200.csv"))
    assert (len(trace.functions), trace.n_arrivals) == (31, 199)
    assert trace.source.anomalies == {"zero_duration": 8}
    assert len({f.app for f in trace.functions}) == 13
    assert collect(trace).at_s[0] == pytest.approx(0.0015, abs=1e-4)
