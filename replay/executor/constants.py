"""What constants and example inputs hold: random numbers that a seed decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil, sqrt
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from sim.domain import Buffer

Array = npt.NDArray[Any]
Fill = Callable[[Array, str, Buffer], None]  # puts the content of a graph's buffer into an array
POOL = 1_000_003  # normal numbers; a prime, so that rows of large matrices don't repeat


def fill(out: Array, graph: str, buffer: Buffer, seed: int) -> None:
    """Fill an array of a buffer's dtype as the docstring of ``sim.domain.Buffer`` says.

    The content depends on the seed and the names of graph and buffer alone, so that every process that serves a
    graph makes the same. Normal numbers are taken from a pool, from a place that the names decide: a hundred times as
    fast as drawing them, so that the start of a process isn't about random numbers.
    """
    place = crc32(f"{graph}/{buffer.name}".encode())
    if out.dtype.kind in "iu":
        out[:] = np.random.default_rng([seed, place]).integers(0, ceil(buffer.scale), out.size, out.dtype)
        return
    is_complex = out.dtype.kind == "c"
    parts = out.view(f"f{out.dtype.itemsize // 2}") if is_complex else out
    scale = parts.dtype.type(buffer.scale / sqrt(2) if is_complex else buffer.scale)
    pool = _pool(seed, parts.dtype.str)
    done, place = 0, place % POOL
    while done < parts.size:
        piece = pool[place : place + parts.size - done]
        np.multiply(piece, scale, out=parts[done : done + piece.size])
        done, place = done + piece.size, 0


@lru_cache
def _pool(seed: int, dtype: str) -> Array:
    return np.random.default_rng(seed).standard_normal(POOL).astype(dtype)
