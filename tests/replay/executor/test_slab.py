"""The allocator: bookkeeping is whole, content survives, room is made with few bytes moved."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.executor.slab import Block, Slab


def carry_out(memory, moves):
    for move in moves:
        memory[move.target : move.target + move.n_bytes] = memory[move.source : move.source + move.n_bytes].copy()


def filled(*sizes, of=100):
    """A slab of ``of`` bytes that starts with these blocks: (slab, blocks)."""
    slab = Slab(of)
    return slab, [slab.allocate(n) for n in sizes]


def test_takes_the_smallest_hole_that_is_large_enough():
    slab, blocks = filled(30, 5, 20, 5, 40)
    slab.trim(blocks[0], 30)
    slab.trim(blocks[2], 20)
    assert slab.allocate(15).offset == 35
    assert slab.allocate(25).offset == 0
    assert slab.largest_hole == 5
    assert slab.allocate(6) is None
    slab.check()


def test_neighbouring_holes_become_one():
    slab, blocks = filled(10, 10, 10, 70)
    slab.trim(blocks[0], 10)
    slab.trim(blocks[2], 10)
    slab.trim(blocks[1], 10)
    assert slab.largest_hole == slab.free_bytes == 30
    slab.check()


def test_trim_frees_the_front_of_a_block():
    slab, (block, _) = filled(60, 40)
    slab.trim(block, 25)
    assert (block.offset, block.n_bytes, slab.largest_hole) == (25, 35, 25)
    slab.check()


def test_moves_the_fewest_bytes():
    slab, blocks = filled(10, 30, 10, 5, 10, 35)  # holes of 10 at 0, 40 and 55: 30 or 5 bytes lie between
    for block in blocks[::2]:
        slab.trim(block, 10)
    moves = slab.make_hole(20)
    assert [(m.block, m.source, m.target, m.n_bytes) for m in moves] == [(blocks[3], 50, 40, 5)]
    assert slab.allocate(20).offset == 45
    slab.check()


def test_more_than_is_free_is_a_mistake():
    slab, _ = filled(90)
    with pytest.raises(AssertionError, match="11 bytes asked, 10 are free"):
        slab.make_hole(11)


@st.composite
def sessions(draw):
    """Size of a slab, and operations: (True, bytes to allocate) or (False, block to trim, part of it)."""
    allocate = st.tuples(st.just(True), st.integers(1, 30), st.just(0.0))
    trim = st.tuples(st.just(False), st.integers(0, 50), st.sampled_from([0.3, 1.0, 1.0]))
    return draw(st.integers(20, 120)), draw(st.lists(allocate | trim, min_size=5, max_size=60))


@given(sessions())
@settings(max_examples=200)
def test_never_fails_while_bytes_are_free_and_loses_no_content(session):
    n_bytes, operations = session
    slab, memory = Slab(n_bytes), np.zeros(n_bytes, np.int64)
    content: dict[Block, np.ndarray] = {}
    for i, (allocate, n, part) in enumerate(operations):
        if allocate and n <= slab.free_bytes:
            block = slab.allocate(n)
            if block is None:
                before, pieces = slab.largest_hole, layout(slab, content)
                moves = slab.make_hole(n)
                assert sum(m.n_bytes for m in moves) == fewest_bytes(n, *pieces)
                assert before < n <= slab.largest_hole
                carry_out(memory, moves)
                block = slab.allocate(n)
            content[block] = memory[block.offset : block.offset + n] = np.arange(n) + 1000 * i
        elif not allocate and content:
            block = list(content)[n % len(content)]
            freed = max(1, int(block.n_bytes * part))
            slab.trim(block, freed)
            content[block] = content[block][freed:]
            if not block.n_bytes:
                del content[block]
        slab.check()
        assert slab.free_bytes == n_bytes - sum(len(c) for c in content.values())
        for block, values in content.items():
            assert (memory[block.offset : block.offset + block.n_bytes] == values).all()


def layout(slab, blocks):
    """Sizes of the gaps before each block and after the last, and of the blocks, in order of their offsets."""
    ordered = sorted((b.offset, b.n_bytes) for b in blocks)
    ends = [0, *(offset + n for offset, n in ordered)]
    starts = [*(offset for offset, _ in ordered), slab.n_bytes]
    return [s - e for s, e in zip(starts, ends, strict=True)], [n for _, n in ordered]


def fewest_bytes(n, gaps, sizes):
    return min(sum(sizes[i:j]) for i, j in combinations(range(len(gaps)), 2) if sum(gaps[i : j + 1]) >= n)
