"""What the replay's executor costs on the host, without a device: python -m benchmarks.launch

Python's share of a launch, of a warm request and of registering a function, against a driver that does nothing (the
call of CuPy's own function, about 0.1 us, is not in it); and how many bytes are moved within the device, to make room,
for each byte that is loaded.
"""

from __future__ import annotations

import ctypes
import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np

from replay.device.seam import Device
from replay.executor.executor import Executor
from replay.executor.plan import Plan
from replay.executor.residency import Residency
from replay.kernels.check import check_graph
from sim.domain import KernelGraph
from sim.models.layout import layout
from sim.models.workloads import bert, jacobi, resnet50
from sim.models.workloads.catalogue import load_catalogue

LAUNCH_BAR_S, REQUEST_BAR_S = 1e-6, 0.5e-3


class StubDriver:
    """Takes launches and does nothing: ``chain`` is a function in C that takes any arguments."""

    launchKernel = itertools.chain

    def moduleLoadData(self, image: bytes) -> int:
        return 1

    def moduleGetFunction(self, module: int, name: str) -> int:
        return 1


class StubRuntime:
    """Memory of the host for what is pinned, and nothing else."""

    memcpyHostToDevice = memcpyDeviceToHost = memcpyDeviceToDevice = 0
    streamNonBlocking = eventDefault = hostAllocDefault = 0

    def __init__(self) -> None:
        self._pinned: list[object] = []

    def malloc(self, size: int) -> int:
        return 1 << 40

    def hostAlloc(self, size: int, flags: int) -> int:
        block = ctypes.create_string_buffer(size)
        self._pinned.append(block)
        return ctypes.addressof(block)

    def streamCreateWithFlags(self, flags: int) -> int:
        return 1

    def eventCreateWithFlags(self, flags: int) -> int:
        return 1

    def memcpyAsync(self, dst: int, src: int, size: int, kind: int, stream: int) -> None: ...

    def eventRecord(self, event: int, stream: int) -> None: ...

    def streamSynchronize(self, stream: int) -> None: ...

    def eventElapsedTime(self, start: int, end: int) -> float:
        return 0.0


def stub() -> Device:
    """A device that does nothing."""
    return Device("stub", "0", 80 << 30, StubDriver(), StubRuntime(), lambda source: b"", (RuntimeError,), dict)


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action."""
    times = []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun_s)
    return statistics.median(times)


def requests(graph: KernelGraph) -> None:
    """Print what planning, registering, launches and the rest of a warm request cost."""
    its = layout(graph, fresh_inputs=True)
    order = [b.name for b in its.cached + its.scratch]
    plan_s = seconds(lambda: check_graph(graph), 10) + seconds(lambda: Plan(graph, order), 10)
    executor = Executor(stub(), memory_limit_bytes=8 << 30)
    functions = itertools.count()
    register_s = seconds(lambda: executor.register(next(functions), graph, fresh_inputs=True), 300)
    request_s = seconds(lambda: executor.run(0), 300)
    program = executor._functions[0][1]
    launches_s = seconds(lambda: executor._launch_all(program), 300)
    launch_s, rest_s = launches_s / graph.n_launches, request_s - launches_s
    good = launch_s < LAUNCH_BAR_S and max(rest_s, register_s) < REQUEST_BAR_S
    print(
        f"{graph.name:9}{graph.n_launches:5} launches of {launch_s * 1e9:3.0f} ns, rest of a warm request "
        f"{rest_s * 1e6:3.0f} us, register {register_s * 1e6:.1f} us: {'within the bars' if good else 'OVER A BAR'}"
        f"   (plan a new graph, once: {plan_s * 1e3:.1f} ms)"
    )


def moves(n_functions: int, memory_bytes: int, n_requests: int) -> None:
    """Print what it costs to place the buffers of ``n_functions``, a quarter each of the KaaS paper's graphs."""
    layouts = [layout(e.graph, e.fresh_inputs) for e in load_catalogue("kaas").values()]
    residency, loaded, moved, placing = Residency(memory_bytes), 0, 0, []
    for function in np.random.default_rng(0).integers(n_functions, size=n_requests).tolist():
        begun_s = time.perf_counter()
        admission = residency.enter(function, layouts[function % len(layouts)])
        placing.append(time.perf_counter() - begun_s)
        residency.leave(function)
        loaded += admission.placement.load_bytes
        moved += sum(m.n_bytes for m in admission.moves)
    print(
        f"{n_functions} functions in {memory_bytes / 1e9:.0f} GB: {moved / loaded:.2f} bytes moved for each loaded, "
        f"placing takes {statistics.mean(placing) * 1e6:.0f} us on average, {max(placing) * 1e3:.1f} ms at most"
    )


def main() -> None:
    """Print all."""
    print(
        f"bars: a launch {LAUNCH_BAR_S * 1e9:.0f} ns; rest of a request, and registering, {REQUEST_BAR_S * 1e6:.0f} us"
    )
    for graph in (resnet50.build(), bert.build(hidden=64, heads=1, vocabulary=100), jacobi.build()):
        requests(graph)
    for n_functions, memory_bytes in ((40, 16 << 30), (200, 80 << 30)):
        moves(n_functions, memory_bytes, 1500)


if __name__ == "__main__":
    main()
