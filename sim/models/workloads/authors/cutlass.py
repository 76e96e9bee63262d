"""Products by CUTLASS's SIMT kernels as the KaaS authors ran them: ``cGEMM`` and ``cutlassSgemm``.

A block of 256 threads makes a tile of 128 x 128 in steps of 8, with two stages in shared memory (CUTLASS,
default_mma_core_simt.h and mma_pipelined.h). Tiles at the edge are computed in full, so ``flops`` count what is
executed: the padded tile, not the matrix. That is what keeps multiprocessors busy; a product of 100 rows and one
column costs as much as one of 128 x 128.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.models.workloads.geometry import ceil_div

TILE, STEP, THREADS, STAGES = 128, 8, 256, 2
WORD_BYTES = 4


def complex_gemm(name: str = "cGEMM") -> KernelGraph:
    """(A B) d in complex64: A 100 x 10,000, B 10,000 x 25,000, d 25,000 x 1. Grids of 196 blocks and of one.

    8 operations a complex multiply-add. 33,024 B of shared memory.
    """
    return _build(name, "cgemm-cutlass", (100, 10_000, 25_000, 1), "complex64", flops_per_mac=8)


def single_gemm(name: str = "cutlassSgemm") -> KernelGraph:
    """(A B) d in float32: A 100 x 10,000, B 10,000 x 8,000, d 8,000 x 2. Grids of 63 blocks and of one.

    The authors give bytes; these shapes make them.
    """
    return _build(name, "sgemm-cutlass", (100, 10_000, 8_000, 2), "float32", flops_per_mac=2)


def shared_bytes(item_bytes: int) -> int:
    """Of a block: two stages of a step of both factors, rows of the first padded by one item for each 4 words of it.

    simt_transpose_padding in default_mma_core_simt.h: 32 / STEP items of one word, half of that of two.
    """
    padding = 32 // STEP // (item_bytes // WORD_BYTES)
    return STAGES * STEP * (TILE + padding + TILE) * item_bytes


def _build(name: str, source: str, shape: tuple[int, int, int, int], dtype: str, flops_per_mac: int) -> KernelGraph:
    m, k, n, columns = shape
    item_bytes = np.dtype(dtype).itemsize
    sizes = {"A": m * k, "B": k * n, "C": m * n, "d": n * columns, "e": m * columns}
    roles = (Role.INPUT, Role.CONSTANT, Role.TEMPORARY, Role.CONSTANT, Role.OUTPUT)
    scales = {"B": 1 / sqrt(k), "d": 1 / sqrt(n)}
    buffers = tuple(
        Buffer(b, item_bytes * size, role, dtype, scales.get(b, 1.0))
        for (b, size), role in zip(sizes.items(), roles, strict=True)
    )

    def launch(left: str, right: str, product: str, width: int, depth: int) -> Kernel:
        n_tiles = ceil_div(m, TILE) * ceil_div(width, TILE)
        return Kernel(
            source=source,
            name="gemm",
            grid=(n_tiles, 1, 1),
            block=(THREADS, 1, 1),
            args=(
                BufferArg(left, Direction.IN),
                BufferArg(right, Direction.IN),
                BufferArg(product, Direction.OUT),
            ),
            shared_bytes=shared_bytes(item_bytes),
            flops=flops_per_mac * n_tiles * TILE * TILE * ceil_div(depth, STEP) * STEP,
            moved_bytes=item_bytes * (sizes[left] + sizes[right] + sizes[product]),
        )

    return KernelGraph(name, (launch("A", "B", "C", n, k), launch("C", "d", "e", columns, n)), buffers)
