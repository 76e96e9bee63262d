"""Jobs that have the whole device in turns, of slices or to their end: by hand, and against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import nextafter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.models.sharing import make_sharing
from sim.models.sharing.mps import SharedDevice
from sim.models.sharing.slices import SliceJobs
from sim.models.sharing.turns import TurnJobs
from tests.sim.models.sharing import literal
from tests.sim.models.sharing.driver import drain, jobs, played
from tests.sim.models.sharing.literal import Job

ONE = st.just(Fraction(1))
NONE = st.just(Fraction(0))
WHOLE = {"sm": ONE, "bandwidth": NONE}  # each job wants all multiprocessors, and nothing else is scarce


def together(its, *works_s):
    """Jobs, numbered from 0, that come at 0 in this order."""
    for job, work_s in enumerate(works_s):
        its.add(0.0, job, work_s, 1.0, 0.0)
    return its


@pytest.mark.parametrize("its", [SliceJobs(0.25), SliceJobs(0.0), TurnJobs()], ids=["slices", "equal parts", "turns"])
def test_a_job_alone_ends_after_its_work_to_the_last_bit(its):
    assert its.next_end() is None
    its.add(0.1, 7, 0.2, 1.0, 0.0)
    assert its.next_end() == (0.1 + 0.2, 7)
    assert its.remove(0.1 + 0.2, 7) == 0.0
    assert its.next_end() is None
    with pytest.raises(KeyError):
        its.remove(1.0, 7)


def test_slices_go_round():
    """0 1 2 0 1 0: a quarter each."""
    assert drain(together(SliceJobs(0.25), 0.75, 0.5, 0.25)) == [(0.75, 2), (1.25, 1), (1.5, 0)]


def test_who_ends_within_a_slice_leaves_the_device_to_the_next_at_once():
    assert drain(together(SliceJobs(0.5), 0.25, 1.0, 0.5)) == [(0.25, 0), (1.25, 2), (1.75, 1)]


def test_who_comes_waits_for_those_that_are_there_and_for_the_rest_of_the_slice():
    its = together(SliceJobs(0.5), 2.0, 2.0)
    its.add(0.75, 2, 0.25, 1.0, 0.0)  # 1 has the device until 1.0, then 0
    assert its.next_end() == (1.75, 2)


def test_who_was_alone_does_not_lose_the_device_before_its_slice_is_over():
    its = together(SliceJobs(0.5), 2.0)
    its.add(0.75, 1, 0.25, 1.0, 0.0)
    assert drain(its) == [(1.25, 1), (2.25, 0)]


def test_a_slice_begins_when_who_had_the_device_is_killed():
    its = together(SliceJobs(0.5), 2.0, 0.5, 1.0)
    assert its.remove(0.25, 0) == 1.75
    assert its.next_end() == (0.75, 1)
    assert its.remove(0.5, 2) == 1.0
    assert its.next_end() == (0.75, 1)


def test_equal_parts_of_the_device():
    assert drain(together(SliceJobs(0.0), 0.5, 1.0)) == [(1.0, 0), (1.5, 1)]


@pytest.mark.parametrize(
    ("its", "ends"),
    [
        (TurnJobs(), [(0.75, 0), (1.75, 1)]),
        (SliceJobs(0.5), [(1.25, 0), (1.75, 1)]),
        (SliceJobs(0.0), [(1.0, 0), (1.5, 1)]),
        (SharedDevice(), [(1.0, 0), (1.5, 1)]),
    ],
    ids=["turns", "slices", "equal parts", "mps"],
)
def test_who_has_less_left_than_before_keeps_its_place(its, ends):
    """Of 2 s, 0.25 s are left at 0.5."""
    together(its, 2.0, 1.0)
    assert its.left_s(0.5, 1) + its.left_s(0.5, 0) == 2.5
    its.cut(0.5, 0, 0.25)
    assert its.left_s(0.5, 0) == 0.25
    assert drain(its) == ends


def test_turns_are_taken_in_order_of_coming():
    its = together(TurnJobs(), 1.0, 0.25, 0.5)
    assert its.remove(0.5, 1) == 0.25, "it had not begun"
    assert its.remove(0.75, 0) == 0.25
    assert drain(its) == [(1.25, 2)]


@pytest.mark.parametrize("its", [SliceJobs(0.25), SliceJobs(0.0), TurnJobs()], ids=["slices", "equal parts", "turns"])
def test_what_takes_no_time_ends_when_its_turn_comes(its):
    together(its, 0.25, 0.0)
    assert drain(its) == [(0.0, 1), (0.25, 0)] if its.next_end()[1] == 1 else [(0.25, 0), (0.25, 1)]


@settings(max_examples=300)
@given(jobs(**WHOLE), st.integers(1, 20).map(lambda n: Fraction(n, 8)))
def test_slices_are_those_of_exact_arithmetic(many, length_s):
    assert played(SliceJobs(float(length_s)), many) == literal.in_turns(many, length_s)


@settings(max_examples=300)
@given(jobs(**WHOLE))
def test_turns_are_those_of_exact_arithmetic(many):
    assert played(TurnJobs(), many) == literal.in_turns(many, Fraction(10**6))


@settings(max_examples=300)
@given(jobs(**WHOLE))
def test_slices_of_no_length_are_equal_parts_in_exact_arithmetic(many):
    assert_close(played(SliceJobs(0.0), many), literal.schedule(many))


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 400).map(lambda n: Fraction(n, 1000)), min_size=1, max_size=7),
    st.sampled_from([1, 2, 3, 7, 50]).map(lambda n: Fraction(n, 1000)),
)
def test_rounding_costs_nobody_a_round(works_s, length_s):
    """Works that are whole slices, but not whole numbers of them in binary."""
    many = [Job(Fraction(0), work_s, Fraction(1), Fraction(0)) for work_s in works_s]
    assert_close(played(SliceJobs(float(length_s)), many), literal.in_turns(many, length_s))


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for job, (at_s, left_s) in expected.items():
        assert found[job][0] == pytest.approx(float(at_s), rel=1e-9)
        assert found[job][1] == pytest.approx(float(left_s), abs=1e-9)


@pytest.mark.parametrize(
    ("length_s", "at_s", "works_s"),
    [(0.0, 0.001, [0.1, 0.255, 0.76, 0.2, 0.1, 0.893]), (0.001, 1.0, [0.001, 0.1, 0.2, 0.98, 0.2, 0.001]),
     (0.002, 1.0, [0.1, 0.2, 0.3, 0.2]), (0.0, 0.001, [0.1, 0.2550690257394217, 0.7609624449125756, 0.2, 0.1, 0.8933])],
)  # fmt: skip
def test_an_end_is_never_before_the_present(length_s, at_s, works_s):
    """Rounding would else make time go back, where several end at once."""
    its, now_s = SliceJobs(length_s), at_s
    for job, work_s in enumerate(works_s):
        its.add(now_s, job, work_s, 1.0, 0.0)
    while (end := its.next_end()) is not None:
        assert end[0] >= now_s
        now_s = end[0]
        assert its.remove(*end) == 0.0


def test_nothing_is_left_below_zero_right_before_the_end():
    for its in (SliceJobs(0.0), SliceJobs(0.01), TurnJobs()):
        for n in range(1, 100):
            for job in range(3):
                its.add(n / 7, job, n / 11, 1.0, 0.0)
            end_s, job = its.next_end()
            assert 0 <= its.remove(nextafter(end_s, 0.0), job) < 1e-12
            for other in {0, 1, 2} - {job}:
                its.remove(end_s, other)


def test_a_length_is_a_number_of_seconds():
    assert make_sharing("slices[length=0]").length == 0.0
    for length in ("-1", "nan", "inf"):
        with pytest.raises(ScenarioError, match=r"length is .*, must be a number of seconds, at least 0"):
            make_sharing(f"slices[length={length}]")
