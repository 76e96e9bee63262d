"""Dense Jacobi solver: "jacobi" of the KaaS benchmarks, thousands of short launches and no constants."""

from __future__ import annotations

from math import sqrt

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError

ROWS_PER_BLOCK = 4  # one warp a row, in replay/kernels/jacobi.cu
THREADS = 32 * ROWS_PER_BLOCK
DIAGONAL = 1.0  # what the solver adds to the diagonal of A, see `build`
BOUND = 1e6  # no entry of a solution is larger, see `build`


def build(n: int = 512, sweeps: int = 3000, name: str = "jacobi") -> KernelGraph:
    """Graph of ``sweeps`` Jacobi sweeps for ``(A + I) x = b``: A float32 (n x n), b and x float64.

    Two launches (x -> x_new, x_new -> x), repeated sweeps/2 times, as in the KaaS benchmarks; outputs: x
    and the squared change of the last sweep. A has the standard deviation 1/(2 sqrt(n)), so that the spectral
    radius of the iteration is about 1/2 (circular law). x needs no initial value: device memory isn't
    cleared between requests, so the kernel clamps what it reads to ±BOUND, which makes any content a finite
    start, and the iteration forgets its start. Raises ScenarioError unless ``sweeps`` is even and positive.
    """
    if sweeps < 2 or sweeps % 2:
        raise ScenarioError(f"jacobi: sweeps is {sweeps}, but must be even and positive")
    a_bytes, x_bytes, residual_bytes = 4 * n * n, 8 * n, 8
    buffers = (
        Buffer("A", a_bytes, Role.INPUT, "float32", scale=0.5 / sqrt(n)),
        Buffer("b", x_bytes, Role.INPUT, "float64"),
        Buffer("x", x_bytes, Role.OUTPUT, "float64"),
        Buffer("x_new", x_bytes, Role.TEMPORARY, "float64"),
        Buffer("residual", residual_bytes, Role.OUTPUT, "float64"),
    )
    kernels = (_sweep(n, "x", "x_new", first=True), _sweep(n, "x_new", "x", first=False))
    return KernelGraph(name, kernels, buffers, n_iter=sweeps // 2)


def _sweep(n: int, source: str, target: str, first: bool) -> Kernel:
    """One sweep; the first of a pair clears the residual, to which the second adds."""
    return Kernel(
        source="jacobi",
        name="jacobi",
        grid=(-(-n // ROWS_PER_BLOCK), 1, 1),
        block=(THREADS, 1, 1),
        literals=(("i", n), ("i", int(first)), ("d", DIAGONAL), ("d", BOUND)),
        args=(
            BufferArg("A", Direction.IN),
            BufferArg("b", Direction.IN),
            BufferArg(source, Direction.IN),
            BufferArg(target, Direction.OUT),
            BufferArg("residual", Direction.OUT if first else Direction.INOUT),
        ),
        flops=2 * n * n,
        moved_bytes=4 * n * n + 3 * 8 * n + 8,
    )
