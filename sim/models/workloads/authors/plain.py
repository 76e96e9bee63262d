"""Graphs whose kernels the authors wrote by hand: ``jacobi``, ``testModel`` and ``dummy``.

The first two compute what the project's own do, on the same buffers; only the launches differ.
"""

from __future__ import annotations

from dataclasses import replace

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.models.workloads import jacobi, sgemm


def solver(name: str = "jacobi") -> KernelGraph:
    """3,000 sweeps of 512 unknowns by two alternating launches of one kernel, in 256 blocks of 66 threads."""
    return _launched(jacobi.build(name=name), "jacobi-kaas", (256, 1, 1), (66, 1, 1), shared_bytes=4096)


def products(name: str = "testModel") -> KernelGraph:
    """Three chained products of 1024 x 1024, a thread for each value. The constants are parts of one object there."""
    return _launched(sgemm.build(1024, name), "sgemm-kaas", (32, 32, 1), (32, 32, 1))


def dummy(name: str = "dummy") -> KernelGraph:
    """One launch that takes 1 KiB and gives 1 KiB: what a request costs by itself. One block, by assumption."""
    buffers = (Buffer("x", 1024, Role.INPUT), Buffer("y", 1024, Role.OUTPUT))
    args = (BufferArg("x", Direction.IN), BufferArg("y", Direction.OUT))
    kernel = Kernel("dummy-kaas", "dummy", (1, 1, 1), (256, 1, 1), args, moved_bytes=2048)
    return KernelGraph(name, (kernel,), buffers)


def _launched(
    graph: KernelGraph, source: str, grid: tuple[int, int, int], block: tuple[int, int, int], shared_bytes: int = 0
) -> KernelGraph:
    kernels = tuple(
        replace(k, source=source, grid=grid, block=block, shared_bytes=shared_bytes, literals=()) for k in graph.kernels
    )
    return replace(graph, kernels=kernels)
