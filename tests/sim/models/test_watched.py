"""A cache that tells of what comes and goes is the cache that does not, and what it tells adds up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.models.buffers import BufferSet
from sim.models.eviction import known
from sim.models.memory import HIT, BufferCache
from sim.models.watched import EVICTED, ORDERED, WatchedCache

CAPACITY = 20
FUNCTIONS = [BufferSet(sizes, sizes) for sizes in ((3, 4), (5,), (1, 2, 3), (8, 2), (6, 6), (2,))]
ORDERS = st.lists(st.tuples(st.integers(0, len(FUNCTIONS) - 1), st.booleans(), st.integers(0, 5)), max_size=60)


@pytest.mark.parametrize("eviction", known())
@given(orders=ORDERS, headroom=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_told_adds_up_to_what_is_resident(eviction, orders, headroom):
    told = []
    watched = WatchedCache(CAPACITY, lambda *what: told.append(what), keep_headroom=headroom, eviction=eviction)
    plain = BufferCache(CAPACITY, keep_headroom=headroom, eviction=eviction)
    there = dict.fromkeys(range(len(FUNCTIONS)), 0)
    for function, evicts, scratch in orders:
        if evicts:
            assert watched.evict(function) == plain.evict(function)
            assert {reason for _, _, reason in told} <= {ORDERED}
        else:
            placement = watched.request(function, FUNCTIONS[function], scratch)
            assert placement == plain.request(function, FUNCTIONS[function], scratch)
            assert {reason for _, _, reason in told} <= {"", EVICTED}
            assert not (placement is HIT and told)
        for whose, n_bytes, reason in told:
            assert n_bytes > 0
            there[whose] += -n_bytes if reason else n_bytes
        told.clear()
        assert there == {whose: watched.resident_bytes_of(whose) for whose in there}
        assert sum(there.values()) == watched.resident_bytes
