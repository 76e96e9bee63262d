"""Complex matrix product with a constant of 2 GB: "cGEMM" of the KaaS benchmarks."""

from __future__ import annotations

from math import sqrt

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role

TILE_M, TILE_N = 100, 96  # rows and columns of C per block, in replay/kernels/cgemm.cu
GEMM_THREADS = 320
GEMV_THREADS = 512
ITEM_BYTES = 8  # complex64
FLOPS_PER_MAC = 8  # a complex multiply-add is four real ones


def build(m: int = 100, k: int = 10_000, n: int = 25_000, name: str = "cGEMM") -> KernelGraph:
    """Graph of ``e = (A B) d`` in complex64: A (m x k) is the input, B (k x n) and d (n) are constants.

    Two launches. At the default size: A 8,000,000 B, B 2,000,000,000 B, d 200,000 B, the product A B
    20,000,000 B and e 800 B. B and d are scaled so that A B and e keep the standard deviation of A.
    """
    a_bytes, b_bytes, c_bytes = (ITEM_BYTES * rows * cols for rows, cols in ((m, k), (k, n), (m, n)))
    d_bytes, e_bytes = ITEM_BYTES * n, ITEM_BYTES * m
    product = Kernel(
        source="cgemm",
        name="cgemm",
        grid=(-(-n // TILE_N), -(-m // TILE_M), 1),
        block=(GEMM_THREADS, 1, 1),
        literals=(("i", m), ("i", n), ("i", k)),
        args=(BufferArg("A", Direction.IN), BufferArg("B", Direction.IN), BufferArg("C", Direction.OUT)),
        flops=FLOPS_PER_MAC * m * n * k,
        moved_bytes=a_bytes + b_bytes + c_bytes,
    )
    times_vector = Kernel(
        source="cgemm",
        name="cgemv",
        grid=(m, 1, 1),
        block=(GEMV_THREADS, 1, 1),
        literals=(("i", n),),
        args=(BufferArg("C", Direction.IN), BufferArg("d", Direction.IN), BufferArg("e", Direction.OUT)),
        flops=FLOPS_PER_MAC * m * n,
        moved_bytes=c_bytes + d_bytes + e_bytes,
    )
    buffers = (
        Buffer("A", a_bytes, Role.INPUT, "complex64"),
        Buffer("B", b_bytes, Role.CONSTANT, "complex64", scale=1 / sqrt(k)),
        Buffer("C", c_bytes, Role.TEMPORARY, "complex64"),
        Buffer("d", d_bytes, Role.CONSTANT, "complex64", scale=1 / sqrt(n)),
        Buffer("e", e_bytes, Role.OUTPUT, "complex64"),
    )
    return KernelGraph(name, (product, times_vector), buffers)
