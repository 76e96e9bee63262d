"""The narrow seam to GPUs: opens a device, and says plainly what is missing where there is none.

The only module that imports CuPy, and it does so for a GPU alone. Everything that it uses of CuPy is the same in
the packages cupy-cuda12x and cupy-cuda13x, versions 13 and 14.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import ModuleType

from replay.device.cublas import CupyCublas, import_cublas
from replay.device.nvrtc import compile_cubin, load_nvrtc
from replay.device.seam import Device
from replay.errors import DeviceError

NO_DEVICE, DRIVER_TOO_OLD = 100, 35  # cudaErrorNoDevice, cudaErrorInsufficientDriver: also without any driver
OR_CPU = "; the device 'cpu' needs no GPU"


def import_libraries(name: str, *, cublas: bool = False) -> None:
    """Import what ``open_device`` and the compiler of a device need, so that neither has to; no device is touched.

    cublas: also what ``Device.cublas`` needs. Raises DeviceError for a wrong name, and for a GPU without CuPy or that.
    """
    find_compiler: Callable[[], object] = load_nvrtc
    if _ordinal(name) is None:
        from replay.device.cpu import build, host  # noqa: F401

        find_compiler = build.find_compiler
    else:
        _import_cupy()
        if cublas:
            import_cublas()
    with suppress(DeviceError):  # that there is none is told where something is to be compiled
        find_compiler()


def open_device(name: str) -> Device:
    """The device "cpu", or "cuda:N" for the N-th GPU. Raises DeviceError.

    For a GPU this creates a CUDA context, in the calling thread: in another one, call ``runtime.setDevice`` and
    ``runtime.memGetInfo`` before anything of ``driver``. Modules are loaded whole rather than at the first use of each
    kernel, so that a cold start can be told from a launch, unless CUDA_MODULE_LOADING says otherwise.
    """
    ordinal = _ordinal(name)
    if ordinal is None:
        from replay.device.cpu.host import HostCuda

        return HostCuda().device()
    return _open_gpu(ordinal)


def _ordinal(name: str) -> int | None:
    """Number of a GPU; None for the CPU."""
    if name == "cpu":
        return None
    match = re.fullmatch(r"cuda:(\d+)", name)
    if not match:
        raise DeviceError(f"device {name!r} is neither 'cpu' nor 'cuda:N' with the number of a GPU, as 'cuda:0'")
    return int(match[1])


def _import_cupy() -> tuple[ModuleType, ModuleType]:
    """CuPy's driver and runtime."""
    os.environ.setdefault("CUDA_MODULE_LOADING", "EAGER")
    try:
        from cupy.cuda import driver, runtime
    except ImportError as error:
        raise DeviceError(
            f"CuPy can't be imported: {error}; pip install cupy-cuda12x, or cupy-cuda13x for CUDA 13{OR_CPU}"
        ) from error
    return driver, runtime


def _open_gpu(ordinal: int) -> Device:
    driver, runtime = _import_cupy()
    n_devices = _count_devices(runtime)
    if ordinal >= n_devices:
        raise DeviceError(f"device 'cuda:{ordinal}' doesn't exist: the driver shows {n_devices}, numbered from 0")
    errors = (runtime.CUDARuntimeError, driver.CUDADriverError)
    try:
        runtime.setDevice(ordinal)
        _, memory_bytes = runtime.memGetInfo()  # the first call that needs a context creates it
        properties = runtime.getDeviceProperties(ordinal)
    except errors as error:
        raise DeviceError(f"device 'cuda:{ordinal}' can't be opened: {error}") from error
    arch = f"{properties['major']}{properties['minor']}"
    return Device(
        name=properties["name"].decode(),
        arch=arch,
        memory_bytes=memory_bytes,
        driver=driver,
        runtime=runtime,
        compile=partial(compile_cubin, arch=arch),
        errors=errors,
        cublas=CupyCublas,
    )


def _count_devices(runtime: ModuleType) -> int:
    try:
        return int(runtime.getDeviceCount())
    except RuntimeError as error:
        status = getattr(error, "status", None)
        if status == NO_DEVICE:
            raise DeviceError(f"the NVIDIA driver finds no GPU (see nvidia-smi){OR_CPU}") from error
        if status != DRIVER_TOO_OLD:
            raise DeviceError(f"CUDA doesn't start: {error}{OR_CPU}") from error
        if runtime.driverGetVersion() == 0:
            raise DeviceError(f"no NVIDIA driver is installed{OR_CPU}") from error
        raise DeviceError(
            "the NVIDIA driver is older than CuPy's CUDA: update it (525 or newer for cupy-cuda12x, 580 for "
            f"cupy-cuda13x), or install the CuPy of an older CUDA{OR_CPU}"
        ) from error
