"""Durations: inverse transform of seven percentiles, and the rules for odd rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.arrivals.durations import DEFAULT_S, FLOOR_S, duration_table, no_durations

POINTS_MS = [10, 20, 40, 80, 160, 320, 640]


class FixedRng:
    """Gives the probabilities it was made with."""

    def __init__(self, *u):
        self.u = np.array(u)

    def random(self, n):
        assert n == len(self.u)
        return self.u


def table(average, points):
    return duration_table(np.array([average], float), np.array([points], float))


@pytest.mark.parametrize(
    ("u", "duration_ms"),
    [(0, 10), (0.01, 20), (0.25, 40), (0.5, 80), (0.75, 160), (0.99, 320), (0.625, 80 * 2**0.5), (0.995, 320 * 2**0.5)],
)
def test_draws_follow_the_percentiles(u, duration_ms):
    durations, _ = table(100, POINTS_MS)
    assert durations.draw_s(np.array([0]), FixedRng(u))[0] == pytest.approx(duration_ms / 1e3)


def test_draws_are_gathered_by_function():
    durations, _ = duration_table(np.array([1.0, 2.0]), np.array([[5] * 7, [7] * 7], float))
    assert durations.draw_s(np.array([1, 0, 1]), FixedRng(0.1, 0.5, 0.9)).tolist() == [0.007, 0.005, 0.007]


@given(st.lists(st.floats(-1e6, 1e7), min_size=7, max_size=7), st.floats(-1e6, 1e7), st.floats(0, 1, exclude_max=True))
def test_every_row_gives_a_duration(points, average, u):
    durations, _ = table(average, points)
    duration_s = durations.draw_s(np.array([0]), FixedRng(u))[0]
    assert FLOOR_S * 0.999999 <= duration_s <= max(FLOOR_S, max(points) / 1e3) * 1.000001
    assert durations.mean_s[0] >= FLOOR_S


@pytest.mark.parametrize(
    ("average", "points", "mean_s", "anomalies"),
    [
        (100, POINTS_MS, 0.1, {}),
        (0, POINTS_MS, 0.08, {"average_not_positive"}),
        (-41_692, POINTS_MS, 0.08, {"average_not_positive"}),
        (0, [0] * 7, 0.001, {"average_not_positive"}),
        (0.5, POINTS_MS, 0.001, set()),
        (-5, [-9, -9, -9, -9, 1, 2, 3], 0.001, {"average_not_positive", "percentile_negative"}),
        (5, [1, 2, 9, 5, 6, 10, 11], 0.005, {"percentiles_descend"}),
    ],
)
def test_odd_rows_are_mended_and_counted(average, points, mean_s, anomalies):
    durations, counted = table(average, points)
    assert durations.mean_s[0] == pytest.approx(mean_s)
    assert {name for name, n in counted.items() if n} == set(anomalies)
    assert (np.diff(durations.quantiles_s[0]) >= 0).all()


def test_row_minus_one_is_the_published_median():
    assert pytest.approx(math.exp(-0.38)) == DEFAULT_S
    for durations in (no_durations(), table(100, POINTS_MS)[0]):
        assert durations.take(np.array([-1])).mean_s.tolist() == [DEFAULT_S]
        assert durations.draw_s(np.array([-1]), FixedRng(0.3))[0] == pytest.approx(DEFAULT_S)
