"""ResNet-50 of MLPerf (resnet50_v1.onnx) as TVM compiles it: 90 launches of 43 distinct kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.authors.convolutions import direct, pad, winograd
from sim.models.workloads.authors.operators import Operators
from sim.models.workloads.images import Map

CLASSES = 1001
BLOCKS = (3, 4, 6, 3)
SHARED_BYTES = [3_502_000] * 8


def build(name: str = "resnet50", *, shares: bool = True) -> KernelGraph:
    """53 convolutions (13 of them by winograd, in 3 kernels each), 4 paddings, pooling and 6 kernels of the tail.

    The strides are in the 3 x 3 convolutions; these and the first one come with a padding of their own, which the
    network has from TensorFlow. Launches, distinct kernels, constants (108, 128,688,548 B) and the number of
    temporaries follow from this. The input is declared as doubles, though images are float32.

    The authors' 36 temporaries and outputs have 58.6 MB. The 26 work buffers of winograd have 30.6 MB. What is left
    makes 3.50 MB for each of the eight buffers that results share; the largest result has 3.21 MB. Why there are
    eight, and why they are larger, isn't known: three of 3.21 MB would do. Before July 2022 results had a buffer each
    (``shares`` False).
    """
    g = Operators(name, "resnet50-tvm", SHARED_BYTES if shares else None)
    x = Map(g.input("image", 3 * 224 * 224, dtype="float64"), 3, 224, 224)
    x = direct(g, pad(g, x, 3, "stem.pad"), 64, 7, "stem", stride=2)
    pooled = Map(g.temporary("pool", 64 * 56 * 56), 64, 56, 56)
    g.elementwise("max_pool", pooled.size, (x.buffer,), pooled.buffer, n_read=x.size)
    x = pooled
    for stage, n in enumerate(BLOCKS):
        for block in range(n):
            stride = 2 if block == 0 and stage > 0 else 1
            x = _bottleneck(g, x, 64 << stage, stride, block == 0, f"stage{stage}.block{block}")
    _tail(g, x)
    return g.finish()


def _bottleneck(g: Operators, x: Map, width: int, stride: int, project: bool, name: str) -> Map:
    y = direct(g, x, width, 1, f"{name}.reduce")
    if stride == 1:
        y = winograd(g, y, width, f"{name}.spatial")
    else:
        y = direct(g, pad(g, y, 1, f"{name}.pad"), width, 3, f"{name}.spatial", stride=stride)
    if project:
        x = direct(g, x, 4 * width, 1, f"{name}.project", stride=stride, relu=False)
    return direct(g, y, 4 * width, 1, f"{name}.expand", residual=x)


def _tail(g: Operators, x: Map) -> None:
    """Mean of each channel in two kernels, classifier, softmax, and the largest class, as int32 and then int64."""
    total = g.reduction("mean_sum", x.channels, x.pixels, (x.buffer,), g.temporary("sum", x.channels))
    mean = g.elementwise("mean_divide", x.channels, (total,), g.temporary("mean", x.channels))
    weight = g.constant("classifier.weight", CLASSES * x.channels, 1.0)
    bias = g.constant("classifier.bias", CLASSES, 1.0)
    logits = g.temporary("logits", CLASSES)
    g.product("classifier", (1, CLASSES, x.channels), (mean, weight, bias), logits)
    g.elementwise("softmax", CLASSES, (logits,), g.output("scores", CLASSES))
    best = g.reduction("argmax", 1, CLASSES, (logits,), g.temporary("best", 1))
    g.elementwise("cast", 1, (best,), g.output("class", 2))  # an int64 has the bytes of two floats
