"""Timers ring once, at the instant that was ordered last."""

from __future__ import annotations

from math import inf

from sim.protocol import Arrival, Finished, Need, Reject, Run, Start, Stop, Wake, Woke, WorkerReady, WorkerStopped
from tests.sim.engine.by_script import play

TIMERS = {Need.TIMERS}


def told(directory, *orders, **more):
    """What was told after the arrival at 1.0, at which these orders are given."""
    answers = [(Arrival(0, 0), [Reject(0, "no"), *orders])]
    return play(directory, answers, [(1.0, 0)], needs=TIMERS, **more).log[1:]


def test_each_tag_rings_at_its_instant(tmp_path):
    assert told(tmp_path, Wake("b", 2.0), Wake("a", 1.5), Wake("", 3.0)) == [
        (1.5, Woke("a")), (2.0, Woke("b")), (3.0, Woke("")),
    ]  # fmt: skip


def test_one_that_is_set_anew_rings_then_and_only_then(tmp_path):
    orders = [Wake("later", 1.5), Wake("later", 2.5), Wake("earlier", 2.5), Wake("earlier", 1.75)]
    assert told(tmp_path, *orders) == [(1.75, Woke("earlier")), (2.5, Woke("later"))]


def test_back_and_forth(tmp_path):
    orders = [Wake("a", 3.0), Wake("a", 2.0), Wake("a", 4.0), Wake("a", 3.0)]
    assert told(tmp_path, *orders) == [(3.0, Woke("a"))]


def test_one_that_is_taken_back_does_not_ring(tmp_path):
    orders = [Wake("a", 2.0), Wake("a", inf), Wake("b", 2.0), Wake("b", inf), Wake("b", 2.25), Wake("c", inf)]
    assert told(tmp_path, *orders) == [(2.25, Woke("b"))]


def test_one_for_an_instant_that_is_over_rings_now(tmp_path):
    assert told(tmp_path, Wake("a", 0.25), Wake("b", -inf), Wake("c", 1.0)) == [
        (1.0, Woke("a")), (1.0, Woke("b")), (1.0, Woke("c")),
    ]  # fmt: skip


def test_those_of_one_instant_ring_in_the_order_in_which_they_were_set_to_it(tmp_path):
    orders = [Wake("a", 2.0), Wake("b", 4.0), Wake("c", 3.0), Wake("c", 4.0), Wake("b", 3.0), Wake("a", 4.0),
              Wake("b", 4.0)]  # fmt: skip
    assert [event.tag for _, event in told(tmp_path, *orders)] == ["c", "a", "b"]


def test_one_that_rings_can_be_set_again(tmp_path):
    answers = [
        (Arrival(0, 0), [Reject(0, "no"), Wake("a", 1.5), Wake("b", 2.0)]),
        (Woke("a"), [Wake("c", 0.0), Wake("a", 2.0)]),
        (Woke("b"), [Wake("a", inf)]),
    ]
    assert play(tmp_path, answers, [(1.0, 0)], needs=TIMERS).log[1:] == [
        (1.5, Woke("a")), (1.5, Woke("c")), (2.0, Woke("b")),
    ]  # fmt: skip


def test_timers_ring_after_all_else_of_their_instant(tmp_path):
    """Also after what the timer before them set off."""
    answers = [
        (Arrival(0, 0), [Wake("a", 2.5), Wake("b", 2.5), Start(0, 0, 0), Run(0, 0)]),  # ends at 2.5
        (Woke("a"), [Stop(0)]),
    ]
    assert play(tmp_path, answers, [(1.0, 0), (2.5, 0)], needs=TIMERS).log[2:] == [
        (2.5, Finished(0, 0)), (2.5, Arrival(1, 0)), (2.5, Woke("a")), (2.5, WorkerStopped(0)), (2.5, Woke("b")),
    ]  # fmt: skip


def test_a_worker_that_gets_ready_then_is_told_before(tmp_path):
    answers = [(Arrival(0, 0), [Wake("a", 1.5), Start(0, 0, 0), Reject(0, "no")])]
    assert play(tmp_path, answers, [(1.0, 0)], needs=TIMERS).log[1:] == [(1.5, WorkerReady(0, 0)), (1.5, Woke("a"))]
