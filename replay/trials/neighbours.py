"""What workers that share a device take from each other: each graph alone, in pairs, and with as many as there are.

Two graphs of arithmetic and of copies alone are among them: alone, they tell the peaks of a part of a device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from statistics import median
from typing import Any

from replay.calibration.peaks import CHAINS, KERNEL, STEPS, THREADS
from replay.device.mps import running
from replay.errors import ReplayError
from replay.trials.crew import Member, Worker, Yard, functions_of, work
from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role
from sim.models.workloads.catalogue import CatalogueEntry

KEYS = ("workers", "graph", "beside")
WORKERS = (1, 2, 4, 8)
ROUNDS, BLOCKS = 64, 2112  # of multiply-adds: 16 blocks for each multiprocessor of an H100
ON_CPU = 0.001  # of that, where one core stands in for a GPU
ROWS, COLUMNS = 16384, 4096  # of numbers that are read and written: 256 MiB, more than a device caches


def neighbours(
    device: str,
    entries: Mapping[str, CatalogueEntry],
    memory_limit_bytes: int,
    *,
    mode: str,
    workers: Sequence[int] = WORKERS,
    seconds: float = 0.25,
) -> list[dict[str, Any]]:
    """Rows of a graph on one of so many workers, each with an equal share, and what runs beside it: its median seconds
    on the device, how many times slower that is than alone on the same share, and how often it ran.

    memory_limit_bytes: of each worker, beside what the graphs of peaks need. mode: of ``replay.fleet.modes``; "static"
    has no shares, and workers take turns. The graphs of peaks have their operations or bytes a second in the rows in
    which they are alone. Raises ReplayError where a mode can't be had.
    """
    own = peaks(ON_CPU if device == "cpu" else 1.0)
    everything = {**entries, **own}
    functions = functions_of(everything)
    room_bytes = 2 * sum(buffer.size_bytes for entry in own.values() for buffer in entry.graph.buffers)
    yard = Yard(device, functions, memory_limit_bytes + room_bytes)
    try:
        with running(mode == "fractional"):
            yard.prepare()
            rows = []
            for n in workers:
                share = 1.0 if mode == "static" else 1 / n
                with yard.crew([Member(mode, share)] * n) as crew:
                    rows += [{"share": share} | row for row in _rows(crew, functions, everything, seconds)]
            return rows
    finally:
        yard.close()


def peaks(scale: float) -> dict[str, CatalogueEntry]:
    """A graph that computes and does nothing else, and one that reads and writes; smaller ones by ``scale``."""
    blocks, rows = max(int(BLOCKS * scale), 1), max(int(ROWS * scale), 1)
    y = Buffer("y", 4 * blocks * THREADS, Role.OUTPUT)
    literals = (("i", ROUNDS), ("f", 1.0), ("f", 1.0))
    computes = Kernel(
        "peaks", KERNEL, (blocks, 1, 1), (THREADS, 1, 1), (BufferArg("y", Direction.OUT),), literals,
        flops=2 * blocks * THREADS * CHAINS * STEPS * ROUNDS,
    )  # fmt: skip
    size_bytes = 4 * rows * COLUMNS
    buffers = (Buffer("bias", 4 * COLUMNS, Role.CONSTANT), Buffer("x", size_bytes, Role.TEMPORARY))
    arguments = (BufferArg("bias", Direction.IN), BufferArg("x", Direction.INOUT))
    sizes = (("i", rows), ("i", COLUMNS))
    copies = Kernel(
        "nn", "bias_gelu", (rows * COLUMNS // 256, 1, 1), (256, 1, 1), arguments, sizes, moved_bytes=2 * size_bytes
    )
    return {
        "multiply-adds": CatalogueEntry(KernelGraph("multiply-adds", (computes,), (y,)), fresh_inputs=False),
        "read-write": CatalogueEntry(KernelGraph("read-write", (copies,), buffers), fresh_inputs=False),
    }


def _rows(
    crew: Sequence[Worker], functions: Sequence[Function], entries: Mapping[str, CatalogueEntry], seconds: float
) -> Iterator[dict[str, Any]]:
    alone_s = {}
    for function in functions:
        (runs,) = work({crew[0]: function.id}, seconds).values()
        alone_s[function.id] = median(run.run_s for run in runs)
        row = _row(len(crew), function, "", [run.run_s for run in runs], alone_s[function.id])
        yield row | _rate(entries[function.key], alone_s[function.id])
    if len(crew) == 1:
        return
    for pair in combinations_with_replacement(functions, 2):
        found = work({crew[0]: pair[0].id, crew[1]: pair[1].id}, seconds)
        for function, beside, runs in zip(pair, reversed(pair), found.values(), strict=True):
            times_s = [run.run_s for run in runs]
            yield _row(len(crew), function, beside.key, times_s, alone_s[function.id])
    if len(crew) > 2:
        for function in functions:
            found = work(dict.fromkeys(crew, function.id), seconds)
            times_s = [run.run_s for runs in found.values() for run in runs]
            yield _row(len(crew), function, f"{len(crew) - 1} more", times_s, alone_s[function.id])


def _row(n: int, function: Function, beside: str, times_s: Sequence[float], alone_s: float) -> dict[str, Any]:
    if not times_s:
        raise ReplayError(f"{function.key} did not run once while {beside} did: measure for longer")
    run_s = median(times_s)
    return {
        "workers": n, "graph": function.key, "beside": beside, "run_s": run_s, "slowdown": run_s / alone_s,
        "runs": len(times_s),
    }  # fmt: skip


def _rate(entry: CatalogueEntry, run_s: float) -> dict[str, float]:
    """What a graph of peaks does in a second."""
    if entry.graph.name == "multiply-adds":
        return {"flop_per_s": sum(k.flops for k in entry.graph.kernels) / run_s}
    if entry.graph.name == "read-write":
        return {"bytes_per_s": sum(k.moved_bytes for k in entry.graph.kernels) / run_s}
    return {}
