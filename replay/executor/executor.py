"""The KaaS executor: runs kernel graphs of many functions on one device, in one process, one invocation at a time.

After Pemberton et al., "Kernel-as-a-Service" (arXiv 2212.08146). What stays in device memory between invocations, and
what has to go, is decided by ``sim.models.memory.BufferCache`` alone, which the simulator uses too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from replay.device.seam import Device
from replay.errors import DeviceError, LibraryError, ReplayError
from replay.executor.captures import Captures
from replay.executor.constants import Array, Fill
from replay.executor.constants import fill as draw
from replay.executor.modules import Modules
from replay.executor.plan import Launch, Plan
from replay.executor.residency import Admission, Residency
from replay.executor.sizing import bounce_bytes, slab_bytes
from replay.executor.staging import Staging
from replay.executor.stream import DeviceStream
from replay.kernels.check import check_graph
from replay.kernels.sources import LIBRARIES
from sim.domain import Buffer, KernelGraph
from sim.models.eviction import Kaas
from sim.models.layout import Layout, layout

Addresses = npt.NDArray[np.int64]
DEFAULT_MEMORY_FRAC = 0.9  # of the free memory: leaves room for modules, and for the driver's own
BEGIN, LOADED, RUN, STORED, BEFORE, AFTER, N_MARKS = range(7)  # of an invocation, and of a launch in profile mode


class KernelFault(ReplayError):
    """A kernel failed, and with it the CUDA context: the executor is of no use any more, only a new process helps.

    kernel: "source.name" of the kernel, or of the suspects, joined by " or ": CUDA tells of a fault when the host
    waits for the graph's end, not which kernel it was, and answers no question afterwards. In profile mode the
    host waits for every launch, and this is the one.
    """

    kernel: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One invocation. Seconds by CUDA events, but modules_s and total_s by the host's clock; exact bytes.

    outputs: flat arrays by name of the buffer. modules_s: loading of modules. load_s: moves that make room, and copies
    to the device. run_s: kernels. store_s: copies of outputs. total_s: all of ``Executor.run``.
    first_use, n_loaded: as BufferCache's Placement has them. constant_bytes: copied because they were not resident
    (see ``Layout.cached``). h2d_bytes: those and fresh inputs. n_evicted: buffers that lost their place.
    kernels_s: each launch by itself, in profile mode. moved_bytes: copied within the device to make room.
    changes: of what is resident since the last invocation that ended well, as ``sim.models.watched.Tell`` has them.
    """

    outputs: dict[str, Array]
    modules_s: float
    load_s: float
    run_s: float
    store_s: float
    total_s: float
    first_use: bool
    n_loaded: int
    constant_bytes: int
    h2d_bytes: int
    d2h_bytes: int
    n_evicted: int
    kernels_s: tuple[float, ...] | None = None
    moved_bytes: int = 0
    changes: tuple[tuple[int, int, str], ...] = ()


@dataclass(eq=False, slots=True)
class _Program:
    """What functions of one graph share. launches: of one iteration; none until the modules are loaded."""

    graph: KernelGraph
    layout: Layout
    plan: Plan
    staging: Staging
    input_bytes: int
    output_bytes: int
    asks_libraries: bool
    launches: list[Launch] = field(default_factory=list)


class Executor:
    """Serves functions on one device; to be used in the thread that opened it.

    memory_limit_bytes: device memory for buffers, all of it taken at once; by default 90 % of what is free. Of it,
        ``capacity_bytes`` are for BufferCache; the rest serves to move buffers (see Residency and DeviceStream).
    keep_headroom, eviction: see BufferCache.
    seed, fill: the content of constants and example inputs is drawn from the seed, or is what ``fill`` puts there.
    profile: launches are timed and waited for one by one, for ``Execution.kernels_s``; KernelFault names the kernel.
    cuda_graphs: launches are captured in a CUDA graph when their addresses come for the second time; not those of a
        graph that asks a library, whose calls CuPy doesn't let a capture have.
    Raises DeviceError when the device doesn't have the memory.
    """

    def __init__(
        self,
        device: Device,
        *,
        memory_limit_bytes: int | None = None,
        keep_headroom: bool = False,
        eviction: str = Kaas.name,
        seed: int = 0,
        fill: Fill | None = None,
        profile: bool = False,
        cuda_graphs: bool = False,
    ) -> None:
        if profile and cuda_graphs:
            raise ReplayError("profile times every launch by itself, which cuda_graphs rules out: choose one of them")
        self._device = device
        self._errors: tuple[type[Exception], ...] = (*device.errors, LibraryError)
        self._fill = fill or partial(_draw, seed)
        self._profile = profile
        n_bytes = memory_limit_bytes
        if n_bytes is None:
            n_bytes = int(device.runtime.memGetInfo()[0] * DEFAULT_MEMORY_FRAC)
        self._base = _malloc(device, n_bytes)
        slab = slab_bytes(n_bytes)
        self._residency = Residency(slab, keep_headroom, eviction)
        self._stream = DeviceStream(device, N_MARKS, self._base + slab, bounce_bytes(n_bytes))
        self._modules = Modules(device)
        self._captures = Captures(device.runtime, self._stream.handle) if cuda_graphs else None
        self._programs: dict[tuple[str, bool], _Program] = {}
        self._functions: dict[int, tuple[int, _Program]] = {}
        self._function_of: list[int] = []  # by key, also of those that were forgotten
        self._launching: str | None = None  # in profile mode
        self._fault: KernelFault | None = None

    @property
    def capacity_bytes(self) -> int:
        """Memory that BufferCache gives to functions: for a CostModel that is to agree with this executor."""
        return self._residency.cache.capacity_bytes

    def register(self, function: int, graph: KernelGraph, fresh_inputs: bool) -> None:
        """Make a function known; the first of its graph compiles kernels and makes constants, all on the host.

        Raises KernelError for a graph that can't be launched, DeviceError without host memory to pin, and ReplayError
        for a known function, another graph of the same name, or buffers that don't fit on the device.
        """
        if function in self._functions:
            raise ReplayError(f"function {function} is registered already")
        program = self._programs.get((graph.name, fresh_inputs))
        if program is None:
            program = self._programs[graph.name, fresh_inputs] = self._prepare(graph, fresh_inputs)
        elif program.graph != graph:
            raise ReplayError(f"function {function}: graph {graph.name!r} differs from the one registered before")
        # A key of its own, so that what an unloaded function left in memory isn't taken for this one's.
        self._functions[function] = len(self._function_of), program
        self._function_of.append(function)

    def load_modules(self, graph: KernelGraph) -> float:
        """Load what a graph needs of modules and isn't loaded; seconds, by the host's clock, without compiling."""
        return self._modules.load(graph)

    def load(self, function: int) -> float:
        """Bring what a function caches into device memory, ahead of its invocations; seconds, by CUDA events.

        BufferCache takes it for an invocation. Raises what ``run`` raises.
        """
        key, program = self._known(function)
        admission = self._residency.enter(key, program.layout)
        with self._telling_faults(program.graph):
            self._stream.mark(BEGIN)
            self._load(program, admission)
            self._stream.mark(LOADED)
            self._stream.synchronize()
        self._residency.leave(key)
        return self._stream.elapsed_s(BEGIN, LOADED)

    def run(self, function: int, inputs: Mapping[str, Array] | None = None) -> Execution:
        """One invocation, from inputs in host memory to outputs there.

        inputs: by name, of a function with fresh inputs; by default the example that the seed makes.
        Raises KernelFault, now and for ever after a kernel has failed; ReplayError for unknown functions and inputs.
        """
        begun_s = time.perf_counter()
        key, program = self._known(function)
        program.staging.write_inputs(inputs)
        modules_s = 0.0 if program.launches else self._bind(program)
        admission = self._residency.enter(key, program.layout)
        with self._telling_faults(program.graph):
            kernels_s = self._execute(key, program, admission)
        self._residency.leave(key)
        placement, stream = admission.placement, self._stream
        return Execution(
            outputs=program.staging.read_outputs(),
            modules_s=modules_s,
            load_s=stream.elapsed_s(BEGIN, LOADED),
            run_s=stream.elapsed_s(LOADED, RUN),
            store_s=stream.elapsed_s(RUN, STORED),
            total_s=time.perf_counter() - begun_s,
            first_use=placement.first_use,
            n_loaded=placement.n_loaded,
            constant_bytes=placement.load_bytes,
            h2d_bytes=placement.load_bytes + program.input_bytes,
            d2h_bytes=program.output_bytes,
            n_evicted=sum(e.last - e.first for e in placement.evictions),
            kernels_s=kernels_s,
            moved_bytes=sum(m.n_bytes for m in admission.moves),
            changes=self._changes(),
        )

    def _changes(self) -> tuple[tuple[int, int, str], ...]:
        """What changed in device memory since this was asked last."""
        found = self._residency.changes
        changes = tuple((self._function_of[key], n_bytes, reason) for key, n_bytes, reason in found)
        found.clear()
        return changes

    def unload(self, function: int) -> None:
        """Forget a function; what it has in device memory stays until BufferCache evicts it."""
        key, _ = self._known(function)
        del self._functions[function]
        if self._captures is not None:
            self._captures.drop(key)

    def close(self) -> None:
        """Give all memory back; nothing may be called any more. After a fault there is nothing to be given back."""
        if self._fault is not None:
            return
        if self._captures is not None:
            self._captures.close()
        self._stream.close()
        self._modules.unload()
        for program in self._programs.values():
            program.staging.free()
        self._device.runtime.free(self._base)

    def _known(self, function: int) -> tuple[int, _Program]:
        if self._fault is not None:
            raise self._fault
        if function not in self._functions:
            raise ReplayError(f"function {function} isn't registered")
        return self._functions[function]

    def _prepare(self, graph: KernelGraph, fresh_inputs: bool) -> _Program:
        check_graph(graph)
        its = layout(graph, fresh_inputs)
        needed = its.cached_set.total_bytes + its.scratch_set.total_bytes
        if needed > self.capacity_bytes:
            raise ReplayError(
                f"graph {graph.name!r} needs {needed:,} B of device memory, must be at most {self.capacity_bytes:,} B"
            )
        plan = Plan(graph, [b.name for b in its.cached + its.scratch])
        self._modules.compile(graph)
        staging = Staging(self._device, graph.name, its, self._fill)
        input_bytes = sum(s.buffer.size_bytes for s in staging.inputs)
        output_bytes = sum(s.buffer.size_bytes for s in staging.outputs)
        asks_libraries = any(k.source in LIBRARIES for k in graph.kernels)
        return _Program(graph, its, plan, staging, input_bytes, output_bytes, asks_libraries)

    def _bind(self, program: _Program) -> float:
        modules_s = self._modules.load(program.graph)
        program.launches = program.plan.launches(self._modules.function, self._stream.handle)
        return modules_s

    def _execute(self, key: int, program: _Program, admission: Admission) -> tuple[float, ...] | None:
        """All work of the device for an invocation, to its end."""
        addresses = admission.offsets + self._base
        program.plan.place(addresses)
        scratch = addresses[len(program.layout.cached) :].tolist()
        self._stream.mark(BEGIN)
        self._load(program, admission)
        for slot in program.staging.inputs:
            self._stream.upload(scratch[slot.number], slot.address, slot.buffer.size_bytes)
        self._stream.mark(LOADED)
        kernels_s = self._launch(key, program, addresses)
        self._stream.mark(RUN)
        for slot in program.staging.outputs:
            self._stream.download(slot.address, scratch[slot.number], slot.buffer.size_bytes)
        self._stream.mark(STORED)
        self._stream.synchronize()
        return kernels_s

    def _load(self, program: _Program, admission: Admission) -> None:
        for move in admission.moves:
            self._stream.move(self._base + move.target, self._base + move.source, move.n_bytes)
        size_upto = program.layout.cached_set.size_upto
        for extent in admission.loads:  # one copy each: the buffers lie in host memory as they do in a block
            source = program.staging.cached_address + size_upto[extent.first]
            self._stream.upload(self._base + extent.block.offset, source, extent.block.n_bytes)

    def _launch(self, key: int, program: _Program, addresses: Addresses) -> tuple[float, ...] | None:
        if self._profile:
            return tuple(self._launch_each(program))
        if self._captures is not None and not program.asks_libraries:
            self._captures.launch(key, addresses.tobytes(), partial(self._launch_all, program))
        else:
            self._launch_all(program)
        return None

    def _launch_all(self, program: _Program) -> None:
        launches = program.launches
        for _ in range(program.graph.n_iter):
            for launch, arguments in launches:
                launch(*arguments)

    def _launch_each(self, program: _Program) -> Iterator[float]:
        """Launch and wait, one by one; the seconds of each."""
        for _ in range(program.graph.n_iter):
            for kernel, (launch, arguments) in zip(program.graph.kernels, program.launches, strict=True):
                self._launching = f"{kernel.source}.{kernel.name}"
                self._stream.mark(BEFORE)
                launch(*arguments)
                self._stream.mark(AFTER)
                self._stream.wait(AFTER)
                yield self._stream.elapsed_s(BEFORE, AFTER)

    @contextmanager
    def _telling_faults(self, graph: KernelGraph) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            kernel = self._launching or " or ".join(dict.fromkeys(f"{k.source}.{k.name}" for k in graph.kernels))
            fault = KernelFault(f"graph {graph.name!r}: kernel {kernel} failed: {error}; the executor must be replaced")
            fault.kernel = kernel
            self._fault = fault
            raise fault from error


def _draw(seed: int, out: Array, graph: str, buffer: Buffer) -> None:
    draw(out, graph, buffer, seed)


def _malloc(device: Device, n_bytes: int) -> int:
    try:
        address: int = device.runtime.malloc(n_bytes)
    except device.errors as error:
        free_bytes, _ = device.runtime.memGetInfo()
        raise DeviceError(
            f"{device.name} doesn't give {n_bytes:,} B of memory for buffers, {free_bytes:,} B are free: {error}"
        ) from error
    return address
