"""``cupy.cuda.cublas`` on a CPU, through NumPy."""

from __future__ import annotations

import ctypes
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import ctypeslib

from replay.device.cpu.errors import Faults
from replay.device.cpu.streams import DEFAULT_STREAM, HostStreams

DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype(np.float32), 2: np.dtype(np.float16)}  # by cudaDataType_t
MESSAGES = {1: "CUBLAS_STATUS_NOT_INITIALIZED", 7: "CUBLAS_STATUS_INVALID_VALUE", 15: "CUBLAS_STATUS_NOT_SUPPORTED"}


class HostCublasError(RuntimeError):
    """What a failing call raises: like CuPy's errors it has the library's code as ``status``."""

    def __init__(self, status: int) -> None:
        super().__init__(MESSAGES[status])
        self.status = status


class HostCublas:
    """The functions of ``cupy.cuda.cublas`` that replay uses, with its names, arguments and constants."""

    CUBLASError = HostCublasError
    CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
    CUBLAS_COMPUTE_32F = 68
    CUBLAS_GEMM_DEFAULT = -1

    def __init__(self, streams: HostStreams, faults: Faults) -> None:
        self._streams = streams
        self._faults = faults
        self._handles = count(1)
        self._stream_of: dict[int, int] = {}

    def create(self) -> int:
        """A handle of the library."""
        self._faults.check()
        handle = next(self._handles)
        self._stream_of[handle] = DEFAULT_STREAM
        return handle

    def destroy(self, handle: int) -> None:
        """Forget a handle."""
        self._stream(handle)
        del self._stream_of[handle]

    def setStream(self, handle: int, stream: int) -> None:
        """Let what follows go through a stream."""
        self._stream(handle)
        self._stream_of[handle] = stream

    def gemmStridedBatchedEx(
        self,
        handle: int,
        transa: int,
        transb: int,
        m: int,
        n: int,
        k: int,
        alpha: int,
        A: int,
        Atype: int,
        lda: int,
        strideA: int,
        B: int,
        Btype: int,
        ldb: int,
        strideB: int,
        beta: int,
        C: int,
        Ctype: int,
        ldc: int,
        strideC: int,
        batchCount: int,
        computeType: int,
        algo: int,
    ) -> None:
        """Queue C = alpha op(A) op(B) + beta C of matrices that lie column by column; sums are taken in float32.

        alpha, beta: addresses of numbers on the host, read when this is called. Raises HostCublasError for what cuBLAS
        refuses, and NotImplementedError, as CuPy does, in the capture of a graph.
        """
        stream = self._stream(handle)
        if self._streams.stream(stream).captured is not None:
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        rows_a, rows_b = (k if transa else m), (n if transb else k)
        if lda < rows_a or ldb < rows_b or ldc < m or min(m, n, k, batchCount) < 0:
            raise HostCublasError(7)
        if computeType != self.CUBLAS_COMPUTE_32F or Atype != Btype or Ctype not in (Atype, 0):
            raise HostCublasError(15)
        first, second = (ctypes.c_float.from_address(factor).value for factor in (alpha, beta))

        def multiply() -> None:
            if "gemm" in self._faults.kernels:
                self._faults.happen(700)
                return
            a = _matrices(A, Atype, (batchCount, rows_a, m if transa else k), lda, strideA, transa)
            b = _matrices(B, Btype, (batchCount, rows_b, k if transb else n), ldb, strideB, transb)
            c = _matrices(C, Ctype, (batchCount, m, n), ldc, strideC, self.CUBLAS_OP_N)
            with np.errstate(all="ignore"):
                product = np.float32(first) * np.matmul(a.astype(np.float32), b.astype(np.float32))
                c[:] = product + np.float32(second) * c.astype(np.float32) if second else product

        self._streams.enqueue(stream, multiply)

    def _stream(self, handle: int) -> int:
        self._faults.check()
        if handle not in self._stream_of:
            raise HostCublasError(1)
        return self._stream_of[handle]


def _matrices(
    address: int, data_type: int, shape: tuple[int, int, int], pitch: int, step: int, transposed: int
) -> npt.NDArray[Any]:
    """A batch of rows x columns in memory, column by column, as an array; transposed where that is asked for."""
    dtype = DTYPES[data_type]
    batch, rows, columns = shape
    n = (batch - 1) * step + (columns - 1) * pitch + rows
    numbers = ctypeslib.as_array((ctypes.c_uint8 * (n * dtype.itemsize)).from_address(address)).view(dtype)
    strides = [dtype.itemsize * distance for distance in (step, 1, pitch)]
    found = np.lib.stride_tricks.as_strided(numbers, shape, strides)
    return found.transpose(0, 2, 1) if transposed else found
