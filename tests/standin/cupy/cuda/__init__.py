"""``cupy.cuda`` for timing alone: it checks what it is given and lets time pass, but computes and copies nothing.

Names, signatures and checks are those of the CPU device, which are compared with CuPy's own where CuPy is installed.
What differs is what a GPU has of its own: cubins as images, and the facts of an H100. Times are invented: a kernel
takes as long as its launch.
"""

from __future__ import annotations

import time

from replay.device.cpu.driver import HostDriver
from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.memory import HostMemory
from replay.device.cpu.runtime import HostRuntime
from replay.device.cpu.streams import HostStreams

MEMORY_BYTES = 80 << 30
BYTES_PER_S = 25e9
CONTEXT_S = 0.2


class Cubin:
    """An image by NVRTC. Raises HostCudaError for anything else."""

    def __init__(self, image):
        if not image.startswith(b"\x7fELF"):
            raise HostCudaError(1, "the image is no cubin")
        self._image = image

    def function(self, name):
        """What launches a kernel, which does nothing; AttributeError for one that the image doesn't have."""
        if f".text.{name}\0".encode() not in self._image:
            raise AttributeError(name)
        return lambda *_: 0, ""


class Driver(HostDriver):
    CUDADriverError = HostCudaError

    def moduleLoadData(self, image):
        handle = next(self._handles)
        self._modules[handle] = Cubin(image)
        return handle


class Runtime(HostRuntime):
    CUDARuntimeError = HostCudaError

    def setDevice(self, device):
        super().setDevice(device)
        time.sleep(CONTEXT_S)

    def getDeviceProperties(self, device):
        own = {"name": b"NVIDIA H100 (stand-in)", "major": 9, "minor": 0, "multiProcessorCount": 132}
        pci = {"pciDomainID": 0, "pciBusID": 1, "pciDeviceID": 0}
        return {"totalGlobalMem": MEMORY_BYTES, **own, **pci}

    def driverGetVersion(self):
        return 13000

    def runtimeGetVersion(self):
        return 13000

    def memcpyAsync(self, dst, src, size, kind, stream):
        if kind in (self.memcpyHostToDevice, self.memcpyDeviceToDevice):
            self._memory.check(dst, size)
        if kind in (self.memcpyDeviceToHost, self.memcpyDeviceToDevice):
            self._memory.check(src, size)
        self._streams.enqueue(stream, lambda: time.sleep(size / BYTES_PER_S))


_faults, _streams = Faults(), HostStreams(deferred=False)
runtime = Runtime(HostMemory(MEMORY_BYTES, debug=False), HostMemory(MEMORY_BYTES, debug=False), _streams, _faults)
driver = Driver(_streams, _faults, 0, False)
