"""Append launches and declare buffers, so that a workload's builder reads like its layer table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.models.workloads.geometry import Size
from sim.models.workloads.recycle import recycle

FLOAT_BYTES = 4
BIAS_SCALE = 0.1
GAMMA_SCALE = 0.1  # of layer norm, stored less 1 (NVIDIA NeMo's LayerNorm1P), so that zero-mean noise is a fair fill


def fan_in_scale(fan_in: int, gain: float = 1.0) -> float:
    """Standard deviation of weights that multiplies a layer's second moment by ``gain``.

    ``gain`` 2 before a ReLU keeps activations level (He et al., ICCV 2015, equation 10).
    """
    return float(np.sqrt(gain / fan_in))


class GraphBuilder:
    """Collects the kernels of one graph in launch order and the buffers that they use.

    Temporaries are recycled when the graph is finished: two whose lives don't overlap share one buffer, as
    the KaaS authors do since July 2022 (kaasBenchmarks). So they take their peak, not their sum.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._buffers: dict[str, Buffer] = {}
        self._kernels: list[Kernel] = []

    def constant(self, name: str, n: int, scale: float, dtype: str = "float32") -> str:
        """Declare a constant of ``n`` elements of a NumPy ``dtype``; returns its name, as other declarations do."""
        return self._declare(name, n, Role.CONSTANT, scale, dtype)

    def input(self, name: str, n: int, scale: float = 1.0, dtype: str = "float32") -> str:
        """Declare an input of ``n`` elements of a NumPy ``dtype``."""
        return self._declare(name, n, Role.INPUT, scale, dtype)

    def output(self, name: str, n: int) -> str:
        """Declare an output of ``n`` floats."""
        return self._declare(name, n, Role.OUTPUT)

    def temporary(self, name: str, n: int, dtype: str = "float32") -> str:
        """Declare an intermediate result of ``n`` elements of a NumPy ``dtype``; its name doesn't survive recycling."""
        return self._declare(name, n, Role.TEMPORARY, dtype=dtype)

    def dtype_of(self, name: str) -> str:
        """NumPy's name of the type of a buffer's elements."""
        return self._buffers[name].dtype

    def _declare(self, name: str, n: int, role: Role, scale: float = 1.0, dtype: str = "float32") -> str:
        if name in self._buffers:
            raise ValueError(f"graph {self.name}: buffer {name!r} is declared twice")
        self._buffers[name] = Buffer(name, n * np.dtype(dtype).itemsize, role, dtype, scale)
        return name

    def launch(
        self,
        kernel: str,
        grid: Size,
        block: Size,
        literals: Sequence[int | float],
        *,
        reads: Sequence[str] = (),
        updates: Sequence[str] = (),
        writes: Sequence[str] = (),
        flops: int = 0,
        moved_bytes: int | None = None,
    ) -> None:
        """Append a launch of ``kernel`` ("source:name").

        Its arguments are the literals (int -> int32, float -> float32), then the buffers that it reads,
        updates in place and writes, in this order. ``moved_bytes`` is the sum of its buffers unless it
        touches only a part of one.
        """
        source, name = kernel.split(":")
        args = [BufferArg(b, Direction.IN) for b in reads]
        args += [BufferArg(b, Direction.INOUT) for b in updates]
        args += [BufferArg(b, Direction.OUT) for b in writes]
        if moved_bytes is None:
            moved_bytes = sum(self._buffers[a.buffer].size_bytes for a in args)
            moved_bytes += sum(self._buffers[b].size_bytes for b in updates)  # read and written
        values = tuple(("i" if isinstance(v, int) else "f", v) for v in literals)
        self.add(Kernel(source, name, grid, block, tuple(args), values, flops=flops, moved_bytes=moved_bytes))

    def add(self, kernel: Kernel) -> None:
        """Append a launch that was described elsewhere."""
        self._kernels.append(kernel)

    def finish(self) -> KernelGraph:
        """The graph, with its temporaries recycled and its buffers in order of first use."""
        used = dict.fromkeys(a.buffer for k in self._kernels for a in k.args)
        if unused := self._buffers.keys() - used:
            raise ValueError(f"graph {self.name}: no kernel uses buffer {min(unused)!r}")
        placed = self._buffers | recycle(self._kernels, self._buffers)
        kernels = tuple(
            replace(k, args=tuple(BufferArg(placed[a.buffer].name, a.direction) for a in k.args)) for k in self._kernels
        )
        buffers = {placed[name].name: placed[name] for name in used}
        return KernelGraph(self.name, kernels, tuple(buffers.values()))
