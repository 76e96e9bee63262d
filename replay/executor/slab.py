"""An allocator of one piece of memory that never fails while enough bytes are free: it makes room by moving blocks.

Pure bookkeeping in offsets: who uses it moves the bytes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(eq=False, slots=True)
class Block:
    """Bytes in use. The offset changes when the block is moved or trimmed."""

    offset: int
    n_bytes: int


class Move(NamedTuple):
    """All bytes of a block go from one offset to a lower one; the two ranges may overlap."""

    block: Block
    source: int
    target: int
    n_bytes: int


class Slab:
    """``n_bytes`` of memory in blocks and holes; neighbouring holes are always one."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.free_bytes = 0
        self._blocks: dict[int, Block] = {}  # by offset
        self._holes: list[tuple[int, int]] = []  # (size, offset), ascending
        self._hole_at: dict[int, int] = {}  # offset -> size
        self._hole_before: dict[int, int] = {}  # end -> offset
        self._add_hole(0, n_bytes)

    @property
    def largest_hole(self) -> int:
        """Size of the largest hole."""
        return self._holes[-1][0] if self._holes else 0

    def allocate(self, n_bytes: int) -> Block | None:
        """A block out of the smallest hole that is large enough; None if there is none."""
        i = bisect_left(self._holes, (n_bytes, 0))
        if i == len(self._holes):
            return None
        size, offset = self._holes[i]
        self._remove_hole(offset)
        self._add_hole(offset + n_bytes, size - n_bytes)
        block = self._blocks[offset] = Block(offset, n_bytes)
        return block

    def trim(self, block: Block, n_bytes: int) -> None:
        """Free the leading ``n_bytes`` of a block; the block is gone when they are all that it has."""
        del self._blocks[block.offset]
        start, end = block.offset, block.offset + n_bytes
        block.offset += n_bytes
        block.n_bytes -= n_bytes
        if block.n_bytes:
            self._blocks[block.offset] = block
        if start in self._hole_before:
            start = self._hole_before[start]
            self._remove_hole(start)
        if end in self._hole_at:
            end += self._hole_at[end]
            self._remove_hole(block.offset)
        self._add_hole(start, end - start)

    def make_hole(self, n_bytes: int) -> list[Move]:
        """Unite neighbouring holes into one of at least ``n_bytes``, by moves to be carried out in this order.

        Of all runs of neighbouring holes that have so many bytes together, the one is taken that moves the fewest;
        all holes of the slab are such a run, so ``n_bytes`` of at most ``free_bytes`` never fail.
        """
        blocks = sorted(self._blocks.values(), key=lambda b: b.offset)
        starts = [0, *(b.offset + b.n_bytes for b in blocks)]  # of the gaps before each block and after the last
        ends = [*(b.offset for b in blocks), self.n_bytes]
        first, last = _cheapest(n_bytes, [e - s for s, e in zip(starts, ends, strict=True)], blocks)
        for i in range(first, last + 1):
            if ends[i] > starts[i]:
                self._remove_hole(starts[i])
        moves, target = [], starts[first]
        for block in blocks[first:last]:
            moves.append(Move(block, block.offset, target, block.n_bytes))
            del self._blocks[block.offset]
            self._blocks[target] = block
            block.offset = target
            target += block.n_bytes
        self._add_hole(target, ends[last] - target)
        return moves

    def _add_hole(self, offset: int, n_bytes: int) -> None:
        if n_bytes:
            insort(self._holes, (n_bytes, offset))
            self._hole_at[offset] = n_bytes
            self._hole_before[offset + n_bytes] = offset
            self.free_bytes += n_bytes

    def _remove_hole(self, offset: int) -> None:
        n_bytes = self._hole_at.pop(offset)
        del self._hole_before[offset + n_bytes]
        del self._holes[bisect_left(self._holes, (n_bytes, offset))]
        self.free_bytes -= n_bytes

    def check(self) -> None:
        """Invariants; raises AssertionError. For tests."""
        pieces = sorted([(b.offset, b.n_bytes, False) for b in self._blocks.values()]
                        + [(offset, n, True) for offset, n in self._hole_at.items()])  # fmt: skip
        end, was_hole = 0, False
        for offset, n_bytes, is_hole in pieces:
            assert offset == end, "blocks and holes overlap or leave bytes out"
            assert n_bytes > 0, "an empty piece"
            assert not (is_hole and was_hole), "two holes that should be one"
            end, was_hole = offset + n_bytes, is_hole
        assert end == self.n_bytes, "blocks and holes don't fill the slab"
        assert self._holes == sorted((n, offset) for offset, n in self._hole_at.items()), "the holes' index is wrong"
        assert self._hole_before == {offset + n: offset for offset, n in self._hole_at.items()}, "ends are wrong"
        assert self.free_bytes == sum(self._hole_at.values()), "free bytes are wrong"
        assert all(at == b.offset for at, b in self._blocks.items()), "a block is listed where it isn't"


def _cheapest(n_bytes: int, gaps: list[int], blocks: list[Block]) -> tuple[int, int]:
    """(first, last) gap of the run of gaps with ``n_bytes`` in all that has the fewest bytes of blocks between."""
    best: tuple[int, int, int] | None = None
    first = gap_bytes = block_bytes = 0
    for last, gap in enumerate(gaps):
        gap_bytes += gap
        while gap_bytes - gaps[first] >= n_bytes:
            gap_bytes -= gaps[first]
            block_bytes -= blocks[first].n_bytes
            first += 1
        if gap_bytes >= n_bytes and (best is None or block_bytes < best[0]):
            best = (block_bytes, first, last)
        if last < len(blocks):
            block_bytes += blocks[last].n_bytes
    assert best is not None, f"{n_bytes} bytes asked, {gap_bytes} are free"
    return best[1], best[2]
