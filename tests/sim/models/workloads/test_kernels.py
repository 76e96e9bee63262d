"""Every layer kernel against NumPy, at odd shapes, with poisoned memory, guard pages and shuffled threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.models.workloads import bert, geometry, images, matrices
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.images import Rows
from sim.models.workloads.matrices import Matrix
from sim.models.workloads.ssd_mobilenet import detect
from tests.sim.models.workloads import reference
from tests.sim.models.workloads.device import Rig, fill

tiles = st.sampled_from([0, 10**9])  # minimal number of large tiles: always or never
schedules = st.integers(0, 5)
fuzz = settings(max_examples=60)


def run(g: GraphBuilder, schedule: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Float64 values of constants and inputs, and what the graph makes of them."""
    graph = g.finish()
    values = fill(graph)
    results = Rig(schedule=schedule).run_graph(graph, values)
    return {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in values.items()}, results


def close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected.ravel(), rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@fuzz
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
    channels=st.integers(1, 70),
    size=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
    relu=st.booleans(),
    residual=st.booleans(),
    large=tiles,
    schedule=schedules,
)
def test_conv(
    shape: tuple[int, int, int],
    channels: int,
    size: int,
    stride: int,
    relu: bool,
    residual: bool,
    large: int,
    schedule: int,
) -> None:
    out_h, out_w = ((n - 1) // stride + 1 for n in shape[1:])
    g = GraphBuilder("conv")
    x = images.input_map(g, "x", *shape)
    added = images.input_map(g, "added", channels, out_h, out_w) if residual else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "MIN_LARGE_TILES", large)
        y = images.conv(g, x, channels, size, "layer", stride=stride, relu=relu, residual=added)
    assert (y.channels, y.height, y.width) == (channels, out_h, out_w)
    values, results = run(g, schedule)
    image = values["x"].reshape(shape)
    expected = reference.conv(image, values["layer.weight"], values["layer.bias"], size, stride, size // 2)
    if added:
        expected += values["added"].reshape(expected.shape)
    close(results["temporary0"], reference.relu(expected) if relu else expected)


@pytest.mark.parametrize("large", [0, 10**9])
def test_conv_into_rows_leaves_the_other_rows_alone(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "MIN_LARGE_TILES", large)
    g = GraphBuilder("rows")
    x = images.input_map(g, "x", 5, 3, 4)
    y = g.temporary("y", 100)
    images.conv(g, x, 6, 3, "layer", relu=False, into=Rows(y, 10))
    values, results = run(g)
    expected = reference.conv(values["x"].reshape(5, 3, 4), values["layer.weight"], values["layer.bias"], 3, 1, 1)
    close(results["temporary0"][10:82], expected.transpose(1, 2, 0))
    untouched = np.r_[results["temporary0"][:10], results["temporary0"][82:]]
    assert np.isnan(untouched).all()  # the poison of fresh memory


@fuzz
@given(
    shape=st.tuples(st.integers(1, 140), st.integers(1, 140), st.integers(1, 70)),
    batch=st.integers(1, 3),
    gaps=st.tuples(*[st.integers(0, 5)] * 6),
    kind=st.sampled_from(["plain", "transposed", "bias"]),
    large=tiles,
    schedule=schedules,
)
def test_matmul(
    shape: tuple[int, int, int], batch: int, gaps: tuple[int, ...], kind: str, large: int, schedule: int
) -> None:
    m, n, k = shape
    b_shape = (n, k) if kind == "transposed" else (k, n)
    g = GraphBuilder("matmul")
    parts = {
        name: Matrix(name, columns + gap, offset, rows * (columns + gap) + 1)
        for name, (rows, columns), gap, offset in zip("abc", ((m, k), b_shape, (m, n)), gaps, gaps[3:], strict=False)
    }
    sizes = {name: p.offset + batch * p.step for name, p in parts.items()}
    for name in "ab":
        g.input(name, sizes[name])
    g.temporary("c", sizes["c"])
    bias = g.constant("bias", n, 1.0) if kind == "bias" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "MIN_LARGE_TILES", large)
        matrices.matmul(g, *parts.values(), shape, batch=batch, alpha=0.5, transpose_b=kind == "transposed", bias=bias)
    values, results = run(g, schedule)

    def views(array: np.ndarray, name: str, rows: int, columns: int) -> np.ndarray:
        p, word = parts[name], array.itemsize
        return np.lib.stride_tricks.as_strided(
            array[p.offset :], (batch, rows, columns), (p.step * word, p.pitch * word, word)
        )

    b = views(values["b"], "b", *b_shape)
    expected = 0.5 * views(values["a"], "a", m, k) @ (b.transpose(0, 2, 1) if kind == "transposed" else b)
    if bias:
        expected += values["bias"]
    c = results["temporary0"]
    close(views(c, "c", m, n).ravel(), expected)
    assert np.isnan(c).sum() == c.size - expected.size, "it wrote between the rows of c"


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 14), (5, 17, 6)])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_conv_and_max_pool(shape: tuple[int, int, int], stride: int) -> None:
    g = GraphBuilder("images")
    x = images.input_map(g, "x", *shape)
    images.depthwise_conv(g, x, 3, "depthwise", stride=stride)
    values, results = run(g)
    image = values["x"].reshape(shape)
    weight, bias = values["depthwise.weight"], values["depthwise.bias"]
    close(results["temporary0"], reference.depthwise_conv(image, weight, bias, 3, stride, 1))

    g = GraphBuilder("pool")
    images.max_pool(g, images.input_map(g, "x", *shape), 3, "pool", stride=stride)
    values, results = run(g)
    close(results["temporary0"], reference.max_pool(values["x"].reshape(shape), 3, stride, 1))


@pytest.mark.parametrize("shape", [(4, 1, 1), (18, 5, 7), (27, 11, 3)])
def test_pixel_shuffle(shape: tuple[int, int, int]) -> None:
    factor = 3 if shape[0] % 9 == 0 else 2
    g = GraphBuilder("shuffle")
    y = images.pixel_shuffle(g, images.input_map(g, "x", *shape), factor, "y")
    values, results = run(g)
    expected = reference.pixel_shuffle(values["x"].reshape(shape), factor)
    assert expected.shape == (y.channels, y.height, y.width)
    close(results["y"], expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (37, 7, 7)])
def test_global_average(shape: tuple[int, int, int]) -> None:
    g = GraphBuilder("average")
    images.global_average(g, images.input_map(g, "x", *shape), "mean")
    values, results = run(g)
    close(results["temporary0"], values["x"].reshape(shape).mean(axis=(1, 2)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 31), (5, 33), (9, 100)])
def test_rows(rows: int, columns: int) -> None:
    """linear, softmax, masked_softmax, add_layer_norm and bias_gelu."""
    g = GraphBuilder("rows")
    x = g.input("x", rows * columns)
    matrices.linear(g, x, rows, columns, 3, "linear", g.output("linear", 3 * rows))
    matrices.softmax(g, x, rows, columns, g.output("softmax", rows * columns))
    matrices.add_layer_norm(
        g, x, g.input("added", rows * columns), rows, columns, "norm", g.output("norm", rows * columns)
    )
    values, results = run(g)
    matrix, added = values["x"].reshape(rows, columns), values["added"].reshape(rows, columns)
    close(results["linear"], matrix @ values["linear.weight"].reshape(3, columns).T + values["linear.bias"])
    close(results["softmax"], reference.softmax(matrix))
    if columns > 1:  # of one column, the norm divides noise by almost nothing
        expected = reference.layer_norm(matrix + added + values["norm.bias"], values["norm.gamma"], values["norm.beta"])
        close(results["norm"], expected)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (3, 31), (5, 33), (9, 100)])
def test_rows_in_place(rows: int, columns: int) -> None:
    g = GraphBuilder("in place")
    x = images.input_map(g, "x", rows, 1, columns)
    weights = images.conv(g, x, rows, 1, "copy", relu=False)
    mask = g.input("mask", columns, 2, "int64")
    matrices.masked_softmax(g, weights.buffer, mask, rows, columns)
    values, results = run(g)
    image = values["x"].reshape(rows, 1, columns)
    copy = reference.conv(image, values["copy.weight"], values["copy.bias"], 1, 1, 0).reshape(rows, columns)
    softmax = reference.softmax(copy - 10_000 * (values["mask"] == 0))
    assert 0 < values["mask"].sum() < columns
    close(results["temporary0"], softmax)

    g = GraphBuilder("gelu")
    x = images.input_map(g, "x", rows, 1, columns)
    wide = images.conv(g, x, rows, 1, "copy", relu=False)
    matrices.bias_gelu(g, wide.buffer, rows, columns, "gelu")
    values, results = run(g)
    close(results["temporary0"], reference.gelu(copy + values["gelu.bias"]))


@pytest.mark.parametrize("schedule", range(4))
@pytest.mark.parametrize(("n", "classes", "keep"), [(1, 1, 3), (97, 2, 5), (700, 3, 60), (300, 1, 300)])
def test_detection(n: int, classes: int, keep: int, schedule: int) -> None:
    g = GraphBuilder("detection")
    scores, boxes = g.input("scores", n * (classes + 1)), g.input("boxes", 4 * n)
    detect(g, scores, boxes, (n, classes, keep))
    values, results = run(g, schedule)
    candidates = reference.decode(*(values[name].reshape(n, -1) for name in ("scores", "boxes", "anchors")))
    expected = reference.suppress(candidates, keep, 0.45, 0.01)
    assert (expected[:, 0] >= 0).any(), "nothing is detected"
    assert keep < n or (expected[:, 0] < 0).any(), "nothing is suppressed"
    close(results["detections"], expected)


@pytest.mark.parametrize("case", ["background", "no area"])
def test_detection_of_odd_boxes(case: str) -> None:
    n, keep = 40, 50
    g = GraphBuilder("detection")
    detect(g, g.input("scores", 3 * n), g.input("boxes", 4 * n), (n, 2, keep))
    graph = g.finish()
    values = fill(graph)
    if case == "background":
        values["scores"][::3] = 20
    else:
        values["anchors"].reshape(n, 4)[:, 2:] = -200  # their exponentials are 0
    found = Rig().run_graph(graph, values)["detections"].reshape(keep, 6)
    if case == "background":
        assert (found == -1).all(), "it reports boxes below the least score"
    else:
        assert len(np.unique(found[:n], axis=0)) == n, "boxes without area don't cover each other, nor come twice"
        assert (found[n:] == -1).all()


@pytest.mark.parametrize("wrong", [-1, 10, 2**40])
def test_ids_beyond_the_vocabulary_count_as_the_last(wrong: int) -> None:
    graph = bert.build(layers=1, hidden=33, heads=1, sequence=6, vocabulary=10, positions=6)
    values = fill(graph)
    values["ids"][2] = wrong
    results = Rig().run_graph(graph, values)
    values["ids"][2] = 9
    close(results["logits"], reference.bert(values, 1, 33, 1, 6))
