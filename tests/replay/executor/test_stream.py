"""Moves within the device, and what constants hold."""

import ctypes

import numpy as np
import pytest

from replay.executor.constants import fill
from replay.executor.stream import DeviceStream
from sim.domain import Buffer, Role
from tests.replay.executor.rig import calls_of


@pytest.mark.parametrize("n_bytes", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("distance", [1, 16, 63, 64, 65, 300, 1000, 2000])
def test_moves_that_overlap_keep_the_content(device, n_bytes, distance):
    """The rig refuses copies that overlap; here the bounce buffer has 64 bytes."""
    runtime = device.runtime
    memory, bounce = runtime.malloc(distance + n_bytes), runtime.malloc(64)
    host = runtime.hostAlloc(2 * n_bytes, 0)
    stream = DeviceStream(device, 0, bounce, 64)
    content = np.random.default_rng(n_bytes).integers(0, 256, n_bytes, np.uint8)
    view = np.ctypeslib.as_array((ctypes.c_uint8 * (2 * n_bytes)).from_address(host))
    view[:n_bytes] = content
    stream.upload(memory + distance, host, n_bytes)
    stream.move(memory, memory + distance, n_bytes)
    stream.download(host + n_bytes, memory, n_bytes)
    stream.synchronize()
    assert (view[n_bytes:] == content).all()
    assert calls_of(device)["memcpyAsync"] <= 2 + 2 * -(-n_bytes // 64)
    stream.close()
    for address in (memory, bounce):
        runtime.free(address)
    runtime.freeHost(host)


N = 20_000


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_floats_are_normal_with_the_scale_of_the_buffer(dtype):
    out = np.empty(N, dtype)
    fill(out, "graph", Buffer("b", out.nbytes, Role.CONSTANT, dtype, scale=3.0), seed=1)
    wide = out.astype(np.complex128)
    assert abs(wide.mean()) < 0.1
    assert np.sqrt((abs(wide) ** 2).mean()) == pytest.approx(3.0, rel=0.03)
    if out.dtype.kind == "c":
        assert wide.real.std() == pytest.approx(wide.imag.std(), rel=0.05)


def test_large_constants_are_filled_to_the_end_without_repeating_rows():
    out = np.full((1024, 2048), np.nan, np.float32)
    fill(out.reshape(-1), "graph", Buffer("b", out.nbytes, Role.CONSTANT), seed=1)
    assert np.isfinite(out).all()
    assert len(np.unique(out[:, 0])) > 1000


@pytest.mark.parametrize(("dtype", "scale", "most"), [("int32", 7, 6), ("uint8", 256, 255), ("int64", 1, 0)])
def test_integers_are_uniform_below_the_scale(dtype, scale, most):
    out = np.empty(N, dtype)
    fill(out, "graph", Buffer("b", out.nbytes, Role.INPUT, dtype, scale), seed=1)
    values, counts = np.unique(out, return_counts=True)
    assert (values[0], values[-1], len(values)) == (0, most, most + 1)
    assert counts.min() > 0.5 * N / (most + 1)


def test_content_depends_on_seed_graph_and_buffer_only():
    def content(seed=1, graph="graph", name="b"):
        out = np.empty(8, np.float32)
        fill(out, graph, Buffer(name, out.nbytes, Role.CONSTANT), seed)
        return out.tolist()

    assert content() == content()
    assert len({tuple(c) for c in (content(), content(seed=2), content(graph="other"), content(name="c"))}) == 4
