"""Copies between host and device: of one process and of two, both ways at once, and while kernels run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any

from replay.calibration.peaks import KERNEL, THREADS
from replay.device.cuda import open_device
from replay.device.seam import Device
from replay.kernels.arguments import Arguments
from replay.kernels.sources import signatures, source_path
from replay.trials.crew import Member, Yard, functions_of, work
from sim.models.workloads import jacobi
from sim.models.workloads.catalogue import CatalogueEntry

KEYS = ("what", "beside")
COPY_BYTES = 64 << 20
H2D, D2H = 0, 1  # functions of a worker that copies
WAYS = {H2D: "h2d", D2H: "d2h"}
BLOCKS, LEAST_S = 2112, 0.02  # of kernels beside copies: on all multiprocessors of an H100, for some copies


def copies(device: str, *, repeats: int = 5, seconds: float = 0.5) -> list[dict[str, Any]]:
    """Rows of what is done, what beside it, and its bytes a second, or the seconds of a kernel: of two processes, and
    of two streams of one."""
    tiny = CatalogueEntry(jacobi.build(n=8, sweeps=2, name="copies"), fresh_inputs=False)
    functions = functions_of(dict.fromkeys(WAYS.values(), tiny))
    yard = Yard(device, functions, 2 * COPY_BYTES)
    try:
        with yard.crew([Member(executor=f"{__name__}:Copies")] * 2) as (one, other):
            rows = []
            for way in WAYS:
                rows.append(_row(WAYS[way], "", work({one: way}, seconds).values()))
            for way, beside in ((H2D, H2D), (D2H, D2H), (H2D, D2H)):
                found = work({one: way, other: beside}, seconds)
                rows.append(_row(WAYS[way], f"{WAYS[beside]} of another process", [found[one]]))
    finally:
        yard.close()
    return rows + list(_with_kernels(open_device(device), repeats))


class Copies:
    """What a worker needs of an executor: its functions are a copy to the device, and one from it."""

    def __init__(self, device: Device, *, memory_limit_bytes: int, fill: object = None) -> None:
        self.capacity_bytes = memory_limit_bytes
        self._lane = Lane(device)

    def register(self, function: int, graph: object, fresh_inputs: bool) -> None:
        """Functions are known by their numbers."""

    def load_modules(self, graph: object) -> float:
        """There are none."""
        return 0.0

    def load(self, function: int) -> float:
        """There is nothing to load."""
        return 0.0

    def run(self, function: int) -> SimpleNamespace:
        """One copy, timed by events."""
        run_s = self._lane.timed(lambda: self._lane.copy(function))
        nothing = {"modules_s": 0.0, "load_s": 0.0, "store_s": 0.0, "constant_bytes": 0, "n_evicted": 0, "changes": ()}
        return SimpleNamespace(run_s=run_s, **nothing)


class Lane:
    """A stream with pinned memory and as much on the device."""

    def __init__(self, device: Device) -> None:
        self._runtime = device.runtime
        self.stream = device.runtime.streamCreateWithFlags(device.runtime.streamNonBlocking)
        self._host = device.runtime.hostAlloc(COPY_BYTES, device.runtime.hostAllocDefault)
        self._device = device.runtime.malloc(COPY_BYTES)
        self._marks = [device.runtime.eventCreate() for _ in range(2)]

    def copy(self, way: int) -> None:
        """Queue a copy."""
        runtime = self._runtime
        if way == H2D:
            runtime.memcpyAsync(self._device, self._host, COPY_BYTES, runtime.memcpyHostToDevice, self.stream)
        else:
            runtime.memcpyAsync(self._host, self._device, COPY_BYTES, runtime.memcpyDeviceToHost, self.stream)

    def begin(self, act: Callable[[], object]) -> None:
        """Queue something between events."""
        self._runtime.eventRecord(self._marks[0], self.stream)
        act()
        self._runtime.eventRecord(self._marks[1], self.stream)

    def seconds(self) -> float:
        """Wait for its end; how long it took."""
        self._runtime.eventSynchronize(self._marks[1])
        return float(self._runtime.eventElapsedTime(*self._marks)) * 1e-3

    def timed(self, act: Callable[[], object]) -> float:
        """Seconds of what is queued."""
        self.begin(act)
        return self.seconds()


def _with_kernels(device: Device, repeats: int) -> Iterator[dict[str, Any]]:
    """A copy and a kernel in two streams of one process, alone and together."""
    copying, computing = Lane(device), Lane(device)
    module = device.driver.moduleLoadData(device.compile(source_path("peaks")))
    function = device.driver.moduleGetFunction(module, KERNEL)
    y = device.runtime.malloc(4 * BLOCKS * THREADS)
    signature = signatures(source_path("peaks"))[KERNEL]
    alive: list[Arguments] = []  # as long as what is queued

    def compute(rounds: int) -> None:
        alive[:] = [Arguments(signature, [rounds, 1.0, 1.0, y])]
        shape = (BLOCKS, 1, 1, THREADS, 1, 1, 0)
        device.driver.launchKernel(function, *shape, computing.stream, alive[0].address, 0)

    rounds = 1
    while computing.timed(partial(compute, rounds)) < LEAST_S:
        rounds *= 2
    long = partial(compute, rounds)
    alone_s = median(computing.timed(long) for _ in range(repeats))
    yield {"what": "kernel", "beside": "", "run_s": alone_s}
    for way, name in WAYS.items():
        kernels_s, copies_s = [], []
        for _ in range(repeats):
            computing.begin(long)
            copying.begin(partial(copying.copy, way))
            copies_s.append(copying.seconds())
            kernels_s.append(computing.seconds())
        yield {"what": name, "beside": "a kernel", "bytes_per_s": COPY_BYTES / median(copies_s)}
        yield {"what": "kernel", "beside": name, "run_s": median(kernels_s)}


def _row(what: str, beside: str, runs: Sequence[Any] | Any) -> dict[str, Any]:
    (mine,) = runs
    return {"what": what, "beside": beside, "bytes_per_s": COPY_BYTES / median(run.run_s for run in mine)}
