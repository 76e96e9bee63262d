"""SSD-512 on MobileNet-1.0 (Liu et al., ECCV 2016; Howard et al., 2017) with GluonCV's layers: 49 kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.geometry import thread_per
from sim.models.workloads.images import Map, Rows, conv, depthwise_conv, input_map

# (channels at width 1, stride) of the depthwise-separable convolutions; SSD looks at the results of 10 and 12
SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
LOOKED_AT = (10, 12)
EXTRAS = (512, 512, 256, 256)  # channels of the further, ever coarser maps
ANCHORS = (4, 6, 6, 6, 4, 4)  # a pixel of each of the six maps
MAX_OVERLAP = 0.45  # suppress a box that shares more than this (intersection over union) with a better one
MIN_SCORE = 0.01
NMS_THREADS = 256


def build(
    *, image: int = 512, width: int = 32, classes: int = 80, keep: int = 100, name: str = "ssd-mobilenet"
) -> KernelGraph:
    """Graph of a detector: ``keep`` rows of (class, score, x0, y0, x1, y1), -1 where there are no more.

    ``width`` is the channels of the first layer; MobileNet-1.0 has 32. True shapes: 90,564,888 B of
    constants, 3,145,728 B in, 2,400 B out, 12.62 GFLOP.
    """
    g = GraphBuilder(name)
    maps = _feature_maps(g, image, width)
    n_anchors = sum(a * m.pixels for a, m in zip(ANCHORS, maps, strict=True))
    scores = g.temporary("scores", n_anchors * (classes + 1))
    boxes = g.temporary("boxes", n_anchors * 4)
    first = 0
    for i, (a, m) in enumerate(zip(ANCHORS, maps, strict=True)):
        for kind, buffer, n in (("scores", scores, classes + 1), ("boxes", boxes, 4)):
            conv(g, m, a * n, 3, f"head{i}.{kind}", relu=False, gain=1.0, into=Rows(buffer, first * n))
        first += a * m.pixels
    detect(g, scores, boxes, (n_anchors, classes, keep))
    return g.finish()


def _feature_maps(g: GraphBuilder, image: int, width: int) -> list[Map]:
    """The six maps in which SSD looks for objects, from fine to coarse."""
    x = conv(g, input_map(g, "image", 3, image, image), width, 3, "stem", stride=2)
    maps = []
    for i, (channels, stride) in enumerate(SEPARABLE):
        x = depthwise_conv(g, x, 3, f"depthwise{i}", stride=stride)
        x = conv(g, x, channels * width // 32, 1, f"pointwise{i}")
        if i in LOOKED_AT:
            maps.append(x)
    for i, full in enumerate(EXTRAS):
        channels = full * width // 32
        x = conv(g, x, max(128 * width // 32, channels), 1, f"extra{i}.reduce")
        x = conv(g, x, channels, 3, f"extra{i}.spatial", stride=2)
        maps.append(x)
    return maps


def detect(g: GraphBuilder, scores: str, boxes: str, shape: tuple[int, int, int]) -> None:
    """Best class and box of each anchor, then non-maximum suppression within each class by one block.

    Anchors are (centre x, centre y, log width, log height): any content makes valid boxes.
    """
    n_anchors, classes, keep = shape
    anchors = g.constant("anchors", n_anchors * 4, 0.5)
    candidates = g.temporary("candidates", n_anchors * 6)
    g.launch(
        "ssd:decode",
        *thread_per(n_anchors, 128),
        (n_anchors, classes),
        reads=(scores, boxes, anchors),
        writes=(candidates,),
    )
    g.launch(
        "ssd:suppress",
        (1, 1, 1),
        (NMS_THREADS, 1, 1),
        (n_anchors, keep, MAX_OVERLAP, MIN_SCORE),
        updates=(candidates,),
        writes=(g.output("detections", keep * 6),),
    )
