"""``cupy.cuda`` for timing alone: it checks what it is given and lets time pass, but computes nothing.

Names, signatures and checks are those of the CPU device, which are compared with CuPy's own where CuPy is installed.
What differs is what a GPU has of its own: cubins as images, and the facts of an H100. Times are invented: a kernel
takes as long as its launch. Nothing is copied to a device; only the kernel whose sums a probe checks gives them, and
takes its time.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

from replay.calibration import peaks
from replay.device.cpu.driver import HostDriver
from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.memory import HostMemory
from replay.device.cpu.runtime import HostRuntime
from replay.device.cpu.streams import HostStreams

MEMORY_BYTES = 80 << 30
BYTES_PER_S = 25e9
FLOP_PER_S = 60e12
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
        return _multiply_adds if name == peaks.KERNEL else lambda *_: 0, ""


def _multiply_adds(n_blocks, *launch):
    """The sums of that many blocks, after the time that they take."""
    arguments = (ctypes.c_void_p * 4).from_address(launch[6])
    rounds, y = ctypes.c_int.from_address(arguments[0]).value, ctypes.c_uint64.from_address(arguments[3]).value
    time.sleep(2 * n_blocks * peaks.THREADS * peaks.CHAINS * peaks.STEPS * rounds / FLOP_PER_S)
    found = np.tile(peaks.sums(rounds), n_blocks)
    ctypes.memmove(y, found.ctypes.data, found.nbytes)
    return 0


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
        if kind == self.memcpyDeviceToHost:
            self._streams.enqueue(stream, lambda: ctypes.memmove(dst, src, size))


_faults, _streams = Faults(), HostStreams(deferred=False)
runtime = Runtime(HostMemory(MEMORY_BYTES, debug=False), HostMemory(MEMORY_BYTES, debug=False), _streams, _faults)
driver = Driver(_streams, _faults, 0, False)
