"""What executors are believed to hold, against a list in order of last use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.policies.held import Held
from tests.contract.scripted import FLEET_MEMORY_BYTES
from tests.support import opaque_functions, scripted_fleet

EIGHTHS = [0, 0, 1, 1, 2, 3, 5, 9]  # of a device's memory; the last fits nowhere, and is held alone


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 7)), max_size=40),
    st.sets(st.integers(0, 7)),
)
def test_the_least_recently_used_make_room(most, uses, asked):
    held = Held(scripted_fleet(2), opaque_functions([FLEET_MEMORY_BYTES * part // 8 for part in EIGHTHS]), most)
    lists = [[], []]
    for worker, function in uses:
        its = [f for f in lists[worker] if f != function] + [function]
        gone = []
        while len(its) > 1 and (len(its) > most or sum(EIGHTHS[f] for f in its) > 8):
            gone.append(its.pop(0))
        lists[worker] = its
        assert held.use(worker, worker, function) == gone
        for other in (0, 1):
            assert sorted(held.among(other, asked)) == sorted(asked & {*lists[other]})
    assert [*held.lose(0)] == lists[0]
    assert held.among(0, asked) == []
