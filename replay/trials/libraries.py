"""Products of matrices by the project's kernels, and of the same shapes by PyTorch: how far from a library they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from replay.device.cuda import open_device
from replay.errors import ReplayError
from replay.trials.kernels import of_graph
from sim.domain import Kernel
from sim.models.workloads.catalogue import CatalogueEntry

KEYS = ("shape", "by")
LEAST_S = 0.01
Shape = tuple[int, int, int, int]  # m, n, k, batch


def libraries(
    device: str, entries: Mapping[str, CatalogueEntry], memory_limit_bytes: int, *, repeats: int = 5
) -> list[dict[str, Any]]:
    """Rows of a shape, by whom it is multiplied, the seconds and the operations a second.

    Raises ReplayError without PyTorch.
    """
    try:
        import torch
    except ImportError as error:
        raise ReplayError(f"products can't be compared with a library: PyTorch can't be imported ({error})") from None
    opened = open_device(device)
    ours: dict[Shape, float] = {}
    for entry in entries.values():
        seconds = of_graph(opened, entry, memory_limit_bytes, repeats)
        for number, kernel in enumerate(entry.graph.kernels):
            if (shape := shape_of(kernel)) is not None:
                ours.setdefault(shape, seconds[number])
    rows = []
    for shape, run_s in ours.items():
        rows.append(_row(shape, "the project", run_s))
        for name, dtype, tf32 in (("fp32", "float32", False), ("TF32", "float32", True), ("bf16", "bfloat16", False)):
            rows.append(_row(shape, f"PyTorch, {name}", _by_torch(torch, device, shape, dtype, tf32, repeats)))
    return rows


def shape_of(kernel: Kernel) -> Shape | None:
    """The product that a kernel of the project makes, in float32; None for one that makes none."""
    if (kernel.source, kernel.name) != ("sgemm", "sgemm") and not kernel.name.startswith("gemm_"):
        return None
    if kernel.source not in ("sgemm", "matmul"):
        return None
    m, n, k = (int(value) for _, value in kernel.literals[:3])
    return m, n, k, kernel.grid[2]


def _by_torch(torch: Any, device: str, shape: Shape, dtype: str, tf32: bool, repeats: int) -> float:
    """Median seconds of a product, of as many in a row as take some time."""
    m, n, k, batch = shape
    torch.backends.cuda.matmul.allow_tf32 = tf32
    where = torch.device(device)
    a = torch.ones((batch, m, k), dtype=getattr(torch, dtype), device=where)
    b = torch.ones((batch, k, n), dtype=getattr(torch, dtype), device=where)

    def run(times: int) -> float:
        begun_s = time.perf_counter()
        for _ in range(times):
            torch.bmm(a, b)
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        return time.perf_counter() - begun_s

    return _each_s(run, repeats)


def _each_s(run: Callable[[int], float], repeats: int) -> float:
    n = 1
    while min(run(n), run(n)) < LEAST_S:
        n *= 2
    return median(run(n) for _ in range(repeats)) / n


def _row(shape: Shape, by: str, run_s: float) -> dict[str, Any]:
    m, n, k, batch = shape
    name = f"{m} x {n} x {k}" + (f", {batch} of them" if batch > 1 else "")
    return {"shape": name, "by": by, "run_s": run_s, "flop_per_s": 2 * m * n * k * batch / run_s}
