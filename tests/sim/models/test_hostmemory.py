"""What a node keeps of constants: by hand, and against caches that are plain lists."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.models.eviction import known
from sim.models.hostmemory import Fetch, HostMemory, Lost
from sim.models.tiers import NEAREST_FIRST, Tier

DEVICE, PEER, PINNED, PAGEABLE, DISK, REMOTE = NEAREST_FIRST


def test_what_was_fetched_is_nearer_the_next_time():
    memory = HostMemory([40, 40], {PAGEABLE: 100}, DISK)
    assert memory.source_of(0) is DISK
    assert memory.fetch(0) == Fetch(DISK, ())
    assert memory.source_of(0) is PAGEABLE
    assert memory.fetch(0) == Fetch(PAGEABLE, ())
    assert memory.source_of(1) is DISK


def test_the_least_recently_used_makes_room_with_all_it_has():
    memory = HostMemory([40, 40, 30], {PAGEABLE: 100}, DISK)
    for function in (0, 1, 0):
        memory.fetch(function)
    assert memory.fetch(2) == Fetch(DISK, (Lost(PAGEABLE, 1),))
    assert [memory.source_of(f) for f in range(3)] == [PAGEABLE, DISK, PAGEABLE]


def test_pinned_and_pageable_memory_keep_what_passes_them_each_by_itself():
    memory = HostMemory([40, 40, 60], {PINNED: 50, PAGEABLE: 100}, DISK)
    assert memory.fetch(0) == Fetch(DISK, ())
    assert memory.fetch(1) == Fetch(DISK, (Lost(PINNED, 0),))
    assert [memory.source_of(f) for f in range(2)] == [PAGEABLE, PINNED]
    memory.fetch(1)  # from pinned memory: pageable memory hears nothing of it, so 1 is no younger there
    memory.fetch(0)
    assert memory.fetch(2) == Fetch(DISK, (Lost(PAGEABLE, 1),))  # too large to be pinned
    assert [memory.source_of(f) for f in range(3)] == [PINNED, DISK, PAGEABLE]


def test_what_comes_from_a_remote_store_stays_on_the_disk():
    memory = HostMemory([60, 60], {PAGEABLE: 100, DISK: 1000}, REMOTE)
    assert memory.fetch(0).source is REMOTE
    assert memory.fetch(1) == Fetch(REMOTE, (Lost(PAGEABLE, 0),))
    assert memory.source_of(0) is DISK


def test_constants_can_be_brought_nearer_ahead_of_a_request():
    memory = HostMemory([40, 40], {PINNED: 50, PAGEABLE: 100}, DISK)
    assert memory.fetch(0, to=PAGEABLE) == Fetch(DISK, ())
    assert memory.source_of(0) is PAGEABLE
    assert memory.fetch(0, to=PINNED) == Fetch(PAGEABLE, ())
    assert memory.source_of(0) is PINNED
    memory.fetch(1)
    assert memory.fetch(1, to=PAGEABLE) == Fetch(PINNED, ())  # nearer already
    assert memory.source_of(0) is PAGEABLE


def test_a_function_without_constants_needs_none():
    memory = HostMemory([0], {PAGEABLE: 100}, DISK)
    assert memory.source_of(0) is DEVICE
    assert memory.fetch(0) == Fetch(DEVICE, ())


def test_what_fits_nowhere_always_comes_from_home():
    memory = HostMemory([101, 50], {PAGEABLE: 100}, DISK)
    memory.fetch(1)
    assert [memory.fetch(0) for _ in range(2)] == [Fetch(DISK, ())] * 2
    assert memory.source_of(1) is PAGEABLE


@pytest.mark.parametrize("home", [PINNED, PAGEABLE])
def test_home_may_be_host_memory_which_then_holds_everything(home):
    memory = HostMemory([10**12], {}, home)
    assert [memory.fetch(0) for _ in range(2)] == [Fetch(home, ())] * 2


@pytest.mark.parametrize(
    ("keeps", "home"), [(DISK, DISK), (REMOTE, DISK), (DEVICE, DISK), (PEER, DISK), (PINNED, PINNED)]
)
def test_only_tiers_of_the_host_nearer_than_home_keep_copies(keeps, home):
    with pytest.raises(ValueError, match=f"can't all keep copies of what is in {home.value}"):
        HostMemory([10], {keeps: 100}, home)


def test_a_strategy_that_is_not_known_is_refused():
    with pytest.raises(ScenarioError, match="unknown eviction strategy 'ttl'"):
        HostMemory([10], {PAGEABLE: 100}, DISK, "ttl")


class Literal:
    """The same rules on plain lists, the oldest first."""

    def __init__(self, sizes, capacities, home):
        self.sizes, self.capacities, self.home = sizes, capacities, home
        self.lists = {tier: [] for tier in NEAREST_FIRST if tier in capacities}

    def fetch(self, function, to):
        source = next((t for t, kept in self.lists.items() if function in kept), self.home)
        if not self.sizes[function]:
            return Fetch(DEVICE, ())
        lost = []
        for tier, kept in self.lists.items():
            passed = NEAREST_FIRST.index(tier) <= NEAREST_FIRST.index(source)
            if not passed or NEAREST_FIRST.index(tier) < NEAREST_FIRST.index(to):
                continue
            if self.sizes[function] > self.capacities[tier]:
                continue
            if function in kept:
                kept.remove(function)
            while sum(self.sizes[f] for f in kept) + self.sizes[function] > self.capacities[tier]:
                lost.append(Lost(tier, kept.pop(0)))
            kept.append(function)
        return Fetch(source, tuple(lost))


SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=8)
KEPT = st.dictionaries(st.sampled_from([PINNED, PAGEABLE, DISK]), st.integers(0, 80))


def orders(sizes):
    """Fetches, as (function, how near)."""
    return st.lists(st.tuples(st.integers(0, len(sizes) - 1), st.sampled_from([DEVICE, PINNED, PAGEABLE])), max_size=60)


@settings(max_examples=300)
@given(SIZES, KEPT, st.data())
def test_the_host_decides_as_plain_lists_do(sizes, capacities, data):
    memory, literal = HostMemory(sizes, capacities, REMOTE), Literal(sizes, capacities, REMOTE)
    for function, to in data.draw(orders(sizes)):
        assert memory.fetch(function, to) == literal.fetch(function, to)


@pytest.mark.parametrize("eviction", known())
@given(SIZES, KEPT, st.data())
def test_with_any_strategy_no_tier_holds_more_than_it_can(eviction, sizes, capacities, data):
    memory = HostMemory(sizes, capacities, REMOTE, eviction)
    kept = {tier: set() for tier in capacities}
    for function, to in data.draw(orders(sizes)):
        source, lost = memory.fetch(function, to)
        for tier, gone in lost:
            kept[tier].remove(gone)  # who loses a place had one
        for tier, capacity in capacities.items():
            on_its_way = NEAREST_FIRST.index(to) <= NEAREST_FIRST.index(tier) <= NEAREST_FIRST.index(source)
            if on_its_way and 0 < sizes[function] <= capacity:
                kept[tier].add(function)
            assert sum(sizes[f] for f in kept[tier]) <= capacity
        nearest = [
            next((t for t in Tier if f in kept.get(t, ())), REMOTE if n else DEVICE) for f, n in enumerate(sizes)
        ]
        assert [memory.source_of(f) for f in range(len(sizes))] == nearest
