"""Super-resolution by sub-pixel convolution (Shi et al., CVPR 2016), as in the ONNX model zoo: 5 kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.images import conv, input_map, pixel_shuffle


def build(*, image: int = 224, width: int = 64, factor: int = 3, name: str = "superres") -> KernelGraph:
    """Graph that enlarges one channel of image x image pixels by ``factor`` in both directions.

    True shapes: 238,628 B of constants, 200,704 B in, 1,806,336 B out, 5.970 GFLOP.
    """
    g = GraphBuilder(name)
    x = conv(g, input_map(g, "image", 1, image, image), width, 5, "conv1")
    x = conv(g, x, width, 3, "conv2")
    x = conv(g, x, width // 2, 3, "conv3")
    x = conv(g, x, factor**2, 3, "conv4", relu=False, gain=1.0)
    pixel_shuffle(g, x, factor, "enlarged")
    return g.finish()
