"""The hand-written ResNet-50 against the graph that the onnx package ships."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sim.models.workloads import resnet50

onnx = pytest.importorskip("onnx", reason="needs the onnx package and its light_resnet50.onnx")
MODEL = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"


def onnx_layers() -> tuple[Counter[tuple[int, ...]], tuple[int, ...]]:
    """How often each convolution (out channels, in channels, size, out height) stands there; shape of the classifier.

    Its weights are ConstantOfShape nodes; as inputs of that shape, they let shape inference go through.
    """
    from onnx import helper, numpy_helper, shape_inference

    model = onnx.load(MODEL)
    graph = model.graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = {n.output[0]: tuple(arrays[n.input[0]].tolist()) for n in graph.node if n.op_type == "ConstantOfShape"}
    kept = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(kept)
    known = {i.name for i in graph.input}
    graph.input.extend(helper.make_tensor_value_info(k, 1, s) for k, s in weights.items() if k not in known)
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.value_info}
    convolutions = Counter(
        (*w[:3], shapes[n.output[0]][2]) for n in kept if n.op_type == "Conv" for w in [weights[n.input[1]]]
    )
    (classifier,) = (weights[n.input[1]] for n in kept if n.op_type == "Gemm")
    return convolutions, classifier


def test_resnet50_has_the_shapes_of_onnx() -> None:
    convolutions, classifier = onnx_layers()
    ours: Counter[tuple[int, ...]] = Counter()
    for kernel in resnet50.build().kernels:
        literals = [value for _, value in kernel.literals]
        if kernel.source == "matmul":
            channels, _, _, out_channels, out_h, _, size = literals[:7]
            ours[int(out_channels), int(channels), int(size), int(out_h)] += 1
        elif kernel.name == "linear":
            assert tuple(literals[1:]) == classifier
    assert ours.total() == 53
    assert ours == convolutions
