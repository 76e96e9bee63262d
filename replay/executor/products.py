"""Products by cuBLAS, launched like kernels: from arguments in memory, in a stream, without waiting."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ctypes import c_void_p, string_at

from replay.device.seam import Device
from replay.errors import DeviceError, LibraryError
from replay.kernels.arguments import FORMATS, SLOT_BYTES
from sim.models.workloads.gemm import ITEM_BYTES, NAMES, SIGNATURE

DATA_TYPES = {4: 0, 2: 2}  # by bytes of a number: CUDA_R_32F, CUDA_R_16F of cudaDataType_t
_FIELDS = [FORMATS[code] for code in SIGNATURE]
_VALUES = struct.Struct("".join(f"{f}{SLOT_BYTES - struct.calcsize(f)}x" for f in _FIELDS))
_ALPHA, _BETA = (SLOT_BYTES * (SIGNATURE.index("f") + i) for i in range(2))


class Products:
    """A handle of cuBLAS, which has its own workspace: device memory that the library takes when it is made."""

    def __init__(self, device: Device) -> None:
        self._cublas = device.cublas()
        try:
            self._handle = self._cublas.create()
        except self._cublas.CUBLASError as error:
            raise DeviceError(f"cuBLAS doesn't start on {device.name}: {error}") from error
        self._stream: int | None = None

    def function(self, name: str) -> tuple[Callable[..., None], int]:
        """What launches a product, and what it is to be given in place of a kernel's handle."""
        return self._launch, ITEM_BYTES[NAMES[name]]

    def unload(self) -> None:
        """Give the handle and its workspace back."""
        self._cublas.destroy(self._handle)

    def _launch(self, item_bytes: int, *launch: int) -> None:
        """With the arguments of ``driver.launchKernel``. Raises LibraryError where cuBLAS refuses.

        cuBLAS takes matrices column by column, so it is asked for the transpose of c: op(b) and op(a) transposed, which
        is how they lie there, in this order.
        """
        *_, stream, parameters, _ = launch
        blas, values = self._cublas, c_void_p.from_address(parameters).value or 0
        m, n, k, batch, transpose_a, transpose_b, out_bytes, *rest = _VALUES.unpack(string_at(values, _VALUES.size))
        pitch_a, at_a, step_a, pitch_b, at_b, step_b, pitch_c, at_c, step_c, _, _, a, b, c = rest
        if stream != self._stream:
            blas.setStream(self._handle, stream)
            self._stream = stream
        data_type = DATA_TYPES[item_bytes]
        try:
            blas.gemmStridedBatchedEx(
                self._handle,
                blas.CUBLAS_OP_T if transpose_b else blas.CUBLAS_OP_N,
                blas.CUBLAS_OP_T if transpose_a else blas.CUBLAS_OP_N,
                *(n, m, k, values + _ALPHA),
                *(b + item_bytes * at_b, data_type, pitch_b, step_b),
                *(a + item_bytes * at_a, data_type, pitch_a, step_a),
                values + _BETA,
                *(c + out_bytes * at_c, DATA_TYPES[out_bytes], pitch_c, step_c),
                *(batch, blas.CUBLAS_COMPUTE_32F, blas.CUBLAS_GEMM_DEFAULT),
            )
        except blas.CUBLASError as error:
            raise LibraryError(f"cuBLAS refuses a product of {m} x {n} x {k}: {error}") from error
