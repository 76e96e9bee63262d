"""How the buffers of a graph lie in device memory, and what that counts for in ``sim.models.memory.BufferCache``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sim.domain import Buffer, KernelGraph, Role
from sim.models.buffers import BufferSet

ALIGNMENT_BYTES = 256  # of cudaMalloc (CUDA C++ Programming Guide, Device Memory Accesses); replay keeps it everywhere


@dataclass(frozen=True, slots=True)
class Layout:
    """The buffers of a graph in two parts, each in order of first use.

    cached: constants, and inputs unless every invocation brings its own; they may stay between invocations.
    scratch: the rest, which an invocation has to itself and leaves without content.
    cached_set, scratch_set: their sizes, rounded up to the alignment; ``load_upto`` has the exact bytes that are
        copied from the host. ``scratch_set.total_bytes`` is what BufferCache calls ``scratch_bytes``.
    """

    cached: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    cached_set: BufferSet
    scratch_set: BufferSet


def layout(
    graph: KernelGraph,
    fresh_inputs: bool,
    *,
    alignment_bytes: int = ALIGNMENT_BYTES,
    caches_temporaries: bool = False,
) -> Layout:
    """Layout of a graph; ``fresh_inputs`` as in ``sim.domain.Function``.

    ``caches_temporaries``: temporaries and outputs stay too, as the KaaS executor of the paper has it.
    """
    roles = {Role.CONSTANT}
    if not fresh_inputs:
        roles.add(Role.INPUT)
    if caches_temporaries:
        roles |= {Role.OUTPUT, Role.TEMPORARY}
    cached = tuple(b for b in graph.buffers if b.role in roles)
    scratch = tuple(b for b in graph.buffers if b.role not in roles)
    return Layout(cached, scratch, _sizes(cached, alignment_bytes), _sizes(scratch, alignment_bytes))


def aligned(n_bytes: int, alignment_bytes: int = ALIGNMENT_BYTES) -> int:
    """The next multiple of the alignment."""
    return -(-n_bytes // alignment_bytes) * alignment_bytes


def _sizes(buffers: Iterable[Buffer], alignment_bytes: int) -> BufferSet:
    copied = (Role.CONSTANT, Role.INPUT)
    sizes = [(aligned(b.size_bytes, alignment_bytes), b.size_bytes if b.role in copied else 0) for b in buffers]
    return BufferSet([size for size, _ in sizes], [load for _, load in sizes])
