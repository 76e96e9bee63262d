"""Products by a library: against NumPy at odd places and shapes, what they cost, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.errors import KernelError
from replay.kernels.check import check_graph
from sim.domain import Buffer, Direction, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads import images, products
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.data import graph_from_dict, graph_to_dict
from sim.models.workloads.gemm import Gemm
from sim.models.workloads.matrices import Matrix
from tests.sim.models.workloads import reference
from tests.sim.models.workloads.device import Rig, fill

ROUNDING = {"float32": 2.0**-23, "float16": 2.0**-10}

sizes = st.integers(1, 17)
gaps = st.integers(0, 3)


@st.composite
def gemms(draw: st.DrawFn) -> Gemm:
    m, n, k, batch = (draw(sizes) for _ in range(4))
    transpose = draw(st.booleans()), draw(st.booleans())
    shapes = ((k, m) if transpose[0] else (m, k), (n, k) if transpose[1] else (k, n), (m, n))
    places = []
    for name, (rows, columns) in zip("abc", shapes, strict=True):
        pitch = columns + draw(gaps)
        step = rows * pitch + draw(gaps)
        if name == "c" and draw(st.booleans()):  # side by side, as the heads of a transformer
            step = columns + draw(gaps)
            pitch = batch * step
        places.append(Matrix(name, pitch, draw(gaps), 0 if name != "c" and draw(st.booleans()) else step))
    dtype = draw(st.sampled_from(["float32", "float16"]))
    alpha, beta = (draw(st.sampled_from([0.0, 1.0, -0.5, 3.0])) for _ in range(2))
    a, b, c = places
    return Gemm(dtype, (m, n, k), a, b, c, draw(st.sampled_from([dtype, "float32"])), batch, transpose, alpha, beta)


def size_of(its: Gemm, name: str) -> int:
    """Numbers that a buffer must have."""
    place, (rows, columns) = getattr(its, name), its.stored()[name]
    end: int = place.offset + (its.batch - 1) * place.step + (rows - 1) * place.pitch + columns
    return end


def graph_of(its: Gemm) -> KernelGraph:
    """A graph that multiplies once; c is a copy of an input first, so that beta has something to take."""
    bytes_of = {"float32": 4, "float16": 2}
    buffers = [Buffer(n, bytes_of[its.dtype] * size_of(its, n), Role.INPUT, its.dtype) for n in "ab"]
    buffers.append(Buffer("c", bytes_of[its.out] * size_of(its, "c"), Role.OUTPUT, its.out))
    return KernelGraph("product", (its.kernel(),), tuple(buffers))


def places_of(its: Gemm, name: str) -> np.ndarray[Any, Any]:
    """Index in its buffer of every number of a, b or c: batch x rows x columns."""
    place, (rows, columns) = getattr(its, name), its.stored()[name]
    i, r, c = np.ogrid[: its.batch, :rows, :columns]
    found: np.ndarray[Any, Any] = place.offset + i * place.step + r * place.pitch + c
    return found


@settings(max_examples=150, deadline=None)
@given(gemms())
def test_a_product_is_that_of_numpy_and_touches_nothing_else(its: Gemm) -> None:
    graph, rng = graph_of(its), np.random.default_rng(0)
    check_graph(graph)
    before = {b.name: rng.normal(size=size_of(its, b.name)).astype(b.dtype) for b in graph.buffers}
    rig = Rig()
    pointers = {name: rig.runtime.malloc(a.nbytes) for name, a in before.items()}
    for name, array in before.items():
        rig.runtime.memcpy(pointers[name], array.ctypes.data, array.nbytes, rig.runtime.memcpyHostToDevice)
    rig.launch(graph.kernels[0], pointers)
    after = np.empty_like(before["c"])
    rig.runtime.memcpy(after.ctypes.data, pointers["c"], after.nbytes, rig.runtime.memcpyDeviceToHost)
    a, b, c = (before[name].astype(np.float64)[places_of(its, name)] for name in "abc")
    a, b = (x.transpose(0, 2, 1) if t else x for x, t in zip((a, b), its.transpose, strict=True))
    expected = before["c"].astype(np.float64)
    expected[places_of(its, "c")] = its.alpha * (a @ b) + its.beta * c
    terms = abs(its.alpha) * (np.abs(a) @ np.abs(b)).max() + abs(its.beta) * np.abs(c).max()
    np.testing.assert_allclose(after, expected, rtol=0, atol=ROUNDING[its.out] * (terms + 1) * 4)
    untouched = np.setdiff1d(np.arange(after.size), places_of(its, "c"))
    np.testing.assert_array_equal(after[untouched], before["c"][untouched])


def test_beta_zero_never_reads_the_result() -> None:
    """Fresh memory is poisoned with what isn't a number, of which nothing may be left."""
    its = Gemm("float32", (3, 4, 5), Matrix("a", 5), Matrix("b", 4), Matrix("c", 4), "float32")
    values = fill(graph_of(its))
    assert np.isfinite(Rig().run_graph(graph_of(its), values)["c"]).all()


@given(gemms())
def test_a_product_comes_back_equal_from_a_launch_and_from_a_file(its: Gemm) -> None:
    assert Gemm.of(its.kernel()) == its
    graph = graph_of(its)
    assert graph_from_dict(json.loads(json.dumps(graph_to_dict(graph))), "file") == graph


def plain(shape: tuple[int, int, int], **more: Any) -> Gemm:
    """A dense product."""
    _, n, k = shape
    given = {"dtype": "float32", "out": "float32", "a": Matrix("a", k), "b": Matrix("b", n), "c": Matrix("c", n)}
    return Gemm(shape=shape, **(given | more))


def test_work_by_hand() -> None:
    kernel = plain((2, 3, 5)).kernel()
    assert (kernel.flops, kernel.moved_bytes) == (2 * 2 * 3 * 5, 4 * (2 * 5 + 5 * 3 + 2 * 3))
    assert [a.direction for a in kernel.args] == [Direction.IN, Direction.IN, Direction.OUT]
    half = plain((2, 3, 5), dtype="float16", beta=1.0).kernel()
    assert half.moved_bytes == 2 * (2 * 5 + 5 * 3) + 4 * 2 * 2 * 3, "a result in float32 is read and written"
    assert half.args[2].direction is Direction.INOUT
    shared = plain((2, 3, 5), batch=7, a=Matrix("a", 5, step=10), c=Matrix("c", 3, step=6)).kernel()
    assert shared.flops == 7 * kernel.flops
    assert shared.moved_bytes == 4 * (7 * 2 * 5 + 5 * 3 + 7 * 2 * 3), "b is shared by the batch"


@pytest.mark.parametrize(
    ("shape", "batch", "n_pieces"),
    [
        ((64, 64, 32), 1, 1),
        ((65, 64, 32), 1, 2),
        ((384, 1024, 1024), 1, 6 * 16 * 32),
        ((384, 384, 64), 16, 16 * 6 * 6 * 2),
    ],
)
def test_pieces_that_a_library_is_taken_to_share_out(shape: tuple[int, int, int], batch: int, n_pieces: int) -> None:
    m, n, _ = shape
    assert plain(shape, batch=batch, c=Matrix("c", n, step=m * n)).kernel().grid == (n_pieces, 1, 1)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "float64", "out": "float64"}, "dtype: is 'float64', must be one of float32, float16"),
    ({"out": "float16"}, "out: is 'float16', must be float32, where a and b are of float32"),
    ({"shape": (2, 0, 5)}, "shape: is [2, 0, 5], must be whole numbers from 1 to 2147483647"),
    ({"batch": 0}, "batch: is 0, must be from 1 to 2147483647"),
    ({"alpha": inf}, "alpha: is inf, must be finite"),
    ({"a": Matrix("a", 4)}, "a: pitch: is 4, must be from 5, its columns, to 2147483647"),
    ({"b": Matrix("b", 3, -1)}, "b: offset: is -1, must be from 0 to 2147483647"),
    ({"c": Matrix("a", 3)}, "c: buffer: is 'a', must be another than a and b"),
    ({"batch": 2}, "c: step: is 0, must be such that no two results overlap"),
    ({"batch": 2, "c": Matrix("c", 3, step=5)}, "c: step: is 5, must be such that no two results overlap"),
    ({"batch": 3, "c": Matrix("c", 8, step=3)}, "c: step: is 3, must be such that no two results overlap"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_the_library_can_not_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(message)):
        replace(plain((2, 3, 5)), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size_bytes": 20}, "c: buffer: is 'c', must be a buffer of at least 24 bytes, but it has 20"),
        ({"dtype": "int32"}, "c: buffer: is 'c', must be a buffer of float32, but it is of int32"),
    ],
)
def test_buffers_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    graph = graph_of(plain((2, 3, 5)))
    wrong = replace(graph, buffers=(*graph.buffers[:2], replace(graph.buffers[2], **change)))
    with pytest.raises(KernelError, match=re.escape(f"graph 'product': {message}")):
        check_graph(wrong)
    with pytest.raises(ScenarioError, match=re.escape(f"file: kernels[0]: {message}")):
        graph_from_dict(graph_to_dict(wrong), "file")


@pytest.mark.parametrize("change", [{"flops": 1}, {"grid": (2, 1, 1)}, {"name": "gemm_int8"}, {"literals": ()}])
def test_a_launch_that_was_not_made_from_a_product(change: dict[str, Any]) -> None:
    graph = graph_of(plain((2, 3, 5)))
    with pytest.raises(KernelError):
        check_graph(replace(graph, kernels=(replace(graph.kernels[0], **change),)))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)),
    channels=st.integers(1, 20),
    size=st.sampled_from([1, 3, 7]),
    stride=st.integers(1, 3),
    relu=st.booleans(),
    residual=st.booleans(),
)
def test_a_convolution_by_the_library(
    shape: tuple[int, int, int], channels: int, size: int, stride: int, relu: bool, residual: bool
) -> None:
    out_h, out_w = ((n - 1) // stride + 1 for n in shape[1:])
    g = GraphBuilder("conv")
    x = images.input_map(g, "x", *shape)
    added = images.input_map(g, "added", channels, out_h, out_w) if residual else None
    products.conv(g, x, channels, size, "layer", stride=stride, relu=relu, residual=added)
    graph = g.finish()
    values = fill(graph)
    v = {name: array.astype(np.float64) for name, array in values.items()}
    expected = reference.conv(v["x"].reshape(shape), v["layer.weight"], v["layer.bias"], size, stride, size // 2)
    if residual:
        expected += v["added"].reshape(expected.shape)
    expected = reference.relu(expected) if relu else expected
    result = Rig().run_graph(graph, values)[graph.kernels[-1].args[-1].buffer][: expected.size]
    np.testing.assert_allclose(result, expected.ravel(), rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


def test_rounding_to_float16_is_that_of_numpy() -> None:
    """Every float16, what lies half way to the next, and a bit beside that."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    x = np.concatenate([halves, *((halves.view(np.uint32) + d).view(np.float32) for d in (0xFFF, 0x1000, 0x1001))])
    tiny = np.arange(-(2**12), 2**12, dtype=np.float32) * np.float32(2.0**-26)
    x = np.concatenate([x, tiny, np.array([65519, 65520, 1e30, np.inf, -np.inf, np.nan], np.float32)])
    g = GraphBuilder("rounded")
    given_x, y = g.input("x", x.size), g.temporary("y", x.size, "float16")
    g.launch("blas:to_half", (-(-x.size // 256), 1, 1), (256, 1, 1), (x.size,), reads=(given_x,), writes=(y,))
    result = Rig().run_graph(g.finish(), {"x": x})["temporary0"]
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(result, expected)  # also where neither is a number
