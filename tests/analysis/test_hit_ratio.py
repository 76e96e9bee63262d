"""Hit ratios from reuse distances are those of caches that are simulated one by one."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figures.hit_ratio import hit_ratio_figure
from analysis.hit_ratio import MOST_POINTS, hit_ratios


def lru_hits(requests, sizes, memory):
    """Hits of a cache that drops the least recently used until there is room, all of it for what is too large."""
    inside, used, hits = OrderedDict(), 0, 0
    for function in requests:
        if function in inside:
            hits += 1
            inside.move_to_end(function)
            continue
        while inside and used + sizes[function] > memory:
            used -= sizes[inside.popitem(last=False)[0]]
        if sizes[function] <= memory:
            inside[function] = True
            used += sizes[function]
    return hits


@given(st.lists(st.integers(0, 9), max_size=200), st.lists(st.integers(0, 50), min_size=10, max_size=10), st.data())
def test_the_curve_is_lru_of_every_size(requests, sizes, data):
    """Equal sizes and different ones, more requests than places, in pieces."""
    if data.draw(st.booleans()):
        sizes = [7] * 10
    cut = data.draw(st.integers(0, len(requests)))
    curve = hit_ratios((np.array(part, dtype=np.int32) for part in (requests[:cut], requests[cut:])), sizes)
    for memory in range(max(sizes), sum(sizes) + 2, 5):
        assert curve.at(memory) * max(len(requests), 1) == pytest.approx(lru_hits(requests, sizes, memory))
    assert curve.working_set_bytes == sum(sizes[f] for f in set(requests))
    assert curve.at(curve.working_set_bytes) == pytest.approx(curve.most)
    assert curve.most == pytest.approx((len(requests) - len(set(requests))) / max(len(requests), 1))


def test_the_memory_that_a_share_needs_is_the_least_that_gives_it():
    rng = np.random.default_rng(3)
    curve = hit_ratios([rng.zipf(1.3, 5000).clip(max=400).astype(np.int32) - 1], rng.integers(1, 1000, 400).tolist())
    for share in (0.1, 0.5, 0.8):
        needed = curve.needed_bytes(share)
        assert curve.at(needed) >= share > curve.at(needed - 1)
    assert curve.needed_bytes(0.9999) is None
    assert curve.needed_bytes(0.0) == 0


def test_a_long_curve_is_thinned_and_stays_a_part_of_itself():
    rng = np.random.default_rng(4)
    curve = hit_ratios([rng.integers(0, 3000, 60_000).astype(np.int32)], (1 + np.arange(3000)).tolist())
    memory, share = curve.points()
    assert 500 < len(memory) <= MOST_POINTS
    np.testing.assert_array_equal(share, curve.at(memory))
    assert share[-1] == curve.most


def test_the_figure_shows_the_curve_and_its_ceiling():
    curve = hit_ratios([np.array([0, 1, 0, 1, 2, 0], dtype=np.int32)], [10**9, 10**9, 2 * 10**9])
    axes = hit_ratio_figure(curve).axes[0]
    steps, ceiling = axes.lines
    assert list(steps.get_ydata()) == pytest.approx([0, 100 / 3, 50, 50])
    assert list(steps.get_xdata()[1:3]) == [2.0, 4.0]
    assert list(ceiling.get_ydata()) == [50.0, 50.0]


def test_a_trace_without_a_second_request_has_an_empty_curve():
    curve = hit_ratios([np.array([0, 1], dtype=np.int32)], [5, 6])
    assert (curve.most, curve.working_set_bytes) == (0.0, 11)
    assert curve.as_csv() == "memory_bytes,hit_frac"
    hit_ratio_figure(curve)
