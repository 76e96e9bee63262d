"""A CPU in place of a GPU: the same CUDA C sources behind the same functions, for tests and machines without a GPU.

The kernels run as ``cuda_on_cpu.h`` says, one at a time; times are real, of this CPU, and say nothing of a GPU.
"""

from __future__ import annotations

import os
import platform

from replay.device.cpu.build import compile_host
from replay.device.cpu.cublas import HostCublas
from replay.device.cpu.driver import HostDriver
from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.memory import HostMemory
from replay.device.cpu.runtime import HostRuntime
from replay.device.cpu.streams import HostStreams
from replay.device.seam import Device


class HostCuda:
    """A device of this kind, with the switches and the state that tests want.

    memory_bytes: what ``malloc`` may give at a time, by default half of the machine's memory.
    debug: guard pages and poison, see HostMemory; shared memory is poisoned before each block.
    deferred: see HostStreams.
    schedule: order in which threads and blocks run: 0 ascending, 1 descending, else a seed.
    """

    def __init__(
        self, memory_bytes: int | None = None, debug: bool = False, deferred: bool = False, schedule: int = 0
    ) -> None:
        physical_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.memory = HostMemory(memory_bytes or physical_bytes // 2, debug)
        self.faults = Faults()
        streams = HostStreams(deferred)
        self.runtime = HostRuntime(self.memory, HostMemory(physical_bytes, debug), streams, self.faults)
        self.cublas = HostCublas(streams, self.faults)
        self.driver = HostDriver(streams, self.faults, schedule, poison=debug)

    def device(self) -> Device:
        """This device as an executor sees it."""
        return Device(
            name=f"CPU {platform.machine()}",
            arch=platform.machine(),
            memory_bytes=self.memory.total_bytes,
            driver=self.driver,
            runtime=self.runtime,
            compile=compile_host,
            errors=(HostCudaError,),
            cublas=lambda: self.cublas,
        )
