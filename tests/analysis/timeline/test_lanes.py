"""Lanes and thinning, against what can be said without them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.timeline.lanes import in_turn, lanes
from analysis.timeline.thinning import greatest, merged, steps

SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 10)), max_size=40)


def columns(spans):
    group, begin, lasts = (
        (np.array(column, np.int64) for column in zip(*spans, strict=True)) if spans else [np.zeros(0, np.int64)] * 3
    )
    return group, begin, begin + lasts


@given(SPANS.map(lambda spans: [(group, begin, lasts + 1) for group, begin, lasts in spans]))
@settings(max_examples=200, deadline=None)
def test_no_two_of_a_lane_overlap_and_there_are_as_few_as_can_be(spans):
    group, begin, end = columns(spans)
    lane = lanes(group, begin, end)
    most = {}
    for one in range(len(spans)):
        for other in range(one):
            if (group[one], lane[one]) == (group[other], lane[other]):
                assert end[one] <= begin[other] or end[other] <= begin[one]
        at_once = (group == group[one]) & (begin <= begin[one]) & (end > begin[one])
        most[group[one]] = max(most.get(group[one], 1), int(at_once.sum()))
    assert all(lane[group == g].max() + 1 <= n for g, n in most.items())


@given(SPANS)
@settings(max_examples=200, deadline=None)
def test_in_turn_nothing_overlaps_and_nothing_grows(spans):
    track, begin, end = columns(spans)
    cut_begin, cut_end = in_turn(track, begin, end)
    assert (cut_begin >= begin).all()
    assert (cut_end >= cut_begin).all()
    for one in range(len(spans)):
        for other in range(one):
            if track[one] == track[other]:
                assert cut_end[one] <= cut_begin[other] or cut_end[other] <= cut_begin[one]


def test_the_greatest_of_each_thousand_are_kept():
    values = np.arange(5000.0) % 1000
    assert greatest(values, 5000).all()
    kept = greatest(values, 50)
    assert kept.sum() == 50
    assert (values[kept] >= 990).all()
    assert greatest(values, 1).sum() == 5, "at least one"


def test_what_is_left_out_merges_up_to_what_is_shown_and_over_short_gaps():
    track = np.array([1, 1, 1, 1, 1, 2])
    begin = np.array([0, 10, 20, 30, 90, 0])
    apart = np.array([False, False, True, False, False, False])
    found = merged(track, begin, begin + 8, apart, 5)
    assert [column.tolist() for column in found] == [[1, 1, 1, 2], [0, 30, 90, 0], [18, 38, 98, 8], [2, 1, 1, 1]]


@given(SPANS, st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_a_thinned_counter_keeps_every_peak(spans, most):
    _, begin, end = columns(spans)
    at, change = np.concatenate([begin, end]), np.repeat([1, -1], len(spans))
    span = (5, 35)
    whole_at, whole = steps(at, change, span, 10**6)
    thin_at, thin = steps(at, change, span, most)
    assert whole_at[0] == thin_at[0] == span[0]
    assert len(thin_at) <= max(most, 1) + 1
    assert (thin >= 0).all()
    assert thin.max() == whole.max()
    there = [int(((begin <= instant) & (end > instant)).sum()) for instant in whole_at.tolist()]
    assert whole.tolist() == there
