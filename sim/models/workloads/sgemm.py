"""Three chained square matrix products: the "testModel" of the KaaS benchmarks, at 1024²."""

from __future__ import annotations

from math import sqrt

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role

N_LAYERS = 3
TILE = 64  # rows and columns of C per block, in replay/kernels/sgemm.cu
THREADS = 128


def build(n: int = 1024, name: str = "sgemm") -> KernelGraph:
    """Graph of ``y = ((x W0) W1) W2`` with float32 matrices of n x n: three launches, three constants.

    Constants and input have 4n² bytes each, 4 MiB at the default size; the entries of W have the standard
    deviation 1/sqrt(n), which keeps those of y at that of x. Works for every n >= 1.
    """
    size_bytes = 4 * n * n
    tiles = -(-n // TILE)
    outputs = [*(f"h{i}" for i in range(N_LAYERS - 1)), "y"]
    inputs = ["x", *outputs[:-1]]
    buffers = [Buffer("x", size_bytes, Role.INPUT)]
    kernels = []
    for i, (source, target) in enumerate(zip(inputs, outputs, strict=True)):
        weights = Buffer(f"W{i}", size_bytes, Role.CONSTANT, scale=1 / sqrt(n))
        role = Role.OUTPUT if target == "y" else Role.TEMPORARY
        buffers += [weights, Buffer(target, size_bytes, role)]
        kernels.append(
            Kernel(
                source="sgemm",
                name="sgemm",
                grid=(tiles, tiles, 1),
                block=(THREADS, 1, 1),
                literals=(("i", n), ("i", n), ("i", n)),
                args=(
                    BufferArg(source, Direction.IN),
                    BufferArg(weights.name, Direction.IN),
                    BufferArg(target, Direction.OUT),
                ),
                flops=2 * n**3,
                moved_bytes=3 * size_bytes,
            )
        )
    return KernelGraph(name, tuple(kernels), tuple(buffers))
