"""Launching kernels and graphs on NumPy arrays, on whatever device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.device.cuda import open_device
from replay.device.seam import Device, is_gpu
from replay.errors import DeviceError
from replay.kernels.arguments import Arguments
from replay.kernels.sources import check_launch, signatures, source_path
from sim.domain import KernelGraph

Array = np.ndarray[Any, Any]
MEMORY_BYTES = 64 << 20


def open_gpu(name: str) -> Device:
    """A GPU for tests of what is computed, which are skipped where there is none, or what stands in for one."""
    try:
        device = open_device(name)
    except DeviceError as error:
        pytest.skip(str(error))
    if not is_gpu(device.name):
        pytest.skip(f"{device.name} computes nothing")
    return device


class Session:
    """Arrays on a device, and launches of kernels on them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.stream = device.runtime.streamCreateWithFlags(device.runtime.streamNonBlocking)
        self.alive: list[Any] = []  # what queued operations read

    def upload(self, array: Array) -> int:
        runtime = self.device.runtime
        address: int = runtime.malloc(array.nbytes)
        array = np.ascontiguousarray(array)
        self.alive.append(array)
        runtime.memcpyAsync(address, array.ctypes.data, array.nbytes, runtime.memcpyHostToDevice, self.stream)
        return address

    def download(self, address: int, like: Array) -> Array:
        runtime, result = self.device.runtime, np.empty_like(like)
        runtime.memcpyAsync(result.ctypes.data, address, result.nbytes, runtime.memcpyDeviceToHost, self.stream)
        runtime.streamSynchronize(self.stream)
        return result

    def function(self, source: Path | str, name: str) -> int:
        module = self.device.driver.moduleLoadData(self.device.compile(source))
        function: int = self.device.driver.moduleGetFunction(module, name)
        return function

    def launch(self, function: int, signature: str, shape: Sequence[int], values: Sequence[float]) -> None:
        """``shape``: grid (3), block (3), bytes of dynamic shared memory."""
        arguments = Arguments(signature, values)
        self.alive.append(arguments)
        self.device.driver.launchKernel(function, *shape, self.stream, arguments.address, 0)


def run_kernel(
    device: Device,
    source: Path | str,
    name: str,
    values: Sequence[Any],
    grid: int = 1,
    block: Sequence[int] = (32, 1, 1),
    shared_bytes: int = 0,
) -> list[Array]:
    """Launch a kernel once; the arrays among ``values`` as they are afterwards."""
    session = Session(device)
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    addresses = iter([session.upload(a) for a in arrays])
    given = [next(addresses) if isinstance(v, np.ndarray) else v for v in values]
    function = session.function(source, name)
    session.launch(function, signatures(source)[name], (grid, 1, 1, *block, shared_bytes), given)
    placed = [g for g, v in zip(given, values, strict=True) if isinstance(v, np.ndarray)]
    return [session.download(address, a) for address, a in zip(placed, arrays, strict=True)]


def run_graph(device: Device, graph: KernelGraph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """All buffers of a graph after one invocation. Those that ``arrays`` lacks start as NaN."""
    session = Session(device)
    start = {
        b.name: arrays.get(b.name, np.full(b.size_bytes // np.dtype(b.dtype).itemsize, np.nan, b.dtype))
        for b in graph.buffers
    }
    assert {b.name: b.size_bytes for b in graph.buffers} == {name: a.nbytes for name, a in start.items()}
    address = {name: session.upload(a) for name, a in start.items()}
    launches = []
    for kernel in graph.kernels:
        known = signatures(source_path(kernel.source))
        check_launch(kernel, known)
        values = [value for _, value in kernel.literals] + [address[a.buffer] for a in kernel.args]
        function = session.function(source_path(kernel.source), kernel.name)
        shape = (*kernel.grid, *kernel.block, kernel.shared_bytes)
        launches.append((function, known[kernel.name], shape, values))
    for _ in range(graph.n_iter):
        for launch in launches:
            session.launch(*launch)
    return {name: session.download(address[name], a) for name, a in start.items()}
