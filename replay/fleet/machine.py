"""What a run took place on, and when a dead process has really given its device back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from replay.device.nvml import Gpu, find_gpu
from replay.fleet.workers import Release

POLL_S = 0.001
SETTLED_S = 0.5
SLACK_BYTES = 32 << 20  # how much more than before a worker had the device may be in use once it is gone
PATIENCE_S = 10.0  # then memory that is still in use belongs to somebody else


def bus_id(facts: Mapping[str, Any]) -> str | None:
    """PCI bus id from the facts of ``replay.fleet.worker_main``; None for a CPU."""
    domain, bus, device = facts["pci"]
    return None if bus is None else f"{domain:08X}:{bus:02X}:{device:02X}.0"


def describe(facts: Mapping[str, Any]) -> dict[str, Any]:
    """For the manifest: the device as its process sees it, and as NVML does where there is one."""
    gpu = gpu_of(facts)
    return {**facts, "nvml": None if gpu is None else gpu.state()}


def release_of(facts: Mapping[str, Any], n_workers: int = 1) -> Release:
    """What waits until the memory of a dead process is free. n_workers: how many have the device at a time.

    A CPU's is free with the end of the process. Of a GPU, no more memory may be in use than now, before any worker
    has it: the driver frees it some time after the process is gone. Where others go on, their memory is in use too, and
    what is waited for is that it does not fall any more.
    """
    gpu = gpu_of(facts)
    if gpu is None:
        return lambda: None
    if n_workers > 1:
        return partial(_settled_bytes, gpu)
    before_bytes = _settled_bytes(gpu)

    def release() -> None:
        until_s = time.monotonic() + PATIENCE_S
        while gpu.used_bytes() > before_bytes + SLACK_BYTES and time.monotonic() < until_s:
            time.sleep(POLL_S)

    return release


def _settled_bytes(gpu: Gpu) -> int:
    """Memory in use once it does not fall any more: a process that ended just now may still have some."""
    least_bytes, until_s = gpu.used_bytes(), time.monotonic() + SETTLED_S
    while time.monotonic() < until_s:
        time.sleep(POLL_S)
        if gpu.used_bytes() < least_bytes:
            least_bytes, until_s = gpu.used_bytes(), time.monotonic() + SETTLED_S
    return least_bytes


def gpu_of(facts: Mapping[str, Any]) -> Gpu | None:
    """The device as NVML knows it; None for a CPU, and where NVML is missing."""
    name = bus_id(facts)
    return None if name is None else find_gpu(name)
