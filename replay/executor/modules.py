"""Compiled kernel sources in a device: loaded once, shared by all graphs, kept until the end."""

from __future__ import annotations

import time

from replay.device.seam import Device
from replay.errors import DeviceError
from replay.kernels.limits import DEFAULT_SHARED_BYTES
from replay.kernels.sources import source_path
from sim.domain import KernelGraph


class Modules:
    """What a device has loaded."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._images: dict[str, bytes] = {}
        self._modules: dict[str, int] = {}
        self._functions: dict[tuple[str, str], int] = {}
        self._shared_bytes: dict[int, int] = {}

    def compile(self, graph: KernelGraph) -> None:
        """Make the images of a graph's sources, or take them from the cache on disk: no work of the device."""
        for kernel in graph.kernels:
            if kernel.source not in self._images:
                self._images[kernel.source] = self._device.compile(source_path(kernel.source))

    def load(self, graph: KernelGraph) -> float:
        """Load what a graph needs and isn't loaded; returns the seconds that it took. Raises DeviceError."""
        self.compile(graph)
        begun_s = time.perf_counter()
        try:
            self._load(graph)
        except self._device.errors as error:
            raise DeviceError(f"graph {graph.name!r}: {self._device.name} doesn't load its kernels: {error}") from error
        return time.perf_counter() - begun_s

    def function(self, source: str, name: str) -> int:
        """Handle of a kernel that is loaded."""
        return self._functions[source, name]

    def unload(self) -> None:
        """Unload all."""
        for module in self._modules.values():
            self._device.driver.moduleUnload(module)
        self._modules.clear()
        self._functions.clear()
        self._shared_bytes.clear()

    def _load(self, graph: KernelGraph) -> None:
        driver = self._device.driver
        for kernel in graph.kernels:
            if kernel.source not in self._modules:
                self._modules[kernel.source] = driver.moduleLoadData(self._images[kernel.source])
            key = kernel.source, kernel.name
            if key not in self._functions:
                self._functions[key] = driver.moduleGetFunction(self._modules[kernel.source], kernel.name)
            function = self._functions[key]
            if kernel.shared_bytes > self._shared_bytes.get(function, DEFAULT_SHARED_BYTES):
                attribute = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                driver.funcSetAttribute(function, attribute, kernel.shared_bytes)
                self._shared_bytes[function] = kernel.shared_bytes
