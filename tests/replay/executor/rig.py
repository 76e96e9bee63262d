"""Devices that are watched, small graphs, and what they compute without an executor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from replay.device.seam import Device
from replay.executor.constants import fill
from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.models.workloads import bert, cgemm, jacobi, resnet50, sgemm
from tests.sim.models.workloads.device import Rig, empty


class Spy:
    """Counts the calls of a driver or runtime, and lets no copy within the device overlap itself."""

    def __init__(self, target, calls):
        self._target, self._calls = target, calls

    def __getattr__(self, name):
        attribute = getattr(self._target, name)
        if not callable(attribute) or isinstance(attribute, type):
            return attribute

        def call(*args):
            self._calls[name] += 1
            if name == "memcpyAsync" and args[3] == self._target.memcpyDeviceToDevice:
                assert abs(args[0] - args[1]) >= args[2], "CUDA doesn't define the copy of overlapping ranges"
            return attribute(*args)

        return call


def spied(device: Device) -> Device:
    """The device; ``calls_of`` counts its calls from now on."""
    calls = Counter()
    cublas = partial(_spied_library, device, calls)
    return replace(device, driver=Spy(device.driver, calls), runtime=Spy(device.runtime, calls), cublas=cublas)


def _spied_library(device, calls):
    return Spy(device.cublas(), calls)


def calls_of(device: Device) -> Counter:
    """How often each function of the device was called."""
    return device.driver._calls


GRAPHS = {
    g.name: g
    for g in (
        sgemm.build(n=48, name="sgemm48"),
        sgemm.build(n=96, name="sgemm96"),
        cgemm.build(m=20, k=64, n=40, name="cgemm"),
        jacobi.build(n=24, sweeps=80, name="jacobi"),  # enough to forget what memory held
        bert.build(layers=1, hidden=64, heads=1, sequence=16, vocabulary=50, name="bert"),
        resnet50.build(image=32, width=4, classes=10, name="resnet"),
    )
}


def one_kernel(constants=(), size_bytes=4 * 48 * 48, **changes) -> KernelGraph:
    """y = x W, with further constants that nobody reads; ``changes`` to the kernel."""
    buffers = (
        Buffer("x", size_bytes, Role.INPUT),
        Buffer("W", size_bytes, Role.CONSTANT),
        *(Buffer(f"extra{i}", n, Role.CONSTANT) for i, n in enumerate(constants)),
        Buffer("y", size_bytes, Role.OUTPUT),
    )
    kernel = Kernel(
        source="sgemm",
        name="sgemm",
        grid=(1, 1, 1),
        block=(128, 1, 1),
        literals=(("i", 48), ("i", 48), ("i", 48)),
        args=(BufferArg("x", Direction.IN), BufferArg("W", Direction.IN), BufferArg("y", Direction.OUT)),
    )
    return KernelGraph("one", (replace(kernel, **changes),), buffers)


def host_values(graph: KernelGraph, seed: int = 0) -> dict[str, np.ndarray]:
    """Constants and example inputs."""
    values = {b.name: empty(b) for b in graph.buffers if b.role in (Role.CONSTANT, Role.INPUT)}
    for buffer in graph.buffers:
        if buffer.name in values:
            fill(values[buffer.name], graph.name, buffer, seed)
    return values


@lru_cache
def expected(graph: KernelGraph, seed: int = 0) -> dict[str, np.ndarray]:
    """Outputs of the graph on its example inputs, by the plain runner: a buffer and a launch at a time."""
    return run_plainly(graph, host_values(graph, seed))


def run_plainly(graph, values):
    results = Rig(debug=False).run_graph(graph, values)
    return {b.name: results[b.name] for b in graph.buffers if b.role is Role.OUTPUT}


def assert_outputs(outputs, wanted):
    assert outputs.keys() == wanted.keys()
    for name, array in outputs.items():
        assert array.dtype == wanted[name].dtype
        # The residual of a solution is noise.
        tolerance = max(1e-4 * np.abs(wanted[name]).max(), 1e-9)
        np.testing.assert_allclose(array, wanted[name], rtol=1e-3, atol=tolerance, err_msg=name)
