"""Whatever BufferCache lets in finds a place, and what is resident keeps its content."""

from types import SimpleNamespace

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from replay.executor.residency import Residency
from sim.domain import Buffer, KernelGraph, Role
from sim.models.buffers import BufferSet
from sim.models.eviction import known
from sim.models.layout import ALIGNMENT_BYTES, layout
from sim.models.memory import BufferCache


def test_layout_separates_what_may_stay_from_scratch():
    buffers = (
        Buffer("x", 300, Role.INPUT),
        Buffer("w", 256, Role.CONSTANT),
        Buffer("t", 8, Role.TEMPORARY),
        Buffer("v", 4, Role.CONSTANT),
        Buffer("y", 260, Role.OUTPUT),
    )
    graph = KernelGraph("g", (), buffers)
    fresh, cached = layout(graph, fresh_inputs=True), layout(graph, fresh_inputs=False)
    assert [b.name for b in fresh.cached] == ["w", "v"]
    assert [b.name for b in fresh.scratch] == ["x", "t", "y"]
    assert (fresh.cached_set.size_upto, fresh.cached_set.load_upto) == ([0, 256, 512], [0, 256, 260])
    assert (fresh.scratch_set.size_upto, fresh.scratch_set.load_upto) == ([0, 512, 768, 1280], [0, 300, 300, 300])
    assert [b.name for b in cached.cached] == ["x", "w", "v"]
    assert (cached.cached_set.load_upto[-1], cached.scratch_set.total_bytes) == (560, 768)


def sized(cached, scratch):
    """A layout by sizes in units of alignment."""
    sets = [BufferSet([n * ALIGNMENT_BYTES for n in sizes], [n * 100 for n in sizes]) for sizes in (cached, scratch)]
    return SimpleNamespace(cached_set=sets[0], scratch_set=sets[1])


class Memory:
    """Device memory in units of alignment, filled as an executor would: with numbers that only one unit has."""

    def __init__(self, units, **cache):
        self.residency = Residency(units * ALIGNMENT_BYTES, **cache)
        self.units = np.zeros(units)

    def invoke(self, key, its):
        """Admit, check and end an invocation."""
        entered = self.residency.enter(key, its)
        for move in entered.moves:
            source, target, n = (x // ALIGNMENT_BYTES for x in (move.source, move.target, move.n_bytes))
            self.units[target : target + n] = self.units[source : source + n].copy()
        for extent in entered.loads:
            at = extent.block.offset // ALIGNMENT_BYTES
            content = contents(key, its.cached_set)[extent.first : extent.last]
            whole = np.concatenate(content)
            self.units[at : at + len(whole)] = whole
        self.check_content(key, its, entered.offsets)
        self.residency.leave(key)
        self.residency.slab.check()
        self.residency.cache.check()
        return entered

    def check_content(self, key, its, offsets):
        claimed = np.zeros(len(self.units), bool)
        sizes = np.concatenate([np.diff(its.cached_set.size_upto), np.diff(its.scratch_set.size_upto)])
        wanted = contents(key, its.cached_set)
        for i, (offset, n_bytes) in enumerate(zip(offsets.tolist(), sizes.tolist(), strict=True)):
            place = slice(offset // ALIGNMENT_BYTES, (offset + n_bytes) // ALIGNMENT_BYTES)
            assert offset % ALIGNMENT_BYTES == 0
            assert not claimed[place].any(), "two buffers of an invocation overlap"
            claimed[place] = True
            if i < its.cached_set.n:
                assert (self.units[place] == wanted[i]).all(), "a buffer has lost its content"
            else:
                self.units[place] = -1  # kernels write here


def contents(key, buffers):
    sizes = np.diff(buffers.size_upto) // ALIGNMENT_BYTES
    return [key * 1000 + i + np.linspace(0, 0.5, n) for i, n in enumerate(sizes)]


@st.composite
def histories(draw):
    """Memory in units, layouts that fit in it alone, what the cache is like, and a sequence of functions."""
    units = draw(st.integers(12, 70))
    size = st.integers(1, 12) | st.integers(1, 3)
    tenants = draw(st.lists(st.tuples(st.lists(size, max_size=8), st.lists(size, max_size=4)), min_size=2, max_size=7))
    room = units * 31 // 32
    tenants = [t for t in tenants if sum(t[0]) + sum(t[1]) <= room] or [([room], [])]
    order = draw(st.lists(st.integers(0, len(tenants) - 1), min_size=10, max_size=60))
    cache = {"keep_headroom": draw(st.booleans()), "eviction": draw(st.sampled_from(known()))}
    return units, [sized(*t) for t in tenants], cache, order


@given(histories())
@settings(max_examples=300)
def test_all_that_the_cache_lets_in_is_placed_and_keeps_its_content(history):
    units, layouts, cache, order = history
    memory = Memory(units, **cache)
    alone = BufferCache(memory.residency.cache.capacity_bytes, **cache)
    for key in order:
        its = layouts[key]
        entered = memory.invoke(key, its)
        event(f"moves: {bool(entered.moves)}")
        assert entered.placement == alone.request(key, its.cached_set, its.scratch_set.total_bytes)


def test_full_memory_is_fragmented_and_yet_serves_the_largest_buffer():
    """61 of 62 units are taken in blocks of 1 and 2, of which two thirds are older than the rest."""
    memory = Memory(64)
    small = [sized([1 + i % 2], []) for i in range(41)]
    for key, its in enumerate(small):
        memory.invoke(key, its)
    for key in range(0, 41, 3):
        memory.invoke(key, small[key])
    assert memory.invoke(100, sized([30], [10])).moves
    assert not memory.invoke(101, sized([62], [])).moves  # nothing is left to be moved
