"""ResNet-50 v1.5: He et al., CVPR 2016, strides in the 3x3 convolutions, batch norm folded; 57 kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.images import Conv, Map, conv, global_average, input_map, max_pool
from sim.models.workloads.matrices import linear, softmax


def build(
    *,
    image: int = 224,
    width: int = 64,
    blocks: tuple[int, ...] = (3, 4, 6, 3),
    classes: int = 1000,
    conv: Conv = conv,
    name: str = "resnet50",
) -> KernelGraph:
    """Graph of a classifier of image x image pixels: ``blocks`` bottlenecks a stage, ``width`` wide at first.

    True shapes: 102,121,888 B of constants, 602,112 B in, 4,000 B out, 8.178 GFLOP.
    """
    g = GraphBuilder(name)
    x = conv(g, input_map(g, "image", 3, image, image), width, 7, "stem", stride=2)
    x = max_pool(g, x, 3, "pool", stride=2)
    for stage, n in enumerate(blocks):
        for block in range(n):
            stride = 2 if block == 0 and stage > 0 else 1
            x = _bottleneck(g, conv, x, width << stage, stride, block == 0, f"stage{stage}.block{block}")
    mean = global_average(g, x, "mean")
    logits, scores = g.temporary("logits", classes), g.output("scores", classes)
    linear(g, mean, 1, x.channels, classes, "classifier", logits)
    softmax(g, logits, 1, classes, scores)
    return g.finish()


def _bottleneck(g: GraphBuilder, conv: Conv, x: Map, width: int, stride: int, project: bool, name: str) -> Map:
    """relu(shortcut + branch); the branch's last layer has a small gain, so that 16 sums don't explode."""
    y = conv(g, x, width, 1, f"{name}.reduce")
    y = conv(g, y, width, 3, f"{name}.spatial", stride=stride)
    if project:
        x = conv(g, x, 4 * width, 1, f"{name}.project", stride=stride, relu=False, gain=1.0)
    return conv(g, y, 4 * width, 1, f"{name}.expand", residual=x, gain=0.25)
