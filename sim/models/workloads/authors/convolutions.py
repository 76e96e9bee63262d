"""Convolutions as TVM compiles them for CUDA, with bias, shortcut and ReLU in the last kernel."""

from __future__ import annotations

from sim.models.workloads.authors.operators import Operators
from sim.models.workloads.build import BIAS_SCALE, fan_in_scale
from sim.models.workloads.geometry import ceil_div
from sim.models.workloads.images import Map


def pad(g: Operators, x: Map, border: int, name: str) -> Map:
    """Zeros around an image: a kernel of its own, since TVM doesn't fuse it with either neighbour."""
    height, width = x.height + 2 * border, x.width + 2 * border
    y = Map(g.temporary(name, x.channels * height * width), x.channels, height, width)
    g.elementwise(f"pad_{x.channels}_{x.height}", y.size, (x.buffer,), y.buffer, n_read=x.size)
    return y


def direct(
    g: Operators,
    x: Map,
    channels: int,
    size: int,
    name: str,
    *,
    stride: int = 1,
    padding: int = 0,
    residual: Map | None = None,
    relu: bool = True,
) -> Map:
    """size x size convolution + bias [+ residual] [then ReLU] in one kernel."""
    height, width = ((n + 2 * padding - size) // stride + 1 for n in (x.height, x.width))
    pixels, fan_in = height * width, x.channels * size * size
    weight = g.constant(f"{name}.weight", channels * fan_in, fan_in_scale(fan_in))
    bias = g.constant(f"{name}.bias", channels, BIAS_SCALE)
    y = Map(g.temporary(name, channels * pixels), channels, height, width)
    kernel = f"conv{size}_{x.channels}_{x.height}_{channels}_{height}" + "_add" * bool(residual) + "_relu" * relu
    reads = (x.buffer, weight, bias, *([residual.buffer] if residual else []))
    n_values = x.size + channels * (fan_in + 1) + y.size * (2 if residual else 1)
    g.convolution(kernel, (channels, pixels, fan_in), reads, y.buffer, n_values)
    return y


def winograd(g: Operators, x: Map, channels: int, name: str) -> Map:
    """3 x 3 convolution + bias, then ReLU by F(m x m, 3 x 3) (Lavin and Gray, CVPR 2016, section 4.1): 3 kernels.

    m is 4 where the height is a multiple of 8, else 2, as in TVM's schedule for CUDA. The weights are transformed
    ahead, to (m + 2)² / 9 times their size. Transformed tiles and their products are work buffers. Only the
    products' operations are counted; the two transforms are bound by their traffic.
    """
    m = 4 if x.height % 8 == 0 else 2
    points, n_tiles = (m + 2) ** 2, ceil_div(x.height, m) * ceil_div(x.width, m)
    weight = g.constant(f"{name}.weight", points * x.channels * channels, fan_in_scale(9 * x.channels))
    bias = g.constant(f"{name}.bias", channels, BIAS_SCALE)
    n_in, n_out = (points * c * n_tiles for c in (x.channels, channels))
    kernel = f"winograd_{x.channels}_{x.height}_{channels}"
    tiles = g.work(f"{name}.tiles", n_in)
    g.elementwise(f"{kernel}_in", n_in, (x.buffer,), tiles, n_read=x.size)
    products = g.work(f"{name}.products", n_out)
    shape = (channels, n_tiles, x.channels)
    n_values = points * (channels * x.channels + x.channels * n_tiles + channels * n_tiles)
    g.convolution(f"{kernel}_product", shape, (weight, tiles), products, n_values, batch=points)
    y = Map(g.temporary(name, channels * x.pixels), channels, x.height, x.width)
    g.elementwise(f"{kernel}_out", y.size, (products, bias), y.buffer, n_read=n_out + channels)
    return y
