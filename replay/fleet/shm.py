"""What graphs compute on, in shared memory: constants and inputs, made once and read by every worker.

The memory has no name (memfd_create, Linux 3.17): a worker gets it as an open file, and it is gone with the last
process that has it, however that ends. To a worker it is what a store of objects on the same machine would be:
constants are read from warm memory, so that a cold start pays for copies to the device and not for a disk.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from replay.executor.constants import Array, Fill, fill
from sim.domain import Buffer, KernelGraph, Role

ALIGNMENT = 4096  # a page, so that a worker can pin single buffers


class Place(NamedTuple):
    """Where a buffer lies: ``n`` values of ``dtype`` from byte ``offset`` on."""

    offset: int
    n: int
    dtype: str


Places = Mapping[str, Mapping[str, Place]]  # by graph and buffer


def lay_out(graphs: Iterable[KernelGraph]) -> tuple[dict[str, dict[str, Place]], int]:
    """A place for each constant and input of each graph, and the total bytes."""
    places: dict[str, dict[str, Place]] = {}
    end = 0
    for graph in graphs:
        places[graph.name] = {}
        for buffer in _filled(graph):
            n = buffer.size_bytes // np.dtype(buffer.dtype).itemsize
            places[graph.name][buffer.name] = Place(end, n, buffer.dtype)
            end += -(-buffer.size_bytes // ALIGNMENT) * ALIGNMENT
    return places, end


class SharedData:
    """The data of graphs, as ``replay.executor.constants.fill`` draws them from the seed.

    fd: the open file to hand to workers; ``close()`` gives it back.
    """

    def __init__(self, graphs: Iterable[KernelGraph], seed: int) -> None:
        graphs = list(graphs)
        self.places, size_bytes = lay_out(graphs)
        self.fd = os.memfd_create("replay-data")
        os.ftruncate(self.fd, max(size_bytes, ALIGNMENT))
        arrays = map_data(self.fd, self.places, writable=True)
        for graph in graphs:
            for buffer in _filled(graph):
                fill(arrays[graph.name][buffer.name], graph.name, buffer, seed)

    def close(self) -> None:
        """Let go of the memory; workers keep what they have mapped."""
        os.close(self.fd)


def map_data(fd: int, places: Places, *, writable: bool = False) -> dict[str, dict[str, Array]]:
    """Arrays over shared memory, by graph and buffer; they keep it mapped."""
    memory = mmap.mmap(fd, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    return {
        graph: {name: np.frombuffer(memory, p.dtype, p.n, p.offset) for name, p in buffers.items()}
        for graph, buffers in places.items()
    }


def reader(fd: int, places: Places) -> Fill:
    """What gives an executor its constants and inputs from shared memory."""
    arrays = map_data(fd, places)

    def fill(out: Array, graph: str, buffer: Buffer) -> None:
        out[:] = arrays[graph][buffer.name]

    return fill


def _filled(graph: KernelGraph) -> Iterator[Buffer]:
    return (b for b in graph.buffers if b.role in (Role.CONSTANT, Role.INPUT))
