"""The launches of a graph, prepared: one array of argument values and a tuple for each launch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from replay.executor.modules import Launcher
from replay.kernels.arguments import FORMATS, SLOT_BYTES
from sim.domain import KernelGraph

Launch = tuple[Callable[..., None], tuple[int, ...]]  # what launches, and its arguments, as of driver.launchKernel


class Plan:
    """The launches of one iteration of a graph that ``check_graph`` has accepted.

    All arguments lie in one array, as cuLaunchKernel takes them: a launch is a tuple that is the same for ever, and
    buffers at other addresses cost one assignment of NumPy for the whole graph.
    order: names of the buffers as ``place`` takes their addresses.
    """

    def __init__(self, graph: KernelGraph, order: Sequence[str]) -> None:
        self._graph = graph
        *self._starts, n_slots = accumulate((len(k.literals) + len(k.args) for k in graph.kernels), initial=0)
        self._values = np.zeros(n_slots, np.uint64)
        self._pointers = self._values.ctypes.data + SLOT_BYTES * np.arange(n_slots, dtype=np.uint64)
        index = {name: i for i, name in enumerate(order)}
        slots: list[int] = []  # of buffer arguments ...
        buffers: list[int] = []  # ... and which buffer each is
        for kernel, start in zip(graph.kernels, self._starts, strict=True):
            for slot, (code, value) in enumerate(kernel.literals, start):
                struct.pack_into(FORMATS[code], self._values.data, SLOT_BYTES * slot, value)
            slots += range(start + len(kernel.literals), start + len(kernel.literals) + len(kernel.args))
            buffers += [index[arg.buffer] for arg in kernel.args]
        self._slots, self._buffers = np.array(slots, np.intp), np.array(buffers, np.intp)

    def launches(self, function: Callable[[str, str], Launcher], stream: int) -> list[Launch]:
        """The launches of one iteration; ``function``: source and name of a kernel to how it is launched."""
        address = self._pointers.ctypes.data
        launches: list[Launch] = []
        for k, start in zip(self._graph.kernels, self._starts, strict=True):
            launch, handle = function(k.source, k.name)
            launches.append(
                (launch, (handle, *k.grid, *k.block, k.shared_bytes, stream, address + SLOT_BYTES * start, 0))
            )
        return launches

    def place(self, addresses: npt.NDArray[np.int64]) -> None:
        """Set the addresses of the buffers, for the launches that follow."""
        self._values[self._slots] = addresses[self._buffers]
