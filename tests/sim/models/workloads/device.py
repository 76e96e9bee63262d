"""Run kernels and whole graphs on the CPU stand-in, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from replay.device.cpu.host import HostCuda
from replay.executor.modules import Modules
from replay.kernels.arguments import Arguments
from replay.kernels.sources import check_launch, known_signatures
from sim.domain import Buffer, Kernel, KernelGraph, Role


class Rig:
    """One stand-in device; ``debug`` poisons memory and puts guard pages around every buffer."""

    def __init__(self, debug: bool = True, schedule: int = 0) -> None:
        device = HostCuda(debug=debug, schedule=schedule).device()
        self.device, self.runtime = device, device.runtime
        self._modules = Modules(device)

    def run_graph(self, graph: KernelGraph, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What outputs and temporaries hold after an invocation with these constants and inputs."""
        pointers = {b.name: self.runtime.malloc(b.size_bytes) for b in graph.buffers}
        for name, array in values.items():
            self.runtime.memcpy(pointers[name], array.ctypes.data, array.nbytes, self.runtime.memcpyHostToDevice)
        for _ in range(graph.n_iter):
            for kernel in graph.kernels:
                self.launch(kernel, pointers)
        outputs = {b.name: empty(b) for b in graph.buffers if b.name not in values}
        for name, array in outputs.items():
            self.runtime.memcpy(array.ctypes.data, pointers[name], array.nbytes, self.runtime.memcpyDeviceToHost)
        for pointer in pointers.values():
            self.runtime.free(pointer)
        return outputs

    def launch(self, kernel: Kernel, pointers: Mapping[str, int]) -> None:
        """Launch on the addresses of its buffers."""
        check_launch(kernel, known_signatures(kernel.source))
        self._modules.load(KernelGraph("one", (kernel,), ()))
        launch, function = self._modules.function(kernel.source, kernel.name)
        values = [value for _, value in kernel.literals] + [pointers[a.buffer] for a in kernel.args]
        arguments = Arguments(known_signatures(kernel.source)[kernel.name], values)
        launch(function, *kernel.grid, *kernel.block, kernel.shared_bytes, 0, arguments.address, 0)


def empty(buffer: Buffer) -> np.ndarray:
    """An array for a buffer."""
    return np.empty(buffer.size_bytes // np.dtype(buffer.dtype).itemsize, buffer.dtype)


def fill(graph: KernelGraph, seed: int = 0) -> dict[str, np.ndarray]:
    """Constants and inputs as the docstring of ``sim.domain.Buffer`` has them."""
    rng = np.random.default_rng(seed)
    values = {}
    for b in graph.buffers:
        if b.role not in (Role.CONSTANT, Role.INPUT):
            continue
        n = empty(b).size
        if np.dtype(b.dtype).kind == "i":
            values[b.name] = rng.integers(0, int(b.scale), n).astype(b.dtype)
        elif np.dtype(b.dtype).kind == "c":
            parts = rng.normal(0, b.scale / np.sqrt(2), (2, n))
            values[b.name] = (parts[0] + 1j * parts[1]).astype(b.dtype)
        else:
            values[b.name] = rng.normal(0, b.scale, n).astype(b.dtype)
    return values
