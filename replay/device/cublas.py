"""cuBLAS of a GPU, through CuPy: a library of hundreds of megabytes, which CuPy may well be installed without."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from types import ModuleType
from typing import Any

from replay.device.wheels import library_paths
from replay.errors import DeviceError

PARTS = ("cublasLt", "cublas")  # the second needs the first


def import_cublas() -> ModuleType:
    """``cupy.cuda.cublas``. Raises DeviceError where the library is missing."""
    with suppress(ImportError):
        return _of_cupy()
    _preload()
    try:
        return _of_cupy()
    except ImportError as error:
        raise DeviceError(
            f"cuBLAS, which a graph asks for products, can't be loaded: {error}; pip install nvidia-cublas-cu12, or "
            "nvidia-cublas for CUDA 13"
        ) from error


class CupyCublas:
    """The functions of ``cupy.cuda.cublas``. Raises DeviceError where the library is missing."""

    def __init__(self) -> None:
        self._cublas = import_cublas()
        self._stream: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cublas, name)

    def setStream(self, handle: int, stream: int) -> None:
        """Let what follows go through a stream: CuPy gives cuBLAS this thread's current one in every call."""
        self._stream = _external(stream)  # kept, because CuPy doesn't
        self._stream.use()


class _Stream:
    """A stream as others take it over (CUDA stream protocol, version 0)."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._stream


def _external(stream: int) -> Any:
    from cupy.cuda import Stream

    if hasattr(Stream, "from_external"):  # from CuPy 14 on, which warns of the other way
        return Stream.from_external(_Stream(stream))
    from cupy.cuda import ExternalStream

    return ExternalStream(stream)


def _of_cupy() -> ModuleType:
    from cupy.cuda import cublas

    found: ModuleType = cublas
    return found


def _preload() -> None:
    """Load the library from where CuPy may not look for it: it takes what is loaded already."""
    from cupy.cuda import runtime

    major = runtime.runtimeGetVersion() // 1000
    for part in PARTS:
        for path in library_paths(f"lib{part}.so.{major}", "cublas", major):
            with suppress(OSError):
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
                break
