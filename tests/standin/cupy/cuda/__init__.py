"""``cupy.cuda`` for timing alone: it checks what it is given and lets time pass, but computes nothing.

Names, signatures and checks are those of the CPU device, which are compared with CuPy's own where CuPy is installed.
What differs is what a GPU has of its own: cubins as images, the facts of an H100, and streams that cuBLAS takes from
its thread. Times are invented: a kernel takes as long as its launch, a product as its operations need. Only a copy that
is waited for has its bytes on the device; only what a probe checks is computed: sums of a kernel, and rows of square
products.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

from replay.calibration import peaks
from replay.device.cpu.cublas import DTYPES, HostCublas
from replay.device.cpu.driver import HostDriver
from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.memory import HostMemory
from replay.device.cpu.runtime import HostRuntime
from replay.device.cpu.streams import DEFAULT_STREAM, HostStreams
from replay.device.seam import REHEARSAL

MEMORY_BYTES = 80 << 30
BYTES_PER_S = 25e9
FLOP_PER_S = 60e12
LIBRARY_FLOP_PER_S = {"float32": 50e12, "float16": 600e12}
LIBRARY_S = 0.1  # of the first handle
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
        own = {"name": f"NVIDIA H100{REHEARSAL}".encode(), "major": 9, "minor": 0, "multiProcessorCount": 132}
        pci = {"pciDomainID": 0, "pciBusID": 1, "pciDeviceID": 0}
        return {"totalGlobalMem": MEMORY_BYTES, **own, **pci}

    def driverGetVersion(self):
        return 13000

    def runtimeGetVersion(self):
        return 13000

    def memcpy(self, dst, src, size, kind):
        super().memcpy(dst, src, size, kind)
        if kind == self.memcpyHostToDevice:
            ctypes.memmove(dst, src, size)

    def memcpyAsync(self, dst, src, size, kind, stream):
        if kind in (self.memcpyHostToDevice, self.memcpyDeviceToDevice):
            self._memory.check(dst, size)
        if kind in (self.memcpyDeviceToHost, self.memcpyDeviceToDevice):
            self._memory.check(src, size)
        self._streams.enqueue(stream, lambda: time.sleep(size / BYTES_PER_S))
        if kind == self.memcpyDeviceToHost:
            self._streams.enqueue(stream, lambda: ctypes.memmove(dst, src, size))


class Stream:
    """The current one of the only thread that launches: products go through it."""

    current = DEFAULT_STREAM

    def __init__(self, stream):
        self._stream = stream

    @classmethod
    def from_external(cls, obj):
        _, stream = obj.__cuda_stream__()
        return cls(stream)

    def use(self):
        Stream.current = self._stream


class _Checked(HostStreams):
    """What takes operations and does none of them."""

    def enqueue(self, handle, operation):
        pass


class Cublas(HostCublas):
    """Its checks, and products that take their time."""

    def create(self):
        time.sleep(LIBRARY_S)
        return super().create()

    def setStream(self, handle, stream):
        raise NotImplementedError("CuPy gives cuBLAS the current stream of its thread in every call")

    def gemmStridedBatchedEx(self, handle, transa, transb, m, n, k, *rest):
        super().gemmStridedBatchedEx(handle, transa, transb, m, n, k, *rest)
        _, b, dtype, _, _, a, _, _, _, _, c, _, _, _, batch, _, _ = rest
        is_square = (m, n, batch, transa, transb) == (k, k, 1, self.CUBLAS_OP_N, self.CUBLAS_OP_N)

        def multiply():
            time.sleep(2 * m * n * k * batch / LIBRARY_FLOP_PER_S[DTYPES[dtype].name])
            if is_square:
                _some_rows(DTYPES[dtype], n, a, b, c)

        _streams.enqueue(Stream.current, multiply)


def _some_rows(dtype, n, *addresses):
    """The first row, the one in the middle and the last of c = a b, matrices of n x n row by row."""
    dtypes = (dtype, dtype, np.dtype(np.float32))
    a, b, c = (
        np.frombuffer((ctypes.c_uint8 * (n * n * d.itemsize)).from_address(address), d).reshape(n, n)
        for d, address in zip(dtypes, addresses, strict=True)
    )
    rows = [0, n // 2, n - 1]
    with np.errstate(all="ignore"):
        c[rows] = a[rows].astype(np.float32) @ b.astype(np.float32)


_faults, _streams = Faults(), HostStreams(deferred=False)
runtime = Runtime(HostMemory(MEMORY_BYTES, debug=False), HostMemory(MEMORY_BYTES, debug=False), _streams, _faults)
driver = Driver(_streams, _faults, 0, False)
cublas = Cublas(_Checked(deferred=False), _faults)
