"""Grids and blocks of ``replay/kernels/matmul.cu``, ``nn.cu`` and ``ssd.cu``."""

from __future__ import annotations

from math import prod

Size = tuple[int, int, int]

WARP = 32
MATMUL_BLOCK = (128, 1, 1)
MIN_LARGE_TILES = 264  # two for each of an H100's 132 SMs; where there are fewer, small tiles keep more SMs busy


def ceil_div(n: int, d: int) -> int:
    """The least number of pieces of size ``d`` that cover ``n``."""
    return -(-n // d)


def thread_per(n: int, threads: int = 256) -> tuple[Size, Size]:
    """Grid and block with a thread for each of ``n`` values."""
    return (ceil_div(n, threads), 1, 1), (threads, 1, 1)


def lanes_per(n: int, lanes: int = WARP) -> tuple[Size, Size]:
    """Grid and block with ``lanes`` threads for each of ``n`` rows, 128 threads a block."""
    rows = 128 // lanes
    return (ceil_div(n, rows), 1, 1), (lanes, rows, 1)


def tiles(rows: int, columns: int, batch: int = 1) -> tuple[str, Size]:
    """Size of the tiles of a product of rows x columns, as kernels are named by it, and the grid of these tiles."""
    large = (ceil_div(columns, 64), ceil_div(rows, 64), batch)
    if prod(large) >= MIN_LARGE_TILES:
        return "64x64", large
    return "32x32", (ceil_div(columns, 32), ceil_div(rows, 32), batch)
