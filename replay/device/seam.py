"""What an executor knows of a device: the seam that a GPU and its stand-in on a CPU share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Device:
    """One device, driven through objects with the functions of ``cupy.cuda.driver`` and ``cupy.cuda.runtime``.

    Names, argument order and units are CuPy's: bytes, handles and addresses as int, events in milliseconds.
    Constants (``memcpyHostToDevice``, ``streamNonBlocking``, ...) are attributes of ``runtime``.
    compile: CUDA C source (a path, or the text itself) -> image for ``driver.moduleLoadData``. It is cached on
        disk, and raises KernelError where the source is wrong and DeviceError where there is no compiler.
    errors: what the functions raise; each has CUDA's error code as ``status`` (2: out of memory). A fault of a
        kernel (700 and the like) is sticky: every later call fails with it, only a new process helps.
    cublas: gives an object with the functions of ``cupy.cuda.cublas``; called where a graph needs the library, since it
        takes long to load. Its streams are set by its ``setStream`` alone. Raises DeviceError where it is missing.
    arch: compute capability without the dot, as "90", or the CPU's instruction set.
    """

    name: str
    arch: str
    memory_bytes: int
    driver: Any
    runtime: Any
    compile: Callable[[Path | str], bytes]
    errors: tuple[type[Exception], ...]
    cublas: Callable[[], Any]
