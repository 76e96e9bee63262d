"""Super-resolution of the ONNX model zoo as TVM compiles it: 7 launches of 7 kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.authors.convolutions import direct, winograd
from sim.models.workloads.authors.operators import Operators
from sim.models.workloads.images import Map

IMAGE, FACTOR = 224, 3
SHARED_BYTES = [4 * c * IMAGE * IMAGE for c in (64, 64, 32, 9)]


def build(name: str = "superRes") -> KernelGraph:
    """Four convolutions, the second by winograd in 3 kernels, and a shuffle. Each result has a buffer of its own.

    This split makes the authors' 16 buffers, of which 6 temporaries of 91.7 MB, the largest 28.9 MB.
    """
    g = Operators(name, "superRes-tvm", SHARED_BYTES)
    x = Map(g.input("image", IMAGE * IMAGE), 1, IMAGE, IMAGE)
    x = direct(g, x, 64, 5, "conv1", padding=2)
    x = winograd(g, x, 64, "conv2")
    x = direct(g, x, 32, 3, "conv3", padding=1)
    x = direct(g, x, FACTOR**2, 3, "conv4", padding=1, relu=False)
    g.elementwise("shuffle", x.size, (x.buffer,), g.output("enlarged", x.size))
    return g.finish()
