"""The search: the same three sizes as a look at all of them, with few looked at."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.interval import Interval
from sim.errors import ProjectError
from sim.sweeps.goal import parse_goal
from sim.sweeps.search import Verdict, search


@given(st.lists(st.integers(0, 40), min_size=3, max_size=3).map(sorted), st.integers(1, 5), st.integers(5, 30))
def test_it_finds_what_is_there_and_judges_nothing_twice(borders, least, most):
    judged = []

    def judge(size):
        judged.append(size)
        return Verdict(sum(size >= border for border in borders))

    found = search(judge, least, most)
    sizes = range(least, most + 1)
    first = [next((n for n in sizes if n >= border), None) for border in borders]
    assert [found.low, found.smallest, found.high] == first
    assert len(judged) == len(set(judged))
    assert set(judged) <= set(sizes)
    assert len(judged) <= 6 * (2 + math.log2(most))
    assert found.odd == ()


def test_what_is_odd_is_told():
    found = search(lambda n: Verdict.FAILS if n in (1, 2, 6) else Verdict(2 + (n == 8)), 1, 8)
    assert (found.low, found.smallest, found.high, found.odd) == (3, 3, 8, (6,))


@pytest.mark.parametrize(
    ("text", "limit", "below"),
    [
        ("p99<1s", 1.0, True),
        ("p99 <= 250ms", 0.25, True),
        ("attainment>99%", 0.99, False),
        ("latency_s.p90<2", 2.0, True),
    ],
)
def test_goals_are_read(text, limit, below):
    goal = parse_goal(text, "--slo")
    assert (goal.limit, goal.below) == (pytest.approx(limit), below)


@pytest.mark.parametrize(
    "text", ["p99", "<1", "p99<", "p99<1kg", "p99<-1", "p98<1s", "attainment>1s", "p99<99%", "p99<1.2.3"]
)
def test_what_is_no_goal_is_refused(text):
    with pytest.raises(ProjectError):
        parse_goal(text, "--slo")


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [(0.5, 0.4, 0.6, Verdict.MEETS), (0.9, 0.7, 1.1, Verdict.MEETS_BY_ESTIMATE),
     (1.1, 0.9, 1.3, Verdict.FAILS_BY_ESTIMATE), (2.0, 1.5, 2.5, Verdict.FAILS),
     (0.5, math.nan, math.nan, Verdict.MEETS_BY_ESTIMATE),
     (2.0, math.nan, math.nan, Verdict.FAILS_BY_ESTIMATE)],
)  # fmt: skip
def test_an_interval_says_how_certain_it_is(estimate, low, high, verdict):
    assert parse_goal("p99<1s", "").judge(Interval(estimate, low, high, 0.95, 5, "t")) is verdict
    mirrored = Interval(-estimate, -high, -low, 0.95, 5, "t")
    goal = parse_goal("attainment>0%", "")
    assert type(goal)(goal.measure, -1.0, below=False).judge(mirrored) is verdict
