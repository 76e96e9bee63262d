"""What runs in a worker process: ``python -m replay.fleet.worker_main PARENT_PID CONNECTION_FD [DATA_FD]``."""

from __future__ import annotations

import time

ENTERED_NS = time.monotonic_ns()  # before anything else is imported: the end of the stage "process"

import ctypes  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from importlib import import_module  # noqa: E402
from multiprocessing.connection import Connection  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from replay.device.seam import Device
    from replay.executor.executor import Executor
    from replay.fleet.messages import Assignment, Done, Failed, Job, Late, Ready

_PR_SET_PDEATHSIG = 1  # prctl(2)
MEMORY_FRAC = 0.9  # of the free device memory, when no limit is given
FAULT_EXIT = 70  # exit status after a fault of a kernel (EX_SOFTWARE of sysexits.h)


def main(parent: int, connection_fd: int, data_fd: int | None = None) -> int:
    """Serve until the driver closes the pipe; returns the exit status."""
    _die_with(parent)
    connection: Connection[Any, Any] = Connection(connection_fd)
    try:
        return _serve(connection, data_fd)
    except (EOFError, ConnectionError):
        return 0  # the driver is gone


def _die_with(parent: int) -> None:
    """No worker outlives its driver, however that ends; and what ends a run early is for the driver alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(0)


def _serve(connection: Connection[Any, Any], data_fd: int | None) -> int:
    """Start, answer jobs in order, and leave after a fault."""
    from replay.errors import ReplayError
    from replay.fleet.messages import Broken, Failed

    assignment = connection.recv()
    try:
        if data_fd is None:
            connection.send(_prepare(assignment))
            return 0
        executor, ready = _start(assignment, data_fd)
    except ReplayError as error:
        connection.send(Broken(str(error)))
        return 0
    connection.send(ready)
    while True:
        answer = _run(executor, connection.recv())
        connection.send(answer)
        if isinstance(answer, Failed) and answer.fatal:
            return FAULT_EXIT


def _prepare(assignment: Assignment) -> Ready:
    """Compile the kernels into the cache, and see what the device is and what an executor on it has."""
    from replay.executor.modules import prepare
    from replay.fleet.messages import Ready

    executor_type = _libraries(assignment)
    imported_ns = time.monotonic_ns()
    device, usable = _open(assignment)
    facts = _facts(device) | {"usable_multiprocessors": usable}
    limit_bytes = assignment.memory_limit_bytes or int(facts["free_bytes"] * MEMORY_FRAC)
    capacity_bytes = executor_type(device, memory_limit_bytes=limit_bytes).capacity_bytes
    facts |= {"limit_bytes": limit_bytes, "capacity_bytes": capacity_bytes}
    opened_ns = time.monotonic_ns()
    for source in sorted(_sources(assignment)):
        prepare(device, source)
    compiled_ns = time.monotonic_ns()
    return Ready(ENTERED_NS, imported_ns, opened_ns, compiled_ns, compiled_ns, facts)


def _libraries(assignment: Assignment) -> type[Executor]:
    """Import all that the later stages use, so that none of them pays for it; returns the executor's class."""
    from replay.device import green, mps  # noqa: F401
    from replay.device.cuda import import_libraries
    from sim.models.workloads import gemm

    if assignment.mode in ("fractional", "shared"):
        mps.cap(assignment.share)  # before anything of CUDA could look
    import_libraries(assignment.device, cublas=gemm.SOURCE in _sources(assignment))
    module, _, name = assignment.executor.partition(":")
    found: type[Executor] = getattr(import_module(module), name)
    return found


def _sources(assignment: Assignment) -> set[str]:
    return {k.source for f in assignment.functions for k in f.graph.kernels}


def _open(assignment: Assignment) -> tuple[Device, int | None]:
    """The device, and how many of its multiprocessors this worker may use; None for a CPU."""
    from replay.device import green
    from replay.device.cuda import open_device

    device = open_device(assignment.device)
    if assignment.mode == "green" and assignment.share < 1:
        return device, green.enter(device.runtime.getDevice(), assignment.share)
    return device, _n_multiprocessors(device)  # under MPS, those that it may use


def _start(assignment: Assignment, data_fd: int) -> tuple[Executor, Ready]:
    """Climb the stages of a cold start. A worker that does not preload leaves ``modules`` empty."""
    from replay.fleet.messages import Ready
    from replay.fleet.shm import reader

    executor_type = _libraries(assignment)
    fill = reader(data_fd, assignment.places)
    imported_ns = time.monotonic_ns()
    device, _ = _open(assignment)
    executor = executor_type(device, memory_limit_bytes=assignment.memory_limit_bytes, fill=fill)
    opened_ns = time.monotonic_ns()
    if assignment.preload:
        for function in assignment.functions:
            executor.load_modules(function.graph)
    modules_ns = time.monotonic_ns()
    for function in assignment.functions:
        executor.register(function.id, function.graph, function.fresh_inputs)  # pins host memory and fills it
        if assignment.preload:
            executor.load(function.id)
    return executor, Ready(ENTERED_NS, imported_ns, opened_ns, modules_ns, time.monotonic_ns())


def _facts(device: Device) -> dict[str, Any]:
    free_bytes, total_bytes = device.runtime.memGetInfo()
    properties = device.runtime.getDeviceProperties(device.runtime.getDevice())
    return {
        "name": device.name,
        "arch": device.arch,
        "memory_bytes": total_bytes,
        "free_bytes": free_bytes,
        "cuda_driver": device.runtime.driverGetVersion(),
        "cuda_runtime": device.runtime.runtimeGetVersion(),
        "pci": [properties.get(f"pci{part}ID") for part in ("Domain", "Bus", "Device")],
        "n_multiprocessors": _n_multiprocessors(device),
    }


def _n_multiprocessors(device: Device) -> int | None:
    n: int | None = device.runtime.getDeviceProperties(device.runtime.getDevice()).get("multiProcessorCount")
    return n


def _run(executor: Executor, job: Job) -> Done | Failed | Late:
    from replay.errors import ReplayError
    from replay.executor.executor import KernelFault
    from replay.fleet.messages import Done, Failed, Late

    started_ns = time.monotonic_ns()
    if started_ns > job.latest_ns:
        return Late(job.invocation)
    try:
        result = executor.run(job.function)
    except KernelFault as fault:
        return Failed(job.invocation, str(fault), fatal=True)
    except ReplayError as error:
        return Failed(job.invocation, str(error), fatal=False)
    ended_ns = time.monotonic_ns()
    load_s = result.modules_s + result.load_s
    return Done(
        job.invocation,
        started_ns,
        ended_ns,
        load_s,
        result.run_s,
        max((ended_ns - started_ns) / 1e9 - load_s - result.run_s - result.store_s, 0.0),
        result.constant_bytes,
        result.n_evicted,
        result.changes,
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
