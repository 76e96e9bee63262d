"""The cache of a KaaS executor: by hand, against a buffer-by-buffer oracle, and the knee of the KaaS paper."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.models.memory import HIT, BufferCache, BufferSet, Eviction
from tests.core.references import LiteralCache

MIB = 2**20


def constant(*sizes):
    return BufferSet(sizes, sizes)


def use(cache, key, buffers, scratch=0):
    placement = cache.request(key, buffers, scratch)
    cache.check()
    if placement is not None:
        cache.release(key, scratch)
        cache.check()
    return placement


def test_first_use_loads_and_the_next_hits():
    cache = BufferCache(100)
    buffers = BufferSet([30, 20], [30, 0])
    assert use(cache, 1, buffers) == (2, 30, True, ())
    assert use(cache, 1, buffers) is HIT
    assert cache.used_bytes == 50


def test_room_is_made_from_the_front_of_the_least_recently_used():
    cache = BufferCache(100)
    use(cache, 1, constant(20, 20))
    use(cache, 2, constant(40))
    assert use(cache, 3, constant(35)).evictions == (Eviction(1, 0, 1),)
    assert cache.resident_bytes(1) == 20
    assert use(cache, 1, constant(20, 20)) == (1, 20, False, (Eviction(2, 0, 1),))


def test_a_function_used_more_than_twice_outlives_younger_ones():
    cache = BufferCache(100)
    for _ in range(3):
        use(cache, 1, constant(60))
    use(cache, 2, constant(30))
    assert [e.key for e in use(cache, 3, constant(35)).evictions] == [2]
    assert cache.resident_bytes(1) == 60


def test_pinned_buffers_are_never_evicted():
    cache = BufferCache(100)
    assert cache.request(1, constant(60)) is not None
    assert cache.request(2, constant(50)) is None
    cache.check()
    assert cache.request(3, constant(40)) is not None
    assert cache.resident_bytes(1) == 60


def test_scratch_counts_while_the_request_runs():
    cache = BufferCache(100)
    assert cache.request(1, constant(50), 50) is not None
    assert cache.request(2, constant(1)) is None
    cache.release(1, 50)
    assert cache.request(2, constant(50)) is not None
    cache.check()


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


@settings(max_examples=300)
@given(FUNCTIONS, st.data(), st.booleans())
def test_whole_functions_decide_as_single_buffers(sizes, data, keep_headroom):
    capacity = data.draw(st.integers(max(sum(s) for s in sizes) + 5, 250))
    ours, literal = BufferCache(capacity, keep_headroom=keep_headroom), LiteralCache(capacity, keep_headroom)
    requests = data.draw(st.lists(st.tuples(st.integers(0, len(sizes) - 1), st.integers(0, 5)), max_size=40))
    for key, scratch in requests:
        placement = ours.request(key, constant(*sizes[key]), scratch)
        loaded, evicted = literal.request(key, sizes[key], scratch)
        assert [(key, i) for i in range(placement.n_loaded)] == loaded
        assert placement.load_bytes == sum(sizes[key][i] for _, i in loaded)
        assert [(e.key, i) for e in placement.evictions for i in range(e.first, e.last)] == evicted
        ours.release(key, scratch)
        literal.release(key, sizes[key], scratch)
        assert ours.used_bytes == sum(literal.resident.values())
        ours.check()


@given(FUNCTIONS, st.data())
def test_concurrent_requests_keep_the_invariants(sizes, data):
    cache = BufferCache(data.draw(st.integers(1, 150)))
    running = []
    for _ in range(data.draw(st.integers(0, 30))):
        if running and data.draw(st.booleans()):
            cache.release(*running.pop(data.draw(st.integers(0, len(running) - 1))))
        else:
            key, scratch = data.draw(st.integers(0, len(sizes) - 1)), data.draw(st.integers(0, 20))
            before = cache.used_bytes
            if cache.request(key, constant(*sizes[key]), scratch) is None:
                assert cache.used_bytes == before
            else:
                running.append((key, scratch))
        cache.check()


@pytest.mark.parametrize(("sizes", "loads"), [([1, 0], [1, 0]), ([1], [1, 2]), ([-1], [0])])
def test_impossible_buffers_are_refused(sizes, loads):
    with pytest.raises(ValueError, match="sizes must be positive"):
        BufferSet(sizes, loads)
