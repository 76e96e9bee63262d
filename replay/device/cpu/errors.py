"""Errors of the CPU device, and when the host learns of those of kernels."""

from __future__ import annotations

MESSAGES = {  # CUDA's codes and texts
    1: "cudaErrorInvalidValue: invalid argument",
    2: "cudaErrorMemoryAllocation: out of memory",
    400: "cudaErrorInvalidResourceHandle: invalid resource handle",
    500: "cudaErrorSymbolNotFound: named symbol not found",
    600: "cudaErrorNotReady: device not ready",
    700: "cudaErrorIllegalAddress: an illegal memory access was encountered",
    712: "cudaErrorHostMemoryAlreadyRegistered: part or all of the requested memory range is already mapped",
    713: "cudaErrorHostMemoryNotRegistered: pointer does not correspond to a registered memory region",
    719: "cudaErrorLaunchFailure: unspecified launch failure",
    900: "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing",
}


class HostCudaError(RuntimeError):
    """What a failing call raises: like CuPy's errors it has CUDA's code as ``status``."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(MESSAGES[status] + (f" ({detail})" if detail else ""))
        self.status = status


class Faults:
    """Faults of kernels: the host learns of one when it next waits, and from then on every call fails with it.

    kernels: names of kernels that fail with error 700 instead of running; a test fills it.
    """

    def __init__(self) -> None:
        self.kernels: set[str] = set()
        self._status = 0
        self._surfaced = False

    def happen(self, status: int) -> None:
        """A kernel has failed."""
        self._status = status

    def check(self) -> None:
        """Begins every call: raises the fault that has come to light."""
        if self._surfaced:
            raise HostCudaError(self._status)

    def surface(self) -> None:
        """Ends every call that waits: brings the fault of what it waited for to light."""
        self._surfaced = self._status != 0
        self.check()
