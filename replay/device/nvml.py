"""What the NVIDIA driver says of a GPU, without a CUDA context: the few functions of NVML that replay needs.

NVML comes with the driver; field names are those of nvml.h.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_uint, c_ulonglong, c_void_p, create_string_buffer
from functools import lru_cache
from typing import Any

from replay.errors import DeviceError

_GRAPHICS, _SM, _MEMORY = 0, 1, 2  # nvmlClockType_t
_OF_GPU = 0  # NVML_TEMPERATURE_GPU
_TEXT_BYTES = 96
_NOT_AVAILABLE = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE


class _Memory(ctypes.Structure):
    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class _Process(ctypes.Structure):  # nvmlProcessInfo_t of nvmlDeviceGetComputeRunningProcesses_v3
    _fields_ = (
        ("pid", c_uint),
        ("usedGpuMemory", c_ulonglong),
        ("gpuInstanceId", c_uint),
        ("computeInstanceId", c_uint),
    )


class Gpu:
    """A GPU by its PCI bus id, as "00000000:3B:00.0"."""

    def __init__(self, library: ctypes.CDLL, bus_id: str) -> None:
        self._library = library
        self._handle = c_void_p()
        self._check("nvmlDeviceGetHandleByPciBusId_v2", c_char_p(bus_id.encode()), byref(self._handle))

    def used_bytes(self) -> int:
        """Device memory in use, by all processes and the driver. Raises DeviceError when NVML doesn't tell."""
        memory = _Memory()
        self._check("nvmlDeviceGetMemoryInfo", self._handle, byref(memory))
        return int(memory.used)

    def sm_clock_mhz(self) -> int | None:
        """Clock of the multiprocessors now; None when NVML doesn't tell."""
        return self._number("nvmlDeviceGetClockInfo", self._handle, _SM)

    def temperature_c(self) -> int | None:
        """Temperature of the GPU now, in degrees Celsius; None when NVML doesn't tell."""
        return self._number("nvmlDeviceGetTemperature", self._handle, _OF_GPU)

    def state(self) -> dict[str, Any]:
        """Driver, persistence mode, clocks in MHz and the processes on the GPU; None for what it doesn't tell."""
        return {
            "driver": self._text("nvmlSystemGetDriverVersion"),
            "persistence_mode": self._number("nvmlDeviceGetPersistenceMode", self._handle),
            "sm_clock_mhz": self.sm_clock_mhz(),
            "sm_clock_max_mhz": self._number("nvmlDeviceGetMaxClockInfo", self._handle, _SM),
            "memory_clock_mhz": self._number("nvmlDeviceGetClockInfo", self._handle, _MEMORY),
            "compute_mode": self._number("nvmlDeviceGetComputeMode", self._handle),
            "used_bytes": self.used_bytes(),
            "processes": self._processes(),
        }

    def _processes(self) -> list[dict[str, int | None]] | None:
        count = c_uint(64)
        found = (_Process * count.value)()
        try:
            self._check("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, byref(count), found)
        except (DeviceError, AttributeError):
            return None
        told = ((p.pid, p.usedGpuMemory) for p in found[: count.value])
        return [{"pid": pid, "used_bytes": None if used == _NOT_AVAILABLE else used} for pid, used in told]

    def _number(self, name: str, *arguments: Any) -> int | None:
        value = c_uint()
        try:
            self._check(name, *arguments, byref(value))
        except (DeviceError, AttributeError):
            return None
        return value.value

    def _text(self, name: str) -> str | None:
        text = create_string_buffer(_TEXT_BYTES)
        try:
            self._check(name, text, c_uint(_TEXT_BYTES))
        except (DeviceError, AttributeError):
            return None
        return text.value.decode()

    def _check(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise DeviceError(f"{name} fails with status {status}")


@lru_cache
def find_gpu(bus_id: str) -> Gpu | None:
    """The GPU with this bus id; None where NVML is missing, or doesn't know it or its memory."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2():
            return None
        gpu = Gpu(library, bus_id)
        gpu.used_bytes()
        return gpu
    except (OSError, AttributeError, DeviceError):
        return None
