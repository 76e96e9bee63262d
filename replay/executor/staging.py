"""The host side of a graph's buffers: pinned memory, allocated once, that copies to and from a device use."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy import ctypeslib  # else NumPy imports it at its first use: a cold start would pay for it elsewhere

from replay.device.seam import Device
from replay.errors import DeviceError, ReplayError
from replay.executor.constants import Array, Fill
from sim.domain import Buffer, Role
from sim.models.layout import Layout, aligned


class Slot(NamedTuple):
    """Room for a fresh input or an output; ``number`` is its place in ``Layout.scratch``."""

    number: int
    buffer: Buffer
    address: int
    view: Array


class Staging:
    """Pinned memory of one graph: its cached buffers as they lie in a block of device memory, then ``inputs`` (those
    that every invocation brings) and ``outputs``.

    fill: makes the content of constants and inputs. Raises DeviceError where so much can't be pinned.
    cached_address: of the cached buffers; buffer i is ``layout.cached_set.size_upto[i]`` bytes behind it.
    """

    def __init__(self, device: Device, graph: str, layout: Layout, fill: Fill) -> None:
        self._device = device
        self._graph = graph
        places, n_bytes = [], layout.cached_set.total_bytes
        for number, buffer in enumerate(layout.scratch):
            if buffer.role is not Role.TEMPORARY:
                places.append((number, buffer, n_bytes))
                n_bytes += aligned(buffer.size_bytes)
        self.cached_address = base = self._pin(max(n_bytes, 1))
        for buffer, at in zip(layout.cached, layout.cached_set.size_upto[:-1], strict=True):
            fill(_view(base + at, buffer), graph, buffer)
        slots = [Slot(number, b, base + at, _view(base + at, b)) for number, b, at in places]
        self.inputs = [s for s in slots if s.buffer.role is Role.INPUT]
        self.outputs = [s for s in slots if s.buffer.role is Role.OUTPUT]
        self._example = {s.buffer.name: np.empty_like(s.view) for s in self.inputs}
        for slot in self.inputs:
            fill(self._example[slot.buffer.name], graph, slot.buffer)

    def write_inputs(self, inputs: Mapping[str, Array] | None) -> None:
        """Take over the inputs of an invocation, by default the example; ReplayError unless they are the graph's."""
        given = self._example if inputs is None else inputs
        if given.keys() != self._example.keys():
            raise ReplayError(
                f"graph {self._graph!r}: inputs {sorted(given)} are given, but an invocation brings "
                f"{sorted(self._example) or 'none: its inputs are cached'}"
            )
        for slot in self.inputs:
            value = given[slot.buffer.name]
            if value.dtype != slot.view.dtype or value.size != slot.view.size:
                raise ReplayError(
                    f"graph {self._graph!r}: input {slot.buffer.name!r} has {value.size} x {value.dtype}, "
                    f"must have {slot.view.size} x {slot.view.dtype}"
                )
            slot.view[:] = value.ravel()

    def read_outputs(self) -> dict[str, Array]:
        """The outputs that were copied here last, flat, by name."""
        return {s.buffer.name: s.view.copy() for s in self.outputs}

    def free(self) -> None:
        """Give the memory back; nothing of it may be used any more."""
        self._device.runtime.freeHost(self.cached_address)

    def _pin(self, n_bytes: int) -> int:
        runtime = self._device.runtime
        try:
            address: int = runtime.hostAlloc(n_bytes, runtime.hostAllocDefault)
        except self._device.errors as error:
            raise DeviceError(
                f"graph {self._graph!r}: {n_bytes:,} B of host memory can't be pinned: {error}"
            ) from error
        return address


def _view(address: int, buffer: Buffer) -> Array:
    """The bytes of a buffer at an address, as a flat array of its type."""
    content = (ctypes.c_uint8 * buffer.size_bytes).from_address(address)
    return ctypeslib.as_array(content).view(buffer.dtype)
