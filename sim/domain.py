"""The nouns: what functions, kernel graphs, devices and arrivals are. Frozen data without behaviour.

Units are in the names: ``_s`` seconds, ``_bytes`` exact integer bytes, ``_per_s`` rates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class Role(str, Enum):
    """What a buffer is to its graph (KaaS request model)."""

    CONSTANT = "constant"  #: the same for every invocation: weights; may stay in device memory
    INPUT = "input"  #: read from the host for an invocation
    OUTPUT = "output"  #: written back to the host after an invocation
    TEMPORARY = "temporary"  #: lives only on the device and only during an invocation


class Direction(str, Enum):
    """How a kernel uses a buffer."""

    IN = "in"  #: reads it
    OUT = "out"  #: writes it
    INOUT = "inout"  #: reads and writes it


class WorkerKind(str, Enum):
    """What serves invocations on a device."""

    KAAS = "kaas"  #: an executor that runs kernel graphs of every function
    EXCLUSIVE = "exclusive"  #: a process of one function with a CUDA context of its own


@dataclass(frozen=True, slots=True)
class Buffer:
    """A named piece of memory of a graph.

    ``dtype`` and ``scale`` say how replay fills constants and inputs: normal numbers of standard deviation
    ``scale`` for floating and complex types, uniform integers in [0, scale) for integer types.
    """

    name: str
    size_bytes: int
    role: Role
    dtype: str = "float32"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class BufferArg:
    """A buffer argument of a kernel launch."""

    buffer: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch. Arguments are the literals, by value, and then the buffers, as device pointers.

    A source that is a library has products instead of functions of ours: ``sim.models.workloads.gemm`` makes those.
    ``literals`` are (type, value) with the types i (int32), f (float32), d (float64) and Q (uint64).
    ``flops`` and ``moved_bytes`` are the work of one launch, for cost models without a measurement.
    """

    source: str  #: stem of the .cu file that defines it, or a library
    name: str  #: extern "C" name of the function, or of what the library is asked for
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[BufferArg, ...]
    literals: tuple[tuple[str, float], ...] = ()
    shared_bytes: int = 0  #: dynamic shared memory
    flops: int = 0
    moved_bytes: int = 0


@dataclass(frozen=True)
class KernelGraph:
    """Kernels in launch order, the whole list repeated ``n_iter`` times, over named buffers in order of first use.

    Strictly sequential, on one GPU, without host code inside: the unit of submission in KaaS.
    """

    name: str
    kernels: tuple[Kernel, ...]
    buffers: tuple[Buffer, ...]
    n_iter: int = 1

    def bytes_of(self, role: Role) -> int:
        """Total bytes of the buffers that have this role."""
        return sum(b.size_bytes for b in self.buffers if b.role is role)

    @cached_property
    def n_launches(self) -> int:
        """Kernel launches of one invocation."""
        return len(self.kernels) * self.n_iter

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Distinct sources of kernels, each loaded once by a worker as a module."""
        return tuple(dict.fromkeys(k.source for k in self.kernels))

    @cached_property
    def n_modules(self) -> int:
        """How many sources there are."""
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class Function:
    """A deployable unit of one tenant, bound to a graph.

    ``fresh_inputs``: every invocation brings its own input (BERT's questions); else inputs repeat and are cached
    like constants (the images of the KaaS benchmarks).
    ``run_s``: duration of the kernels when it is known from the trace rather than from a cost model.
    """

    id: int
    key: str
    graph: KernelGraph
    fresh_inputs: bool = True
    run_s: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One model of GPU. mig: the name of its table in ``sim.models.mig``; empty where it can't be partitioned."""

    name: str
    memory_bytes: int
    mig: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node of equal GPUs. ``gpus_per_link`` neighbours share one host link in each direction.

    model: which of the fleet's calibrations is that of its GPUs. standby: it is not there until a policy starts it.
    """

    device: DeviceSpec
    n_gpus: int
    gpus_per_link: int = 1
    model: int = 0
    standby: bool = False


@dataclass(frozen=True)
class FleetSpec:
    """Equal GPUs in nodes of ``gpus_per_node``, or ``mixed`` nodes, which then say it all; ``device`` is the first's.

    GPUs are numbered node by node. node_start_s: how long it takes to start a node that is not there.
    """

    device: DeviceSpec
    n_gpus: int
    gpus_per_node: int = 8
    gpus_per_link: int = 1
    mixed: tuple[NodeSpec, ...] = ()
    node_start_s: float = 0.0

    @classmethod
    def of_nodes(cls, nodes: Sequence[NodeSpec], node_start_s: float) -> FleetSpec:
        """A fleet of these nodes."""
        first = nodes[0]
        n_gpus = sum(node.n_gpus for node in nodes)
        return cls(first.device, n_gpus, first.n_gpus, first.gpus_per_link, tuple(nodes), node_start_s)

    @cached_property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """The nodes, in order of their GPUs."""
        if self.mixed:
            return self.mixed
        full, rest = divmod(self.n_gpus, self.gpus_per_node)
        sizes = [self.gpus_per_node] * full + [rest] * (rest > 0)
        return tuple(NodeSpec(self.device, size, self.gpus_per_link) for size in sizes)

    @cached_property
    def node_of(self) -> npt.NDArray[np.int32]:
        """The number of the node of each GPU."""
        return np.repeat(np.arange(len(self.nodes), dtype=np.int32), [node.n_gpus for node in self.nodes])

    @cached_property
    def _first_of(self) -> list[int]:
        return [0, *accumulate(node.n_gpus for node in self.nodes)]

    def gpus_of(self, node: int) -> range:
        """The numbers of the GPUs of a node."""
        return range(self._first_of[node], self._first_of[node + 1])

    def device_of(self, gpu: int) -> DeviceSpec:
        """What a GPU is."""
        return self.nodes[int(self.node_of[gpu])].device

    @property
    def memory_bytes(self) -> list[int]:
        """Memory of each GPU."""
        return [node.device.memory_bytes for node in self.nodes for _ in range(node.n_gpus)]

    @property
    def present(self) -> list[int]:
        """The GPUs that are there from the beginning."""
        return [gpu for n, node in enumerate(self.nodes) if not node.standby for gpu in self.gpus_of(n)]

    @property
    def absent(self) -> list[int]:
        """The GPUs of nodes on standby."""
        return [gpu for n, node in enumerate(self.nodes) if node.standby for gpu in self.gpus_of(n)]


@dataclass(frozen=True, slots=True)
class TraceFunction:
    """What a trace tells of a function.

    ``mean_s``: mean duration without cold start, > 0. ``memory_bytes``: None where the trace has none.
    ``n_invocations``: in the window as the trace counts them, before anything is drawn or scaled; of clients those
    that are expected.
    """

    key: str
    app: str
    trigger: str
    mean_s: float
    memory_bytes: int | None
    n_invocations: float


@dataclass(frozen=True, slots=True)
class ArrivalChunk:
    """Consecutive arrivals, as equally long columns; ``at_s`` ascends, also from chunk to chunk.

    at_s: float64, seconds from the start of the window. function: int32, index into ``Trace.functions``.
    duration_s: float64 > 0, the trace's own duration of each invocation.
    """

    at_s: npt.NDArray[np.float64]
    function: npt.NDArray[np.int32]
    duration_s: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TraceSource:
    """Where a trace comes from and what was done to it: goes into the manifest of every run.

    ``anomalies`` counts the odd but published rows that a documented rule handled, by name of the rule.
    ``durations_of``: what durations were measured on, where a trace has none of its own and they follow from that.
    """

    format: str
    files: tuple[str, ...]
    window_s: tuple[float, float]
    options: Mapping[str, Any] = field(default_factory=dict)
    anomalies: Mapping[str, int] = field(default_factory=dict)
    durations_of: str = ""

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        start_s, end_s = self.window_s
        return end_s - start_s


class Trace(Protocol):
    """Immutable arrivals with their source.

    ``chunks()`` may be called any number of times and always gives the same arrivals; it generates them lazily.
    ``n_arrivals`` is exact where it is known before generation, else an estimate (for progress bars).
    """

    @property
    def source(self) -> TraceSource:
        """Where it comes from."""
        ...

    @property
    def functions(self) -> Sequence[TraceFunction]:
        """Its functions; arrivals name them by index."""
        ...

    @property
    def duration_s(self) -> float:
        """Length of the window, s."""
        ...

    @property
    def n_arrivals(self) -> int:
        """Number of arrivals, or the nearest estimate."""
        ...

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order, a chunk at a time."""
        ...


@runtime_checkable
class ClosedTrace(Trace, Protocol):
    """A trace whose later arrivals follow from completions: ``chunks()`` gives those that don't wait for any."""

    def again(self, now_s: float, function: int) -> Sequence[tuple[float, int]]:
        """Arrivals (at_s, function), in order and not before now, that a reply received at ``now_s`` sets off.

        Called once for every invocation that ended, in order of ``now_s``; ``reset()`` comes before a run.
        """
        ...

    def reset(self) -> None:
        """Forget the replies of an earlier run, so that every run sees the same load."""
        ...
