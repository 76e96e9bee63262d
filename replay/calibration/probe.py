"""What a machine can do, measured in a minute: peaks, copies, launches, modules, memory and the start of a process."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from replay.calibration import peaks
from replay.device.cuda import open_device
from replay.device.seam import Device
from replay.errors import DeviceError, ReplayError
from replay.executor.products import Products
from replay.fleet.machine import describe, release_of
from replay.fleet.messages import EXECUTOR, Assignment, Ready
from replay.fleet.workers import Release, WorkerProcess, answer_of
from replay.kernels.arguments import Arguments
from replay.kernels.sources import KERNELS
from sim.files.output import has_keys
from sim.models.workloads.gemm import ITEM_BYTES, SOURCE

SCHEMA_VERSION = 3
COPY_BYTES = 64 << 20
SMALL_BYTES = 4 << 10
LAUNCHES = 1000
SMALLEST_BYTES = 16 << 20  # of an executor: its size does not matter here
EMPTY_KERNEL = 'extern "C" __global__ void empty(float *x) {}'


@dataclass(frozen=True, slots=True)
class Measurement:
    """The median of ``n`` measurements, and the extremes; seconds, bytes/s or operations/s, as the name says."""

    value: float
    n: int
    least: float
    most: float


def probe(device: str, *, repeats: int = 7) -> dict[str, Any]:
    """Measure a device; everything in it is for JSON. Raises DeviceError when it can't be opened, and
    ReplayError when it reckons wrongly.

    Processes are started before this one opens the device, and find its files in memory: the first start is thrown
    away.
    """
    facts = _start(device, lambda: None).ready.facts
    release = release_of(facts)
    starts = [_start(device, release) for _ in range(repeats // 2)]
    opened = open_device(device)
    measured = {
        "kill_release_s": _summary([s.kill_release_s for s in starts]),
        "process_s": _summary([(s.ready.entered_ns - s.begun_ns) / 1e9 for s in starts]),
        "runtime_s": _summary([(s.ready.imported_ns - s.ready.entered_ns) / 1e9 for s in starts]),
        "context_s": _summary([(s.ready.opened_ns - s.ready.imported_ns) / 1e9 for s in starts]),
        "fp32_flop_per_s": _summary(peaks.flop_per_s(opened, repeats)),
        **_products(opened, repeats),
        "device_copy_bytes_per_s": _summary(peaks.copy_bytes_per_s(opened, repeats)),
        **_copies(opened, repeats),
        **_launches(opened, repeats),
        "module_s": _modules(opened, repeats),
        **_memory(opened, repeats),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "device": {**describe(facts), "asked": device},
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "python": platform.python_version(),
            "load_average": os.getloadavg()[0],
        },
        "measurements": {name: asdict(m) for name, m in measured.items()},
    }


def is_probe(file: Path) -> bool:
    """Whether ``replay probe -o`` wrote a file, which may thus be replaced."""
    return has_keys(file, "schema_version", "device", "machine", "measurements")


def read_probe(file: Path) -> dict[str, Any]:
    """What ``replay probe -o`` wrote. Raises ReplayError when the file is not that."""
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        version = found["schema_version"]
    except OSError as error:
        raise ReplayError(f"{file}: can't be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise ReplayError(f"{file}: must be what 'replay probe -o' wrote") from None
    if version != SCHEMA_VERSION:
        raise ReplayError(f"{file}: schema_version is {version!r}; this version reads {SCHEMA_VERSION}")
    return found


def as_text(found: dict[str, Any]) -> str:
    """A table for people."""
    device, machine = found["device"], found["machine"]
    head = [
        f"{device['name']}, {device['memory_bytes'] / 2**30:.1f} GiB ({device['free_bytes'] / 2**30:.1f} free), "
        f"CUDA driver {device['cuda_driver']}, runtime {device['cuda_runtime']}",
        f"{machine['system']}, {machine['cpus']} cores, load {machine['load_average']:.1f}",
    ]
    if nvml := device["nvml"]:
        head.append(", ".join(f"{name} {value}" for name, value in nvml.items() if name != "processes"))
        head += [f"also on it: process {p['pid']}, {p['used_bytes'] or 0:,} B" for p in nvml["processes"] or []]
    rows = [
        (
            name,
            _readable(name, m["value"]),
            f"{_readable(name, m['least'])} to {_readable(name, m['most'])}",
            str(m["n"]),
        )
        for name, m in found["measurements"].items()
    ]
    table = [("", "median", "range", "n"), *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]
    return "\n".join([*head, "", *lines])


def _readable(name: str, value: float) -> str:
    if name.endswith("bytes_per_s"):
        return f"{value / 1e9:.2f} GB/s"
    if name.endswith("flop_per_s"):
        return f"{value / 1e9:.2f} GFLOP/s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} us"


class _Start(NamedTuple):
    """A fresh process that opened the device: when it began, what it told, and how long its end took."""

    begun_ns: int
    ready: Ready
    kill_release_s: float


def _start(device: str, release: Release) -> _Start:
    assignment = Assignment(device, (), {}, EXECUTOR, SMALLEST_BYTES)
    with tempfile.TemporaryFile() as log:
        begun_ns = time.monotonic_ns()
        process = WorkerProcess(pickle.dumps(assignment), None, log)
        try:
            ready = answer_of(process, log)
        finally:
            killed_s = time.perf_counter()
            process.kill()
            release()
        return _Start(begun_ns, ready, time.perf_counter() - killed_s)


def _products(device: Device, repeats: int) -> dict[str, Measurement]:
    """What the first handle of cuBLAS takes in a process, and its peaks; nothing where there is none to be had."""
    measured = {}
    with suppress(DeviceError):
        device.cublas()  # imports it, as workers do in another stage
        begun_s = time.perf_counter()
        first = Products(device)
        measured[f"{SOURCE}_load_s"] = _summary([time.perf_counter() - begun_s])
        first.unload()
        for dtype in ITEM_BYTES:
            measured[f"{SOURCE}_gemm_{dtype}_flop_per_s"] = _summary(peaks.gemm_flop_per_s(device, dtype, repeats))
    return measured


def _copies(device: Device, repeats: int) -> dict[str, Measurement]:
    """Bandwidths of large copies and times of small ones, from ordinary and from pinned memory."""
    runtime = device.runtime
    pageable = (ctypes.c_uint8 * COPY_BYTES)()
    ctypes.memset(pageable, 1, COPY_BYTES)
    pinned = runtime.hostAlloc(COPY_BYTES, runtime.hostAllocDefault)
    ctypes.memset(pinned, 1, COPY_BYTES)
    on_device = runtime.malloc(COPY_BYTES)
    measured = {}
    for kind, host in (("pageable", ctypes.addressof(pageable)), ("pinned", pinned)):
        for way, target, source, direction in (
            ("h2d", on_device, host, runtime.memcpyHostToDevice),
            ("d2h", host, on_device, runtime.memcpyDeviceToHost),
        ):
            for name, size in ((f"{way}_{kind}_bytes_per_s", COPY_BYTES), (f"{way}_{kind}_4KiB_s", SMALL_BYTES)):
                times_s = _time(partial(runtime.memcpy, target, source, size, direction), repeats)
                measured[name] = _summary([size / t for t in times_s] if size == COPY_BYTES else times_s)
    runtime.free(on_device)
    runtime.freeHost(pinned)
    return measured


def _launches(device: Device, repeats: int) -> dict[str, Measurement]:
    """A launch among many, by the rate at which they go through, and one that is waited for."""
    driver, runtime = device.driver, device.runtime
    with _module(device, EMPTY_KERNEL) as module:
        function = driver.moduleGetFunction(module, "empty")
        arguments = Arguments("P", [0])
        stream = runtime.streamCreateWithFlags(runtime.streamNonBlocking)

        def launch(n: int) -> None:
            for _ in range(n):
                driver.launchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, arguments.address, 0)
            runtime.streamSynchronize(stream)

        many_s, one_s = _time(lambda: launch(LAUNCHES), repeats), _time(lambda: launch(1), repeats)
        runtime.streamDestroy(stream)
    return {"launch_s": _summary([t / LAUNCHES for t in many_s]), "launch_and_wait_s": _summary(one_s)}


def _modules(device: Device, repeats: int) -> Measurement:
    """Load one of the project's kernel sources, compiled before."""
    times_s = []
    for path in sorted(KERNELS.glob("*.cu")):
        image = device.compile(path)
        for _ in range(max(repeats // 3, 1)):
            begun_s = time.perf_counter()
            module = device.driver.moduleLoadData(image)
            times_s.append(time.perf_counter() - begun_s)
            device.driver.moduleUnload(module)
    return _summary(times_s)


def _memory(device: Device, repeats: int) -> dict[str, Measurement]:
    """Take and give back device memory."""
    taken: list[int] = []
    take_s = _time(lambda: taken.append(device.runtime.malloc(COPY_BYTES)), repeats)
    give_s = _time(lambda: device.runtime.free(taken.pop()), repeats)  # as many as were taken
    return {"malloc_s": _summary(take_s), "free_s": _summary(give_s)}


@contextmanager
def _module(device: Device, source: str) -> Iterator[int]:
    module = device.driver.moduleLoadData(device.compile(source))
    yield module
    device.driver.moduleUnload(module)


def _time(act: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of ``repeats`` times, after one that is thrown away."""
    times_s = []
    for _ in range(repeats + 1):
        begun_s = time.perf_counter()
        act()
        times_s.append(time.perf_counter() - begun_s)
    return times_s[1:]


def _summary(values: list[float]) -> Measurement:
    return Measurement(median(values), len(values), min(values), max(values))
