"""The time of each kernel of each graph, and what launching costs: one by one, all at once, and as a CUDA graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

from replay.device.cuda import open_device
from replay.device.seam import Device
from replay.executor.executor import Execution, Executor
from sim.domain import KernelGraph
from sim.models.workloads.catalogue import CatalogueEntry

KEYS = ("graph", "part")
WARM = 2  # runs before those that count: modules are loaded, and a CUDA graph is captured at the second


def kernels(
    device: str, entries: Mapping[str, CatalogueEntry], memory_limit_bytes: int, *, repeats: int = 5
) -> list[dict[str, Any]]:
    """Rows of a graph and a part of it: each kernel with its numbers, how often it is launched, and the seconds of a
    launch and of all of them; and the whole graph, launch by launch and as a CUDA graph."""
    opened = open_device(device)
    rows = []
    for name, entry in entries.items():
        launches_s = of_graph(opened, entry, memory_limit_bytes, repeats)
        for part, each_s in _by_kernel(entry.graph, launches_s).items():
            rows.append(_row(name, part, len(each_s), median(each_s), sum(each_s)))
        n = entry.graph.n_iter * len(entry.graph.kernels)
        for part, as_one in (("all launches", False), ("all, as a CUDA graph", True)):
            runs = _runs(opened, entry, memory_limit_bytes, repeats, cuda_graphs=as_one)
            run_s = median(run.run_s for run in runs)
            rows.append(_row(name, part, n, run_s / n, run_s))
    return rows


def of_graph(device: Device, entry: CatalogueEntry, memory_limit_bytes: int, repeats: int) -> list[float]:
    """Seconds of each launch of a graph, in order: medians of so many runs."""
    runs = _runs(device, entry, memory_limit_bytes, repeats, profile=True)
    return [median(times) for times in zip(*(run.kernels_s or () for run in runs), strict=True)]


def _runs(
    device: Device,
    entry: CatalogueEntry,
    memory_limit_bytes: int,
    repeats: int,
    *,
    profile: bool = False,
    cuda_graphs: bool = False,
) -> list[Execution]:
    executor = Executor(device, memory_limit_bytes=memory_limit_bytes, profile=profile, cuda_graphs=cuda_graphs)
    executor.register(0, entry.graph, entry.fresh_inputs)
    runs = [executor.run(0) for _ in range(WARM + repeats)][WARM:]
    executor.close()
    return runs


def _by_kernel(graph: KernelGraph, launches_s: list[float]) -> dict[str, list[float]]:
    """Seconds of the launches of a graph, by kernel and numbers."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for number, seconds in enumerate(launches_s):
        kernel = graph.kernels[number % len(graph.kernels)]
        numbers = ", ".join(f"{value:g}" for _, value in kernel.literals)
        found[f"{kernel.source}.{kernel.name}({numbers})"].append(seconds)
    return dict(found)


def _row(graph: str, part: str, launches: int, each_s: float, all_s: float) -> dict[str, Any]:
    return {"graph": graph, "part": part, "launches": launches, "each_s": each_s, "all_s": all_s}
