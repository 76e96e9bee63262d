"""The buffers of a function as a cache counts them: how many, how large, and what of each is copied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


class BufferSet:
    """The cacheable buffers of one function, in order of first use.

    sizes_bytes: device memory of each. load_bytes: what is copied to the device when it is not resident
    (0 for temporaries and outputs, whose content is made on the device). Kept as sums: ``size_upto[i]`` and
    ``load_upto[i]`` of the first i buffers; ``largest_from[i]`` is the size of the largest of the rest.
    """

    __slots__ = ("largest_from", "load_upto", "n", "size_upto", "total_bytes")

    def __init__(self, sizes_bytes: Sequence[int], load_bytes: Sequence[int]) -> None:
        if len(sizes_bytes) != len(load_bytes) or min(sizes_bytes, default=1) <= 0:
            raise ValueError("sizes must be positive and as many as loads")
        self.n = len(sizes_bytes)
        self.size_upto = [0, *accumulate(sizes_bytes)]
        self.load_upto = [0, *accumulate(load_bytes)]
        self.total_bytes = self.size_upto[-1]
        self.largest_from = [*accumulate(reversed(sizes_bytes), max, initial=0)][::-1]
