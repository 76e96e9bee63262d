"""Cold starts of each graph, by stages: modules loaded whole or bit by bit, from pinned and from pageable memory."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

from replay.device.seam import Device
from replay.executor.executor import Executor
from replay.fleet.machine import release_of
from replay.fleet.messages import EXECUTOR
from replay.trials.crew import Member, Yard, functions_of, run_once
from sim.models.workloads.catalogue import CatalogueEntry

LOADING = "CUDA_MODULE_LOADING"  # of the environment: EAGER loads a module whole, LAZY each kernel when it is used
MEMORY = {"pinned": EXECUTOR, "pageable": f"{__name__}:PageableExecutor"}
KEYS = ("graph", "modules", "memory")


def starts(
    device: str, entries: Mapping[str, CatalogueEntry], memory_limit_bytes: int, *, n: int = 20, seconds: float = 60.0
) -> list[dict[str, Any]]:
    """A row for each cold start: KEYS, the seconds of each stage, ``ready_s`` from the start of the process, and
    ``first_run_s`` from the order to the answer.

    In rounds of one start of each graph in each way: n rounds, or as many as begin within so many seconds.
    """
    functions = functions_of(entries)
    yard = Yard(device, functions, memory_limit_bytes)
    try:
        release = release_of(yard.prepare())
        rows = []
        until_s = time.monotonic() + seconds
        for number in range(n):
            if number and time.monotonic() > until_s:
                break
            for function, loading, memory in product(functions, ("EAGER", "LAZY"), MEMORY):
                with _loading(loading), yard.crew([Member(executor=MEMORY[memory])], [function], release) as (worker,):
                    ready, run = worker.ready, run_once(worker, function.id)
                    ends_ns = (ready.entered_ns, ready.imported_ns, ready.opened_ns, ready.modules_ns, ready.ready_ns)
                    stages = [b - a for a, b in zip((worker.begun_ns, *ends_ns), ends_ns, strict=False)]
                    rows.append(
                        dict(zip(KEYS, (function.key, loading.lower(), memory), strict=True))
                        | {f"{name}_s": ns / 1e9 for name, ns in zip(_STAGES, stages, strict=True)}
                        | {"ready_s": (ready.ready_ns - worker.begun_ns) / 1e9}
                        | {"first_run_s": (run.ended_ns - run.started_ns) / 1e9}
                    )
        return rows
    finally:
        yard.close()


_STAGES = ("process", "runtime", "context", "modules", "constants")


class PageableExecutor(Executor):
    """An executor whose host memory is not pinned: the driver of the GPU copies from it by way of its own."""

    def __init__(self, device: Device, **options: Any) -> None:
        super().__init__(replace(device, runtime=_Pageable(device.runtime)), **options)


class _Pageable:
    """A runtime whose pinned memory isn't."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._taken: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def hostAlloc(self, size: int, flags: int) -> int:
        block = (ctypes.c_uint8 * size)()
        self._taken[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def freeHost(self, address: int) -> None:
        del self._taken[address]


@contextmanager
def _loading(how: str) -> Iterator[None]:
    """Let processes that are started now load modules in a way."""
    before = os.environ.get(LOADING)
    os.environ[LOADING] = how
    restore: Callable[[], object] = (
        (lambda: os.environ.pop(LOADING)) if before is None else (lambda: os.environ.update({LOADING: before}))
    )
    try:
        yield
    finally:
        restore()
