"""The cache of a KaaS executor: by hand, against a buffer-by-buffer oracle, and the knee of the KaaS paper."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.models.buffers import BufferSet
from sim.models.eviction import known
from sim.models.memory import HIT, BufferCache, Eviction
from tests.sim.references import LiteralCache, LiteralLru

MIB = 2**20


def constant(*sizes):
    return BufferSet(sizes, sizes)


def use(cache, key, buffers, scratch=0):
    placement = cache.request(key, buffers, scratch)
    cache.check()
    return placement


def test_first_use_loads_and_the_next_hits():
    cache = BufferCache(100)
    buffers = BufferSet([30, 20], [30, 0])
    assert use(cache, 1, buffers) == (2, 30, True, ())
    assert use(cache, 1, buffers) is HIT
    assert cache.resident_bytes == 50


def test_room_is_made_from_the_front_of_the_least_recently_used():
    cache = BufferCache(100)
    use(cache, 1, constant(20, 20))
    use(cache, 2, constant(40))
    assert use(cache, 3, constant(35)).evictions == (Eviction(1, 0, 1),)
    assert cache.resident_bytes_of(1) == 20
    assert use(cache, 1, constant(20, 20)) == (1, 20, False, (Eviction(2, 0, 1),))


def test_a_function_used_more_than_twice_outlives_younger_ones():
    cache = BufferCache(100)
    for _ in range(3):
        use(cache, 1, constant(60))
    use(cache, 2, constant(30))
    assert [e.key for e in use(cache, 3, constant(35)).evictions] == [2]
    assert cache.resident_bytes_of(1) == 60


def test_a_request_does_not_evict_its_own_buffers():
    cache = BufferCache(100)
    use(cache, 1, constant(20, 20))
    for _ in range(3):
        use(cache, 2, constant(60))
    use(cache, 3, constant(10))  # costs function 1 its first buffer
    assert cache.resident_bytes_of(1) == 20
    # Function 1 is now the oldest of "other", but what makes room for its first buffer is the next one, function 3.
    assert use(cache, 1, constant(20, 20)).evictions == (Eviction(3, 0, 1),)


def test_what_can_not_fit_changes_nothing():
    cache = BufferCache(100)
    use(cache, 1, constant(60))
    assert use(cache, 2, constant(101)) is None
    assert use(cache, 3, constant(60), scratch=41) is None
    assert cache.resident_bytes_of(1) == 60


def test_scratch_makes_room_but_does_not_stay():
    cache = BufferCache(100)
    use(cache, 1, constant(50))
    assert [e.key for e in use(cache, 2, constant(30), scratch=30).evictions] == [1]
    assert cache.resident_bytes == 30
    assert use(cache, 3, constant(70)).evictions == ()


@pytest.mark.parametrize(("per_gpu", "fits"), [(7, True), (8, False)])
def test_the_knee_of_cgemm_at_8_clients_a_gpu(per_gpu, fits):
    """kaas: 28 cGEMM clients on 4 V100s stay flat, the 29th collapses; capacity 16160 - 300 MiB less the context."""
    sizes = [8_000_000, 2_000_000_000, 20_000_000, 200_000, 800]
    buffers = BufferSet(sizes, [8_000_000, 2_000_000_000, 0, 200_000, 0])
    cache = BufferCache((16160 - 300 - 330) * MIB, keep_headroom=True)
    for _ in range(4):
        hits = [use(cache, client, buffers) is HIT for client in range(per_gpu)]
    assert all(hits) is fits
    assert any(hits) is fits


def test_without_headroom_eight_clients_would_fit():
    buffers = constant(8_000_000, 2_000_000_000, 20_000_000, 200_000, 800)
    cache = BufferCache((16160 - 300 - 330) * MIB)
    for _ in range(2):
        hits = [use(cache, client, buffers) is HIT for client in range(8)]
    assert all(hits)


FUNCTIONS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=6), min_size=1, max_size=6)


def histories(sizes):
    """Requests, as (function, scratch bytes)."""
    return st.lists(st.tuples(st.integers(0, len(sizes) - 1), st.integers(0, 5)), max_size=40)


@pytest.mark.parametrize(("eviction", "oracle"), [("kaas", LiteralCache), ("lru", LiteralLru)])
@settings(max_examples=300)
@given(FUNCTIONS, st.data(), st.booleans())
def test_whole_functions_decide_as_single_buffers(eviction, oracle, sizes, data, keep_headroom):
    capacity = data.draw(st.integers(max(sum(s) for s in sizes) + 5, 250))
    ours = BufferCache(capacity, keep_headroom=keep_headroom, eviction=eviction)
    literal = oracle(capacity, keep_headroom)
    requests = data.draw(histories(sizes))
    for key, scratch in requests:
        placement = ours.request(key, constant(*sizes[key]), scratch)
        loaded, evicted = literal.request(key, sizes[key], scratch)
        assert [(key, i) for i in range(placement.n_loaded)] == loaded
        assert placement.load_bytes == sum(sizes[key][i] for _, i in loaded)
        assert [(e.key, i) for e in placement.evictions for i in range(e.first, e.last)] == evicted
        literal.release(key, sizes[key], scratch)
        assert ours.resident_bytes == sum(literal.resident.values())
        ours.check()


@pytest.mark.parametrize("eviction", known())
@given(FUNCTIONS, st.data(), st.booleans())
def test_any_strategy_spares_the_request_and_gives_up_all_others(eviction, sizes, data, keep_headroom):
    capacity = data.draw(st.integers(max(sum(s) for s in sizes) + 5, 250))
    cache = BufferCache(capacity, keep_headroom=keep_headroom, eviction=eviction)
    for key, scratch in data.draw(histories(sizes)):
        placement = use(cache, key, constant(*sizes[key]), scratch)
        assert key not in [e.key for e in placement.evictions]
        assert cache.resident_bytes_of(key) == sum(sizes[key])
        assert cache.resident_bytes + scratch <= capacity
    there = {key for key in range(len(sizes)) if cache.resident_bytes_of(key)}
    assert {e.key for e in use(cache, -1, constant(capacity)).evictions} == there
    assert cache.resident_bytes == cache.resident_bytes_of(-1) == capacity


def test_with_lru_many_uses_are_no_protection():
    cache = BufferCache(100, eviction="lru")
    for _ in range(3):
        use(cache, 1, constant(60))
    use(cache, 2, constant(30))
    assert use(cache, 3, constant(35)).evictions == (Eviction(1, 0, 1),)


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(
        ScenarioError, match=rf"unknown eviction strategy 'lur', did you mean 'lru'\? Known are {', '.join(known())}"
    ):
        BufferCache(100, eviction="lur")


@pytest.mark.parametrize(("sizes", "loads"), [([1, 0], [1, 0]), ([1], [1, 2]), ([-1], [0])])
def test_impossible_buffers_are_refused(sizes, loads):
    with pytest.raises(ValueError, match="sizes must be positive"):
        BufferSet(sizes, loads)
