"""Grids and blocks that TVM's schedules for CUDA give to kernels (apache/tvm, python/tvm/topi/cuda, 2021).

Those of untuned kernels, which depend on shapes alone. Convolutions have no such: their tiles are tuned. The authors
built a fork, which may differ.
"""

from __future__ import annotations

from math import gcd

from sim.models.workloads.geometry import Size, ceil_div

TILE = 64  # rows and columns of a product that a block makes
_THREADS, _MOST_BLOCKS = 1024, 256  # of an elementwise kernel
_ROWS = 32  # of a reduction's block, with as many threads each


def elementwise(n: int) -> tuple[Size, Size]:
    """A thread for each of ``n`` values; beyond 256 blocks of 1,024, threads make several (injective.py)."""
    return (min(ceil_div(n, _THREADS), _MOST_BLOCKS), 1, 1), (_THREADS, 1, 1)


def reduction(rows: int) -> tuple[Size, Size]:
    """32 threads for each row, and 32 rows a block (reduction.py)."""
    return (ceil_div(rows, _ROWS), 1, 1), (_ROWS, _ROWS, 1)


def product(rows: int, columns: int, batch: int) -> tuple[Size, Size]:
    """Tiles of 64 x 64, less in a batch whose shape it doesn't divide (batch_matmul.py).

    That of one product (dense.py, large batch) may be tuned to 128, but not to less. It has 256 threads, one of a
    batch 64.
    """
    if batch == 1:
        return (ceil_div(columns, TILE), ceil_div(rows, TILE), 1), (16, 16, 1)
    m, n = gcd(rows, TILE), gcd(columns, TILE)
    return (columns // n, rows // m, batch), (min(n, 8), min(m, 8), 1)
