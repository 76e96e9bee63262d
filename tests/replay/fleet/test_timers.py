"""Timers of a replay against a list that is searched."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from replay.fleet.timers import Timers
from sim.protocol import Wake

Instants = st.one_of(st.integers(-2, 12).map(float), st.just(inf))
Orders = st.tuples(st.sampled_from("abcd"), Instants)


class Literal:
    """The rules as they are told."""

    def __init__(self):
        self.wanted = []  # (at_s, tag), in the order in which they were set

    def set(self, now_s, tag, at_s):
        self.wanted = [(at, t) for at, t in self.wanted if t != tag]
        if at_s < inf:
            self.wanted.append((max(at_s, now_s), tag))

    def ring_upto(self, now_s):
        due = [entry for entry in self.wanted if entry[0] <= now_s]
        self.wanted = [entry for entry in self.wanted if entry[0] > now_s]
        return [tag for _, tag in sorted(due, key=lambda entry: entry[0])]


@given(st.lists(st.lists(Orders, max_size=6), max_size=14))
def test_timers_ring_when_and_as_they_were_set_last(steps):
    timers, literal = Timers(), Literal()
    for now_s, orders in enumerate(steps):
        for tag, at_s in orders:
            timers.set(now_s, Wake(tag, at_s))
            literal.set(now_s, tag, at_s)
        assert timers.next_s == min([at_s for at_s, _ in literal.wanted], default=inf)
        rung = []
        while timers.next_s <= now_s:
            rung.append(timers.ring())
        assert rung == literal.ring_upto(now_s)


def test_a_timer_that_is_set_again_and_again_leaves_nothing_behind():
    timers = Timers()
    for i in range(10_000):
        timers.set(0.0, Wake(f"t{i % 3}", 1.0 + i))
    assert len(timers._heap) <= 6
