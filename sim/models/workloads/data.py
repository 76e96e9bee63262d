"""Kernel graphs as plain data (for catalogue files) and back, exactly; strict about what it reads.

The format is described in ``docs/catalogue-format.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.models.workloads.fields import Fields, broken

DTYPES = (
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
INTEGER_RANGES = {"i": (-(2**31), 2**31 - 1), "Q": (0, 2**64 - 1)}
MAX_GRID = (2**31 - 1, 65_535, 65_535)  # CUDA C programming guide, compute capabilities
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024


def graph_to_dict(graph: KernelGraph) -> dict[str, Any]:
    """The graph as lists, mappings, strings and numbers; ``graph_from_dict`` gives it back, equal."""
    return {
        "name": graph.name,
        "n_iter": graph.n_iter,
        "buffers": [
            {
                "name": b.name,
                "size_bytes": b.size_bytes,
                "role": b.role.value,
                "dtype": b.dtype,
                "scale": b.scale,
            }
            for b in graph.buffers
        ],
        "kernels": [
            {
                "source": k.source,
                "name": k.name,
                "grid": list(k.grid),
                "block": list(k.block),
                "literals": [list(literal) for literal in k.literals],
                "args": [[a.buffer, a.direction.value] for a in k.args],
                "shared_bytes": k.shared_bytes,
                "flops": k.flops,
                "moved_bytes": k.moved_bytes,
            }
            for k in graph.kernels
        ],
    }


def graph_from_dict(data: object, where: str) -> KernelGraph:
    """The graph that ``data`` describes; ``where`` begins every error message (file and path of keys).

    Raises ScenarioError for a missing, unknown or ill-typed key, an unknown role, direction, literal or
    dtype, a size that isn't positive or no multiple of its dtype, a name used twice, and a buffer that isn't
    declared or isn't used.
    """
    fields = Fields(data, where)
    name = fields.text("name")
    n_iter = fields.integer("n_iter", 1, default=1)
    buffers = tuple(fields.items("buffers", _buffer))
    kernels = tuple(fields.items("kernels", _kernel))
    fields.done()
    _check_names(buffers, kernels, where)
    return KernelGraph(name, kernels, buffers, n_iter)


def _buffer(data: object, where: str) -> Buffer:
    fields = Fields(data, where)
    buffer = Buffer(
        name=fields.text("name"),
        size_bytes=fields.integer("size_bytes", 1),
        role=Role(fields.choice("role", [r.value for r in Role])),
        dtype=fields.choice("dtype", DTYPES, default="float32"),
        scale=fields.number("scale", default=1.0),
    )
    fields.done()
    dtype = np.dtype(buffer.dtype)
    if buffer.size_bytes % dtype.itemsize:
        raise broken(f"{where}.size_bytes", f"is {buffer.size_bytes}, but {dtype} needs a multiple of {dtype.itemsize}")
    if buffer.scale <= 0:
        raise broken(f"{where}.scale", f"is {buffer.scale}, but must be positive")
    return buffer


def _kernel(data: object, where: str) -> Kernel:
    fields = Fields(data, where)
    kernel = Kernel(
        source=fields.text("source"),
        name=fields.text("name"),
        grid=fields.dimensions("grid", MAX_GRID),
        block=fields.dimensions("block", MAX_BLOCK),
        args=tuple(fields.items("args", _arg)),
        literals=tuple(fields.items("literals", _literal, default=())),
        shared_bytes=fields.integer("shared_bytes", 0, default=0),
        flops=fields.integer("flops", 0, default=0),
        moved_bytes=fields.integer("moved_bytes", 0, default=0),
    )
    fields.done()
    if (threads := prod(kernel.block)) > MAX_THREADS:
        raise broken(f"{where}.block", f"has {threads} threads, but a block has at most {MAX_THREADS}")
    return kernel


def _arg(data: object, where: str) -> BufferArg:
    match data:
        case [str(buffer), ("in" | "out" | "inout") as direction]:
            return BufferArg(buffer, Direction(direction))
    raise broken(where, f"is {data!r}, but must be [buffer, in | out | inout]")


def _literal(data: object, where: str) -> tuple[str, float]:
    match data:
        case [("i" | "Q") as kind, int(value)] if not isinstance(value, bool):
            low, high = INTEGER_RANGES[kind]
            if not low <= value <= high:
                raise broken(where, f"is {data!r}, but {kind} goes from {low} to {high}")
            return kind, value
        case [("f" | "d") as kind, (int() | float()) as value] if not isinstance(value, bool):
            return kind, value
    raise broken(where, f"is {data!r}, but must be [i | Q, integer] or [f | d, number]")


def _check_names(buffers: Sequence[Buffer], kernels: Sequence[Kernel], where: str) -> None:
    """Every buffer is declared once, and used."""
    names = [b.name for b in buffers]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise broken(f"{where}.buffers[{i}].name", f"is {name!r}, as is buffers[{names.index(name)}].name")
    for i, kernel in enumerate(kernels):
        for j, arg in enumerate(kernel.args):
            if arg.buffer not in names:
                raise broken(f"{where}.kernels[{i}].args[{j}]", f"is {arg.buffer!r}, which isn't among the buffers")
    used = {a.buffer for k in kernels for a in k.args}
    for i, name in enumerate(names):
        if name not in used:
            raise broken(f"{where}.buffers[{i}].name", f"is {name!r}, which no kernel uses")
