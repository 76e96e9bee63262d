"""Jobs that share a device: by hand, against exact arithmetic, and what must hold for any jobs."""

from __future__ import annotations

import sys
from fractions import Fraction
from math import nextafter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.models.sharing.mps import SharedDevice
from tests.sim.models.sharing import literal
from tests.sim.models.sharing.driver import drain, fractions, jobs, played
from tests.sim.models.sharing.literal import Job


def device(*jobs):
    """Jobs (sm_frac, bandwidth_frac) of a second each, numbered from 0, that start at 0."""
    its = SharedDevice()
    for job, (sm, bandwidth) in enumerate(jobs):
        its.add(0.0, job, 1.0, sm, bandwidth)
    return its


def schedule(jobs, watch=lambda its, there: None):
    """What ``literal.schedule`` gives, from a SharedDevice."""
    return played(SharedDevice(), jobs, watch)


def test_a_job_alone_ends_after_its_work_to_the_last_bit():
    its = SharedDevice()
    its.add(0.1, 7, 0.2, 1.0, 1.0)
    assert its.next_end() == (0.1 + 0.2, 7)
    assert its.remove(0.1 + 0.2, 7) == 0.0
    assert its.next_end() is None


@pytest.mark.parametrize("n", [2, 3, 7, 10, 48])
def test_jobs_that_just_fill_the_device_run_as_if_alone(n):
    its = device(*[(1 / n, 1 / n)] * n)
    assert {its.speed(job) for job in range(n)} == {1.0}
    assert drain(its) == [(1.0, job) for job in range(n)]


@pytest.mark.parametrize("fracs", [(0.05, 0.45, 0.5), (0.05, 0.05, 0.9)])
def test_rounding_of_unequal_parts_does_not_slow_anyone_either(fracs):
    """The last one finds a bit less than it wants: 1 - 0.05 - 0.45 is below 0.5."""
    its = device(*zip(fracs, fracs, strict=True))
    assert {its.speed(job) for job in range(3)} == {1.0}


def test_two_that_want_the_whole_device_get_half_of_it():
    its = device((1.0, 0.0), (1.0, 0.0))
    assert its.speed(0) == its.speed(1) == 0.5
    assert drain(its) == [(2.0, 0), (2.0, 1)]


def test_who_wants_less_than_the_level_is_not_slowed():
    its = device((0.2, 0.0), (0.5, 0.0), (1.0, 0.0))
    assert [its.speed(job) for job in range(3)] == pytest.approx([1.0, 0.8, 0.4])


def test_a_demand_below_the_cap_leaves_multiprocessors_to_others():
    """Two jobs under caps of 0.5 and 1, of which the first has blocks for 0.25 only."""
    its = device((0.25, 0.0), (0.75, 0.0))
    assert its.speed(0) == its.speed(1) == 1.0


def test_who_does_not_use_memory_is_not_slowed_by_those_who_do():
    its = device((0.25, 1.0), (0.25, 1.0), (0.25, 0.0))
    assert [its.speed(job) for job in range(3)] == [0.5, 0.5, 1.0]


def test_half_of_the_multiprocessors_draw_half_of_the_bandwidth():
    its = device((1.0, 0.9), (1.0, 0.9))
    assert its.speed(0) == its.speed(1) == 0.5
    its = device((1.0, 1.0), (1.0, 0.2), (0.1, 0.8))
    assert [its.speed(job) for job in range(3)] == pytest.approx([0.45, 0.45, (1 - 0.45 - 0.09) / 0.8])


def test_the_last_one_gets_the_device_back():
    its = SharedDevice()
    its.add(0.0, 1, 3.0, 1.0, 0.0)
    its.add(1.0, 2, 1.0, 1.0, 0.0)
    assert drain(its) == [(3.0, 2), (4.0, 1)]


def test_what_is_left_of_a_killed_job_is_told():
    its = SharedDevice()
    its.add(0.0, 1, 3.0, 1.0, 0.0)
    its.add(1.0, 2, 1.0, 1.0, 0.0)
    assert its.remove(2.0, 1) == 1.5
    assert its.next_end() == (2.5, 2)


def test_nothing_is_left_below_zero_right_before_the_end():
    for n in range(1, 200):
        its = SharedDevice()
        for job in range(3):
            its.add(n / 7, job, n / 11, 0.9, 0.0)
        end_s, job = its.next_end()
        assert 0 <= its.remove(nextafter(end_s, 0.0), job) < 1e-12


def test_the_id_of_a_killed_job_may_be_used_again():
    its = device((0.1, 0.1), (0.1, 0.1))
    assert its.remove(0.5, 0) == 0.5
    its.add(0.75, 0, 1.0, 0.1, 0.1)
    assert drain(its) == [(1.0, 1), (1.75, 0)]


def test_jobs_that_end_together_end_together_after_the_first_is_removed():
    its = SharedDevice()
    for job in (3, 1, 2):
        its.add(0.1, job, 0.7, 0.9, 0.3)
    ends = drain(its)
    assert [job for _, job in ends] == [1, 2, 3]
    assert len({at_s for at_s, _ in ends}) == 1


def test_contention_of_others_does_not_move_the_end_of_who_was_not_slowed():
    rivals = [Job(Fraction(n // 2, 20), Fraction(1, 50), Fraction(9, 10), Fraction(1, 2)) for n in range(40)]
    ends = schedule([Job(Fraction(1, 10), Fraction(7, 10), Fraction(1, 5), Fraction(0)), *rivals])
    assert ends[0] == (0.1 + 0.7, 0.0)
    assert ends[1][0] > 0.02 * 1.5


def test_many_comings_and_goings_do_not_add_up_to_an_error():
    """Late in a long run, one job is slowed and freed 20,000 times; the device is always full, so no work is lost."""
    start_s, n, its = 1e6, 20_000, SharedDevice()
    its.add(start_s, 0, n * 0.1 + 5.0, 0.7, 0.1)
    now_s = start_s
    for job in range(1, n + 1):
        its.add(now_s, job, 0.1, 0.7, 0.1)
        now_s, ended = its.next_end()
        assert ended == job
        its.remove(now_s, job)
    left_s = its.remove(now_s, 0)
    # Each gets 0.5 of the 0.7 that it wants: the short ones take 0.14 s, in which the long one does 0.1 s.
    assert now_s - start_s == pytest.approx(n * 0.14, rel=1e-9)
    assert left_s == pytest.approx(5.0, abs=1e-6)
    its.add(now_s, 1, 1.0, 1.0, 1.0)
    assert its.next_end() == (now_s + 1.0, 1)


@settings(max_examples=300)
@given(jobs())
def test_schedules_are_those_of_exact_arithmetic(many):
    expected, found = literal.schedule(many), schedule(many)
    assert expected.keys() == found.keys()
    for job, (at_s, left_s) in expected.items():
        assert 0 <= found[job][1] <= many[job].work_s
        assert found[job][0] == pytest.approx(float(at_s), rel=1e-9)
        assert found[job][1] == pytest.approx(float(left_s), rel=1e-9, abs=1e-9 * float(many[job].work_s))


@settings(max_examples=300)
@given(jobs(max_size=12))
def test_no_resource_is_exceeded_and_nobody_waits_for_an_idle_one(many):
    def watch(its, there):
        v = {job: its.speed(job) for job in there}
        used = [
            sum(v[i] * float(j.sm) for i, j in there.items()),
            sum(v[i] * float(j.bandwidth) for i, j in there.items()),
        ]
        assert all(0 < speed <= 1 for speed in v.values())
        assert max(used) < 1 + 1e-9
        assert max(used) > 1 - 1e-9 or set(v.values()) <= {1.0}

    schedule(many, watch)


@pytest.mark.parametrize(
    "one", [{"bandwidth": st.just(Fraction(0))}, {"sm": fractions(1, 2, 24)}], ids=["SMs", "memory"]
)
def test_with_one_scarce_resource_a_further_job_makes_no_other_end_earlier(one):
    @settings(max_examples=150)
    @given(jobs(**one, killed=False, max_size=9))
    def check(many):
        without, with_all = schedule(many[:-1]), schedule(many)
        assert all(with_all[job][0] >= at_s * (1 - 1e-9) for job, (at_s, _) in without.items())

    check()


def test_with_two_a_further_job_may_help_one_by_slowing_its_rival():
    """It takes multiprocessors from a job that draws bandwidth, which leaves more bandwidth to a third one."""
    crowd = [(0.1, 0.6), (0.9, 0.6)]
    assert device(*crowd).speed(0) == pytest.approx(0.5 / 0.6)
    assert device(*crowd, (1.0, 0.0)).speed(0) == 1.0


@settings(max_examples=100)
@given(jobs(sm=fractions(1, 24, 24 * 7), bandwidth=fractions(0, 24, 24 * 7), killed=False))
def test_without_contention_every_end_is_exact(many):
    ends = schedule(many)
    assert all(ends[i] == (float(j.at_s) + float(j.work_s), 0.0) for i, j in enumerate(many))


def opcodes(action):
    """Bytecodes that sim.models.sharing.mps executes."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.endswith("/sim/models/sharing/mps.py"):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(old)
    return count


def test_without_contention_the_work_of_an_event_does_not_grow_with_the_jobs():
    def come_and_go(its, frac):
        its.add(0.0, 100, 0.5, frac, frac)
        its.next_end()
        its.remove(0.5, 100)

    counts = []
    for n in (1, 48):
        its = device(*[(1 / 50, 1 / 50)] * n)
        for frac in (1.0, *[1 / 50] * 100):  # contention once, a while ago
            come_and_go(its, frac)
        counts.append(opcodes(lambda its=its: come_and_go(its, 1 / 50)))
    assert counts[0] == counts[1] > 0
