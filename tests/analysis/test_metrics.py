"""Metrics against brute force, hand-computed cases and the laws they must obey."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis import metrics
from sim.records.tables import DEVICES, GPU_PARTS
from tests.analysis.mmc_runs import empty, make_tables

TIMES = st.floats(0, 100)
NAN = float("nan")


def frame(rows: list[tuple[float, float, float]]) -> pd.DataFrame:
    """Invocations of (arrival, started, completed)."""
    return pd.DataFrame(rows, columns=["arrival_at_s", "started_at_s", "completed_at_s"], dtype=float)


@st.composite
def lives(draw: st.DrawFn) -> pd.DataFrame:
    """Invocations that wait, start, end without a start, or never end."""
    rows = []
    for arrived, waited, ran in draw(st.lists(st.tuples(TIMES, TIMES, TIMES), max_size=20)):
        started, ended = arrived + waited, arrived + waited + ran
        kinds = [(arrived, started, ended), (arrived, NAN, started), (arrived, NAN, NAN), (arrived, started, NAN)]
        rows.append(draw(st.sampled_from(kinds)))
    return frame(rows)


EDGES = st.lists(TIMES, min_size=2, max_size=8, unique=True).map(sorted).map(np.array)


@given(lives(), EDGES)
def test_queue_length_is_the_overlap_of_waits_and_intervals(invocations, edges):
    expected = np.zeros(len(edges) - 1)
    for arrived, started, ended in invocations.itertuples(index=False):
        left = next((t for t in (started, ended) if not np.isnan(t)), np.inf)
        expected += np.maximum(np.minimum(left, edges[1:]) - np.maximum(arrived, edges[:-1]), 0)
    area = metrics.queue_length(invocations, edges) * np.diff(edges)
    np.testing.assert_allclose(area, expected, atol=1e-9)


def test_queue_length_by_hand():
    invocations = frame([(1, 3, 9), (2, 2, 9), (8, NAN, 9), (6, NAN, NAN)])
    np.testing.assert_allclose(metrics.queue_length(invocations, np.array([0.0, 4, 8, 10])), [0.5, 0.5, 1.5])


def test_a_queue_in_which_no_one_waits_is_exactly_empty():
    at = np.random.default_rng(1).uniform(0, 1e6, 1000)
    length = metrics.queue_length(frame(list(zip(at, at, at + 1, strict=True))), np.linspace(0, 1e6, 7))
    assert (length == 0).all()


@given(
    st.lists(st.tuples(st.floats(-10, 110), st.floats(-1e6, 1e6)), max_size=40),
    EDGES,
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_quantiles_by_interval_are_numpys(points, edges, shares):
    at, values = np.array(points, dtype=float).reshape(-1, 2).T
    got = metrics.quantiles_by_interval(at, values, edges, shares)
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = values[(at >= low) & ((at < high) | ((at == high) & (k == len(edges) - 2)))]
        if len(inside):
            np.testing.assert_allclose(got[:, k], np.quantile(inside, shares), rtol=1e-9, atol=1e-6)
        else:
            assert np.isnan(got[:, k]).all()


@given(hnp.arrays(float, st.integers(1, 300), elements=st.floats(0.001, 1000)), st.integers(4, 50))
def test_every_point_of_a_cdf_is_true(values, n_points):
    x, share = metrics.cdf(values, n_points)
    assert x[0] == x[1] == values.min()
    assert share[0] == 0
    assert (x[-1], share[-1]) == (values.max(), 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(share) > 0).all()
    assert len(x) <= max(n_points, len(values) if len(values) <= n_points else 0) + 1
    for at, part in zip(x[1:], share[1:], strict=True):
        assert np.mean(values < at) < part <= np.mean(values <= at) + 1e-12


@given(hnp.arrays(float, st.integers(0, 60), elements=st.floats(0.001, 1000)))
def test_the_complement_of_a_cdf_is_true_of_every_value(values):
    x, share = metrics.at_least(metrics.cdf(values))
    assert len(x) == len(values)
    for at, part in zip(x, share, strict=True):
        assert np.mean(values > at) - 1e-12 <= part <= np.mean(values >= at) + 1e-12
    assert not len(x) or share[-1] == pytest.approx(1 / len(values))


def test_a_thinned_cdf_keeps_the_tail_and_the_body():
    values = np.random.default_rng(3).pareto(1.2, 200_000)
    x, share = metrics.cdf(values)
    assert len(x) <= 1001
    for part in (0.01, 0.5, 0.9, 0.99, 0.999, 0.9999):
        between = np.interp(part, share, x)
        assert between == pytest.approx(np.quantile(values, part), rel=0.01)


def test_a_cdf_of_nothing_is_empty():
    assert [len(part) for part in metrics.cdf(np.empty(0))] == [0, 0]


@pytest.mark.parametrize(
    ("duration_s", "width_s"),
    [(1, 0.02), (0.03, 0.0005), (36, 0.5), (60, 1), (600, 10), (3600, 60), (86400, 1800), (864000, 14400)],
)
def test_interval_widths_can_be_named(duration_s, width_s):
    expected = 21600 if width_s == 14400 else width_s  # 4 h is no width of the list
    assert metrics.interval_width_s(duration_s) == expected


@given(st.floats(1e-6, 1e9))
def test_interval_widths_cut_any_duration_into_a_readable_number(duration_s):
    edges = metrics.interval_edges(duration_s, metrics.interval_width_s(duration_s))
    assert 20 <= len(edges) - 1 <= 73
    assert (edges[0], edges[-1]) == (0, duration_s)
    assert (np.diff(edges) > 0).all()


def test_a_sliver_at_the_end_joins_the_interval_before():
    assert metrics.interval_edges(10.2, 5).tolist() == [0, 5, 10.2]
    assert metrics.interval_edges(13, 5).tolist() == [0, 5, 10, 13]
    assert metrics.interval_edges(1, 5).tolist() == [0, 1]


def test_those_who_never_reach_the_pool_wait_too():
    """Whoever waits at the door, at a gate or for a core of the host has arrived and not started."""
    invocations = frame([(0, 8, 9), (0, 4, 5)]).assign(queued_at_s=[NAN, 4.0])
    assert metrics.queue_length(invocations, np.array([0.0, 4, 8])).tolist() == [2, 1]


def devices(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Rows of (start, kernels, loads, dispatch, startup)."""
    full = [(*row, *[0.0] * (5 - len(row))) for row in rows]
    return pd.DataFrame(full, columns=["start_at_s", *GPU_PARTS.values()], dtype=float)


def test_gpu_shares_by_hand():
    table = devices((0, 10), (0, 6, 3, 1), (10, 5, 1), (20, 4, 0, 2, 1))  # the run ends at 24
    shares = metrics.gpu_shares(table, interval_s=10, n_gpus=2, edges=np.array([0.0, 10, 20, 24]))
    np.testing.assert_allclose(shares, [[0.8, 0.25, 0.5], [0.15, 0.05, 0], [0.05, 0, 0.25], [0, 0, 0.125]])
    coarse = metrics.gpu_shares(table, interval_s=10, n_gpus=2, edges=np.array([0.0, 15, 24]))
    np.testing.assert_allclose(coarse[0], [18.5 / 30, 6.5 / 18])


@given(
    st.dictionaries(st.integers(0, 9), st.floats(0, 5), max_size=10),
    st.floats(0.1, 60),
    st.floats(45.1, 50),
)
def test_gpu_shares_keep_all_time(busy, width_s, end_s):
    table = devices(*((5 * number, busy_s, busy_s / 2, busy_s / 4, busy_s / 8) for number, busy_s in busy.items()))
    edges = metrics.interval_edges(end_s, width_s)
    shares = metrics.gpu_shares(table, interval_s=5, n_gpus=3, edges=edges)
    whole_s = sum(busy.values())
    assert (shares * np.diff(edges)).sum(axis=1) * 3 == pytest.approx([whole_s, whole_s / 2, whole_s / 4, whole_s / 8])
    assert (shares >= 0).all()


def test_an_empty_devices_table_is_idle():
    shares = metrics.gpu_shares(empty(DEVICES), interval_s=10, n_gpus=1, edges=np.array([0.0, 15, 24]))
    assert shares.tolist() == [[0, 0]] * len(GPU_PARTS)


def test_latency_is_of_completed_invocations_from_their_arrival():
    invocations = pd.DataFrame(
        {
            "status": pd.Categorical(["completed", "rejected", "completed"]),
            "arrival_at_s": [1.0, 2, 3],
            "completed_at_s": [4.0, 2, 3.5],
        }
    )
    assert metrics.latency_s(invocations).tolist() == [3, 0.5]


def test_slowdown_is_the_mean_latency_over_the_isolated_one():
    tables = make_tables("fifo", n=300, n_functions=30)
    functions = tables["functions"]
    functions.loc[2, "isolated_s"] = 0
    done = tables["invocations"].query("status == 'completed'")
    mean_s = (done["completed_at_s"] - done["arrival_at_s"]).groupby(done["function"]).mean()
    expected = (mean_s / functions["isolated_s"]).drop(index=2).dropna()
    got = metrics.slowdown(tables["invocations"], functions)
    assert 0 < len(got) < 29  # the zipf tail leaves some functions without an invocation
    np.testing.assert_allclose(got, expected)


def test_attainment_is_the_share_of_all_that_was_in_time():
    functions = pd.DataFrame({"isolated_s": [1.0, 2.0, 0.0]})
    invocations = pd.DataFrame(
        {
            "status": pd.Categorical(["completed", "completed", "rejected", "completed", "completed"]),
            "function": [0, 1, 1, 0, 2],
            "arrival_at_s": [0.0, 0, 0, 0, 0],
            "completed_at_s": [1.0, 3.0, 0.0, 5.0, 1.0],
        }
    )
    assert metrics.attainment(invocations, functions, [0.5, 1, 1.5, 4.9, 5]).tolist() == [0, 0.25, 0.5, 0.5, 0.75]
    assert np.isnan(metrics.attainment(invocations, functions[:0].reindex([0, 1, 2], fill_value=0.0), 1.0))
