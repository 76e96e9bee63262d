"""Whether a graph can be launched: its description against the kernels' signatures and the limits of CUDA."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from typing import get_args

import numpy as np

from replay.errors import KernelError
from replay.kernels.arguments import FORMATS
from replay.kernels.limits import MAX_SHARED_BYTES
from replay.kernels.sources import check_launch, known_signatures
from sim.domain import Buffer, Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads.data import MAX_BLOCK, MAX_GRID, MAX_THREADS, Dtype
from sim.models.workloads.gemm import check_product

DTYPES = get_args(Dtype)


def check_graph(graph: KernelGraph) -> None:
    """Raise KernelError, with the kernel or buffer and the rule, unless the graph can be launched."""
    try:
        if not graph.kernels or graph.n_iter < 1:
            raise KernelError(f"{len(graph.kernels)} kernels, {graph.n_iter} times, must be at least 1 each")
        buffers: dict[str, Buffer] = {}
        for buffer in graph.buffers:
            _check_buffer(buffer, buffers)
            buffers[buffer.name] = buffer
        known = {source: known_signatures(source) for source in {k.source for k in graph.kernels}}
        for kernel in graph.kernels:
            check_launch(kernel, known[kernel.source])
            _check_kernel(kernel, buffers)
            check_product(kernel, buffers)
    except (KernelError, ScenarioError) as error:
        raise KernelError(f"graph {graph.name!r}: {error}") from None


def _check_buffer(buffer: Buffer, before: Mapping[str, Buffer]) -> None:
    if buffer.name in before:
        raise KernelError(f"buffer {buffer.name!r} is declared twice")
    if buffer.dtype not in DTYPES:
        raise KernelError(f"buffer {buffer.name!r} has the dtype {buffer.dtype!r}, must be one of {', '.join(DTYPES)}")
    item_bytes = np.dtype(buffer.dtype).itemsize
    if buffer.size_bytes <= 0 or buffer.size_bytes % item_bytes:
        raise KernelError(
            f"buffer {buffer.name!r} has {buffer.size_bytes} bytes, "
            f"must have a positive multiple of {item_bytes}, for {buffer.dtype}"
        )


def _check_kernel(kernel: Kernel, buffers: Mapping[str, Buffer]) -> None:
    where = f"kernel {kernel.source}.{kernel.name}"
    for what, shape, most in (("grid", kernel.grid, MAX_GRID), ("block", kernel.block, MAX_BLOCK)):
        if any(not 1 <= n <= m for n, m in zip(shape, most, strict=True)):
            raise KernelError(f"{where} has the {what} {shape}, must be from (1, 1, 1) to {most}")
    if prod(kernel.block) > MAX_THREADS:
        raise KernelError(f"{where} has {prod(kernel.block)} threads in a block, must be at most {MAX_THREADS}")
    if not 0 <= kernel.shared_bytes <= MAX_SHARED_BYTES:
        raise KernelError(f"{where} has {kernel.shared_bytes} shared bytes, must be from 0 to {MAX_SHARED_BYTES}")
    for code, value in kernel.literals:
        try:
            struct.pack(FORMATS[code], value)
        except (struct.error, OverflowError) as error:
            raise KernelError(f"{where} takes the literal {value!r} as {code!r}: {error}") from None
    for arg in kernel.args:
        buffer = buffers.get(arg.buffer)
        if buffer is None:
            raise KernelError(f"{where} takes the buffer {arg.buffer!r}, which the graph doesn't declare")
        if arg.direction is not Direction.IN and buffer.role in (Role.CONSTANT, Role.INPUT):
            raise KernelError(f"{where} writes {arg.buffer!r}, but it is {buffer.role.value}: it may only be read")
