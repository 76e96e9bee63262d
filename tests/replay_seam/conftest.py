"""Launching kernels and graphs on NumPy arrays, on the CPU device and, where there is one, on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.arguments import Arguments
from replay.cuda import open_device
from replay.device import Device
from replay.errors import DeviceError
from replay.host import HostCuda
from replay.sources import check_launch, signatures, source_path
from sim.domain import KernelGraph

Array = np.ndarray[Any, Any]
MEMORY_BYTES = 64 << 20


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def host() -> HostCuda:
    return HostCuda(MEMORY_BYTES, debug=True)


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, host: HostCuda) -> Device:
    if request.param == "cpu":
        return host.device()
    try:
        return open_device(request.param)
    except DeviceError as error:
        pytest.skip(str(error))


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


@pytest.fixture(name="run_kernel")
def _run_kernel() -> Callable[..., list[Array]]:
    return run_kernel


@pytest.fixture(name="run_graph")
def _run_graph() -> Callable[..., dict[str, Array]]:
    return run_graph


@pytest.fixture(name="session")
def _session() -> type[Session]:
    return Session
