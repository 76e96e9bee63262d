"""How the buffers of a graph lie in device memory, and what that counts for in ``sim.models.memory.BufferCache``."""

from __future__ import annotations

from dataclasses import dataclass

from sim.domain import Buffer, KernelGraph, Role
from sim.models.memory import BufferSet

ALIGNMENT_BYTES = 256  # of cudaMalloc (CUDA C++ Programming Guide, Device Memory Accesses), kept for every buffer


@dataclass(frozen=True, slots=True)
class Layout:
    """The buffers of a graph in two parts, each in order of first use.

    cached: constants, and inputs unless every invocation brings its own; they may stay between invocations.
    scratch: the rest, which an invocation has to itself and leaves without content.
    cached_set, scratch_set: their sizes, rounded up to ALIGNMENT_BYTES; ``load_upto`` has the exact bytes that are
        copied from the host. ``scratch_set.total_bytes`` is what BufferCache calls ``scratch_bytes``.
    """

    cached: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    cached_set: BufferSet
    scratch_set: BufferSet


def layout(graph: KernelGraph, fresh_inputs: bool) -> Layout:
    """Layout of a graph; ``fresh_inputs`` as in ``sim.domain.Function``."""
    roles = (Role.CONSTANT,) if fresh_inputs else (Role.CONSTANT, Role.INPUT)
    cached = tuple(b for b in graph.buffers if b.role in roles)
    scratch = tuple(b for b in graph.buffers if b.role not in roles)
    return Layout(cached, scratch, _sizes(cached), _sizes(scratch))


def aligned(n_bytes: int) -> int:
    """The next multiple of ALIGNMENT_BYTES."""
    return -(-n_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _sizes(buffers: tuple[Buffer, ...]) -> BufferSet:
    copied = (Role.CONSTANT, Role.INPUT)
    return BufferSet(
        [aligned(b.size_bytes) for b in buffers],
        [b.size_bytes if b.role in copied else 0 for b in buffers],
    )
