"""``cupy.cuda.driver`` on a CPU: modules and launches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from replay.device.cpu.build import HostModule
from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.streams import HostStreams
from replay.kernels.arguments import Arguments
from replay.kernels.limits import DEFAULT_SHARED_BYTES, MAX_GRID_YZ, MAX_SHARED_BYTES
from replay.kernels.sources import Signature

_running = threading.Lock()  # a shared object holds the state of its launch in globals


@dataclass
class _Function:
    name: str
    launch: Callable[..., int]
    signature: Signature
    module: int
    max_shared_bytes: int = DEFAULT_SHARED_BYTES


class HostDriver:
    """The functions of ``cupy.cuda.driver`` that replay uses, with its names and arguments."""

    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8

    def __init__(self, streams: HostStreams, faults: Faults, schedule: int, poison: bool) -> None:
        self._streams = streams
        self._faults = faults
        self._schedule = schedule
        self._poison = poison
        self._handles = count(0x1000, 0x10)
        self._modules: dict[int, HostModule] = {}
        self._functions: dict[int, _Function] = {}

    def moduleLoadData(self, image: bytes) -> int:
        """A module of compiled kernels."""
        self._faults.check()
        handle = next(self._handles)
        self._modules[handle] = HostModule(image)
        return handle

    def moduleUnload(self, module: int) -> None:
        """Forget a module and its kernels. Raises HostCudaError for an unknown one."""
        self._faults.check()
        if self._modules.pop(module, None) is None:
            raise HostCudaError(400, f"module {module:#x}")
        self._functions = {h: f for h, f in self._functions.items() if f.module != module}

    def moduleGetFunction(self, module: int, funcname: str) -> int:
        """A kernel of a module by name. Raises HostCudaError for an unknown module or name."""
        self._faults.check()
        if module not in self._modules:
            raise HostCudaError(400, f"module {module:#x}")
        try:
            launch, signature = self._modules[module].function(funcname)
        except AttributeError:
            raise HostCudaError(500, funcname) from None
        handle = next(self._handles)
        self._functions[handle] = _Function(funcname, launch, signature, module)
        return handle

    def funcSetAttribute(self, f: int, attribute: int, value: int) -> None:
        """Raise the limit of dynamic shared memory of a kernel. Raises HostCudaError beyond the limit of a device."""
        self._faults.check()
        if attribute != self.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES or value > MAX_SHARED_BYTES:
            raise HostCudaError(1, f"attribute {attribute}, value {value}")
        self._function(f).max_shared_bytes = value

    def launchKernel(
        self,
        f: int,
        grid_dim_x: int,
        grid_dim_y: int,
        grid_dim_z: int,
        block_dim_x: int,
        block_dim_y: int,
        block_dim_z: int,
        shared_mem_bytes: int,
        stream: int,
        kernel_params: int,
        extra: int,
    ) -> None:
        """Arguments are read when this is called, as by cuLaunchKernel; ``extra`` is not supported."""
        self._faults.check()
        function = self._function(f)
        shape = (grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x, block_dim_y, block_dim_z, shared_mem_bytes)
        if grid_dim_y > MAX_GRID_YZ or grid_dim_z > MAX_GRID_YZ or shared_mem_bytes > function.max_shared_bytes:
            raise HostCudaError(1, f"{function.name} with grid, block and shared bytes {shape}")
        if self._streams.runs_at_once(stream):
            self._run(function, shape, kernel_params)
        else:
            arguments = Arguments.copy(function.signature, kernel_params)
            self._streams.enqueue(stream, lambda: self._run(function, shape, arguments.address))

    def _function(self, f: int) -> _Function:
        if f not in self._functions:
            raise HostCudaError(400, f"function {f:#x}")
        return self._functions[f]

    def _run(self, function: _Function, shape: tuple[int, ...], kernel_params: int) -> None:
        if function.name in self._faults.kernels:
            self._faults.happen(700)
            return
        with _running:
            result = function.launch(*shape, kernel_params, self._schedule, self._poison)
        if result == 1:
            raise HostCudaError(1, f"{function.name} with grid, block and shared bytes {shape}")
        if result == 2:
            raise HostCudaError(719, f"{function.name}: the threads of a block wait at different barriers")
