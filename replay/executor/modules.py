"""Sources of kernels in a device: loaded once, shared by all graphs, kept until the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from replay.device.seam import Device
from replay.errors import DeviceError
from replay.executor.products import Products
from replay.kernels.limits import DEFAULT_SHARED_BYTES
from replay.kernels.sources import LIBRARIES, source_path
from sim.domain import KernelGraph

Launcher = tuple[Callable[..., None], int]  # what launches a kernel, and the handle that it takes first


def prepare(device: Device, source: str) -> bytes:
    """The image of a source, compiled or from the cache on disk, without work of the device; a library has none."""
    return b"" if source in LIBRARIES else device.compile(source_path(source))


class _Module(Protocol):
    def function(self, name: str) -> Launcher: ...

    def unload(self) -> None: ...


class _Compiled:
    """A module that was compiled."""

    def __init__(self, device: Device, image: bytes) -> None:
        self._driver = device.driver
        self._module = device.driver.moduleLoadData(image)

    def function(self, name: str) -> Launcher:
        return self._driver.launchKernel, self._driver.moduleGetFunction(self._module, name)

    def unload(self) -> None:
        self._driver.moduleUnload(self._module)


class Modules:
    """What a device has loaded."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._images: dict[str, bytes] = {}
        self._modules: dict[str, _Module] = {}
        self._functions: dict[tuple[str, str], Launcher] = {}
        self._shared_bytes: dict[int, int] = {}

    def compile(self, graph: KernelGraph) -> None:
        """Make the images of a graph's sources, or take them from the cache on disk: no work of the device."""
        for kernel in graph.kernels:
            if kernel.source not in self._images:
                self._images[kernel.source] = prepare(self._device, kernel.source)

    def load(self, graph: KernelGraph) -> float:
        """Load what a graph needs and isn't loaded; returns the seconds that it took. Raises DeviceError."""
        self.compile(graph)
        begun_s = time.perf_counter()
        try:
            self._load(graph)
        except self._device.errors as error:
            raise DeviceError(f"graph {graph.name!r}: {self._device.name} doesn't load its kernels: {error}") from error
        return time.perf_counter() - begun_s

    def function(self, source: str, name: str) -> Launcher:
        """How a kernel that is loaded is launched."""
        return self._functions[source, name]

    def unload(self) -> None:
        """Unload all."""
        for module in self._modules.values():
            module.unload()
        self._modules.clear()
        self._functions.clear()
        self._shared_bytes.clear()

    def _load(self, graph: KernelGraph) -> None:
        driver = self._device.driver
        for kernel in graph.kernels:
            if kernel.source not in self._modules:
                self._modules[kernel.source] = self._open(kernel.source)
            key = kernel.source, kernel.name
            if key not in self._functions:
                self._functions[key] = self._modules[kernel.source].function(kernel.name)
            _, function = self._functions[key]
            if kernel.shared_bytes > self._shared_bytes.get(function, DEFAULT_SHARED_BYTES):
                attribute = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                driver.funcSetAttribute(function, attribute, kernel.shared_bytes)
                self._shared_bytes[function] = kernel.shared_bytes

    def _open(self, source: str) -> _Module:
        return Products(self._device) if source in LIBRARIES else _Compiled(self._device, self._images[source])
