"""Kernel graphs as plain data (for catalogue files) and back, exactly; strict about what it reads.

The format is described in ``docs/catalogue-format.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any, Literal

import numpy as np

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads.gemm import SOURCE, check_product
from sim.models.workloads.gemmdata import GemmData, gemm_to_dict
from sim.models.workloads.rules import require
from sim.schema import build
from sim.text import shown

Dtype = Literal[
    "float16", "float32", "float64", "complex64", "complex128",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip
INTEGER_RANGES = {"i": (-(2**31), 2**31 - 1), "Q": (0, 2**64 - 1)}
# CUDA C++ Programming Guide, technical specifications per compute capability
MAX_GRID = (2**31 - 1, 65_535, 65_535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class BufferData:
    """A buffer as it stands in a file."""

    name: str
    size_bytes: int
    role: Literal["constant", "input", "output", "temporary"]
    dtype: Dtype = "float32"
    scale: float = 1.0

    def __post_init__(self) -> None:
        item_bytes = np.dtype(self.dtype).itemsize
        whole = self.size_bytes > 0 and self.size_bytes % item_bytes == 0
        require(whole, "size_bytes", self.size_bytes, f"a positive multiple of {item_bytes}, for {self.dtype}")
        require(isfinite(self.scale) and self.scale > 0, "scale", self.scale, "positive and finite")

    def domain(self) -> Buffer:
        """The buffer."""
        return Buffer(self.name, self.size_bytes, Role(self.role), self.dtype, self.scale)


@dataclass(frozen=True, slots=True)
class KernelData:
    """A launch as it stands in a file; ``args`` and ``literals`` are pairs."""

    source: str
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    args: tuple[object, ...]
    literals: tuple[object, ...] = ()
    shared_bytes: int = 0
    flops: int = 0
    moved_bytes: int = 0

    def __post_init__(self) -> None:
        rule = "a .cu file; a product of a library has the key call instead"
        require(self.source != SOURCE, "source", self.source, rule)
        for key, most in (("grid", MAX_GRID), ("block", MAX_BLOCK)):
            size = getattr(self, key)
            fits = len(size) == 3 and all(1 <= n <= m for n, m in zip(size, most, strict=True))
            require(fits, key, list(size), f"three whole numbers from 1 to {list(most)}")
        require(prod(self.block) <= MAX_THREADS, "block", list(self.block), f"at most {MAX_THREADS} threads")
        for key in ("shared_bytes", "flops", "moved_bytes"):
            require(getattr(self, key) >= 0, key, getattr(self, key), "at least 0")
        self.domain()  # refuses wrong pairs

    def domain(self) -> Kernel:
        """The launch."""
        return Kernel(
            source=self.source,
            name=self.name,
            grid=(self.grid[0], self.grid[1], self.grid[2]),
            block=(self.block[0], self.block[1], self.block[2]),
            args=tuple(_arg(pair, f"args[{i}]") for i, pair in enumerate(self.args)),
            literals=tuple(_literal(pair, f"literals[{i}]") for i, pair in enumerate(self.literals)),
            shared_bytes=self.shared_bytes,
            flops=self.flops,
            moved_bytes=self.moved_bytes,
        )


@dataclass(frozen=True, slots=True)
class GraphData:
    """A graph as it stands in a file: every buffer is declared once, and used."""

    name: str
    buffers: tuple[BufferData, ...]
    kernels: tuple[KernelData | GemmData, ...]
    n_iter: int = 1

    def __post_init__(self) -> None:
        require(self.name != "", "name", self.name, "a name")
        require(self.n_iter >= 1, "n_iter", self.n_iter, "at least 1")
        require(len(self.kernels) >= 1, "kernels", [], "at least one launch")
        names = [b.name for b in self.buffers]
        launches = [k.domain() for k in self.kernels]
        used = {a.buffer for k in launches for a in k.args}
        for i, kernel in enumerate(launches):
            for j, arg in enumerate(kernel.args):
                key = f"{'abc'[j]}: buffer" if kernel.source == SOURCE else f"args[{j}]"
                require(arg.buffer in names, f"kernels[{i}]: {key}", arg.buffer, "the name of a buffer")
        for i, name in enumerate(names):
            require(name not in names[:i], f"buffers[{i}]: name", name, "different from those before it")
            require(name in used, f"buffers[{i}]: name", name, "used by a kernel")
        buffers = {b.name: b.domain() for b in self.buffers}
        for i, kernel in enumerate(launches):
            try:
                check_product(kernel, buffers)
            except ScenarioError as error:
                raise ScenarioError(f"kernels[{i}]: {error}") from None

    def domain(self) -> KernelGraph:
        """The graph."""
        kernels, buffers = tuple(k.domain() for k in self.kernels), tuple(b.domain() for b in self.buffers)
        return KernelGraph(self.name, kernels, buffers, self.n_iter)


def _arg(pair: object, where: str) -> BufferArg:
    match pair:
        case [str(buffer), ("in" | "out" | "inout") as direction]:
            return BufferArg(buffer, Direction(direction))
    raise ScenarioError(f"{where}: is {shown(pair)}, must be [buffer, in | out | inout]")


def _literal(pair: object, where: str) -> tuple[str, float]:
    match pair:
        case [("i" | "Q") as kind, int(value)] if not isinstance(value, bool):
            low, high = INTEGER_RANGES[kind]
            require(low <= value <= high, where, value, f"from {low} to {high} for the type {kind}")
            return kind, value
        case [("f" | "d") as kind, (int() | float()) as value] if not isinstance(value, bool):
            return kind, value
    raise ScenarioError(f"{where}: is {shown(pair)}, must be [i | Q, whole number] or [f | d, number]")


def graph_from_dict(data: object, where: str) -> KernelGraph:
    """The graph that ``data`` describes, as ``graph_to_dict`` makes it; keys with defaults may be left out.

    Raises ScenarioError, which begins with ``where`` (as a file) and the path of the key, for whatever doesn't
    make a graph that can be launched: see docs/catalogue-format.md.
    """
    return build(GraphData, data, where).domain()


def graph_to_dict(graph: KernelGraph) -> dict[str, Any]:
    """The graph as lists, mappings, strings and numbers; ``graph_from_dict`` gives it back, equal."""
    return {
        "name": graph.name,
        "n_iter": graph.n_iter,
        "buffers": [
            {"name": b.name, "size_bytes": b.size_bytes, "role": b.role.value, "dtype": b.dtype, "scale": b.scale}
            for b in graph.buffers
        ],
        "kernels": [gemm_to_dict(k) if k.source == SOURCE else _kernel_to_dict(k) for k in graph.kernels],
    }


def _kernel_to_dict(kernel: Kernel) -> dict[str, Any]:
    return {
        "source": kernel.source,
        "name": kernel.name,
        "grid": list(kernel.grid),
        "block": list(kernel.block),
        "literals": [list(literal) for literal in kernel.literals],
        "args": [[a.buffer, a.direction.value] for a in kernel.args],
        "shared_bytes": kernel.shared_bytes,
        "flops": kernel.flops,
        "moved_bytes": kernel.moved_bytes,
    }
