"""A green context: a part of a GPU's multiprocessors (SMs) for a process, through ``cuda.bindings``.

It caps where the kernels of this process run and reserves nothing: other processes may use the same SMs. Without
MPS, the GPU still alternates between processes, so that kernels of two of them never run at once.
The calls are those of the CUDA driver API, section Green Contexts (CUDA 12.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replay.errors import DeviceError

NEEDED_CUDA = 12040  # of cuDriverGetVersion: CUDA 12.4


def enter(ordinal: int, share: float) -> int:
    """Make a green context with a share of the SMs of a GPU the current one of this thread; returns its SMs.

    GPUs give SMs in groups (8 on an H100); the share is rounded down to whole ones, but at least one. To be called
    once the GPU is open, whose primary context would else replace this one, and before anything is made on it: streams
    and modules belong to the context that is current then. Raises DeviceError where there is no such thing.
    """
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise DeviceError(
            f"mode 'green' needs cuda.bindings, which can't be imported ({error}); pip install cuda-bindings"
        ) from error
    version = _call(driver.cuDriverGetVersion)
    if version < NEEDED_CUDA:
        raise DeviceError(
            f"mode 'green' needs an NVIDIA driver for CUDA 12.4 or newer, 550 or higher; this one is for CUDA "
            f"{version // 1000}.{version % 1000 // 10}"
        )
    device = _call(driver.cuDeviceGet, ordinal)
    whole = _call(driver.cuDeviceGetDevResource, device, driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM)
    group = _split(driver, whole, 1).sm.smCount  # the least that can be had
    n_wanted = max(int(share * whole.sm.smCount) // group, 1) * group
    part = _split(driver, whole, n_wanted)
    description = _call(driver.cuDevResourceGenerateDesc, [part], 1)
    flags = driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM  # the only one, and required
    green = _call(driver.cuGreenCtxCreate, description, device, flags)
    _call(driver.cuCtxSetCurrent, _call(driver.cuCtxFromGreenCtx, green))
    return int(part.sm.smCount)


def _split(driver: Any, whole: Any, n_least: int) -> Any:
    """One group of at least so many SMs."""
    groups, *_ = _call(driver.cuDevSmResourceSplitByCount, 1, whole, 0, n_least)
    return groups[0]


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the driver returns after its status: None, a value, or a tuple of several."""
    status, *values = function(*arguments)
    if int(status):
        raise DeviceError(f"mode 'green': {function.__name__} fails with {status.name}")
    return values[0] if len(values) == 1 else tuple(values) or None
