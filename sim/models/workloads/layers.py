"""Neural-network layers as launches of ``replay/kernels/matmul.cu`` and ``nn.cu``: batch 1, fp32.

Images are channels x height x width, matrices are row-major. ``flops`` count 2 for each multiply-add of
matrix products and convolutions; the work of the other layers is their traffic, ``moved_bytes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from sim.models.workloads.build import GraphBuilder, ceil_div, fan_in_scale

FLOAT_BYTES = 4
BIAS_SCALE = 0.1
GAMMA_SCALE = 0.1  # of layer norm, stored less 1 (NVIDIA NeMo's LayerNorm1P), so that zero-mean noise is a fair fill
WARP = 32
MATMUL_BLOCK = (128, 1, 1)
MIN_LARGE_TILES = 264  # two 64x64 tiles for each of an H100's 132 SMs; with fewer, 32x32 tiles keep more SMs busy


@dataclass(frozen=True, slots=True)
class Map:
    """A feature map in a buffer: channels x height x width."""

    buffer: str
    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Height x width."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Number of values."""
        return self.channels * self.pixels


@dataclass(frozen=True, slots=True)
class Rows:
    """A part of a buffer that takes pixels as rows of channels (h x w x c), from element ``offset`` on."""

    buffer: str
    offset: int


def input_map(g: GraphBuilder, name: str, channels: int, height: int, width: int) -> Map:
    """Declare an input image."""
    return Map(g.input(name, channels * height * width), channels, height, width)


def _tiles(rows: int, columns: int, batch: int = 1) -> tuple[str, tuple[int, int, int]]:
    """Suffix of the kernel and its grid for an output matrix of rows x columns."""
    large = (ceil_div(columns, 64), ceil_div(rows, 64), batch)
    if prod(large) >= MIN_LARGE_TILES:
        return "64x64", large
    return "32x32", (ceil_div(columns, 32), ceil_div(rows, 32), batch)


def conv(
    g: GraphBuilder,
    x: Map,
    channels: int,
    size: int,
    name: str,
    *,
    stride: int = 1,
    relu: bool = True,
    residual: Map | None = None,
    gain: float = 2.0,
    into: Rows | None = None,
) -> Map:
    """size x size convolution to ``channels``, padded by size // 2, + bias [+ residual] [then ReLU].

    The result goes to a temporary or, as rows for a later concatenation, to ``into``.
    """
    pad = size // 2
    height, width = ((n + 2 * pad - size) // stride + 1 for n in (x.height, x.width))
    pixels, fan_in = height * width, x.channels * size * size
    weight = g.constant(f"{name}.weight", channels * fan_in, fan_in_scale(fan_in, gain))
    bias = g.constant(f"{name}.bias", channels, BIAS_SCALE)
    if into is not None:
        y, store = into.buffer, (into.offset, 1, channels)
    else:
        y = g.temporary(name, channels * pixels)
        store = (0, pixels, 1)
    suffix, grid = _tiles(channels, pixels)
    moved = x.size + channels * (fan_in + 1 + pixels * (2 if residual else 1))
    g.launch(
        f"matmul:conv{'_add' if residual else ''}_{suffix}",
        grid,
        MATMUL_BLOCK,
        (x.channels, x.height, x.width, channels, height, width, size, stride, pad, int(relu), *store),
        reads=(x.buffer, weight, bias, *([residual.buffer] if residual else [])),
        writes=(y,),
        flops=2 * channels * pixels * fan_in,
        moved_bytes=FLOAT_BYTES * moved,
    )
    return Map(y, channels, height, width)


def depthwise_conv(g: GraphBuilder, x: Map, size: int, name: str, *, stride: int = 1) -> Map:
    """size x size convolution of each channel by itself, padded by size // 2, + bias, then ReLU."""
    pad = size // 2
    height, width = ((n + 2 * pad - size) // stride + 1 for n in (x.height, x.width))
    weight = g.constant(f"{name}.weight", x.channels * size * size, fan_in_scale(size * size, 2.0))
    bias = g.constant(f"{name}.bias", x.channels, BIAS_SCALE)
    y = Map(g.temporary(name, x.channels * height * width), x.channels, height, width)
    _elementwise(
        g,
        "nn:depthwise_conv",
        y.size,
        (x.channels, x.height, x.width, height, width, size, stride, pad),
        reads=(x.buffer, weight, bias),
        writes=(y.buffer,),
        flops=2 * y.size * size * size,
    )
    return y


def max_pool(g: GraphBuilder, x: Map, size: int, name: str, *, stride: int) -> Map:
    """Maximum over size x size windows, padded by size // 2."""
    pad = size // 2
    height, width = ((n + 2 * pad - size) // stride + 1 for n in (x.height, x.width))
    y = Map(g.temporary(name, x.channels * height * width), x.channels, height, width)
    literals = (x.channels, x.height, x.width, height, width, size, stride, pad)
    _elementwise(g, "nn:max_pool", y.size, literals, reads=(x.buffer,), writes=(y.buffer,))
    return y


def global_average(g: GraphBuilder, x: Map, name: str) -> str:
    """Mean of each channel: 8 threads a channel."""
    y = g.temporary(name, x.channels)
    g.launch(
        "nn:global_average",
        (ceil_div(x.channels, 16), 1, 1),
        (8, 16, 1),
        (x.channels, x.pixels),
        reads=(x.buffer,),
        writes=(y,),
    )
    return y


def pixel_shuffle(g: GraphBuilder, x: Map, factor: int, output: str) -> Map:
    """(c f f) x h x w -> c x (h f) x (w f): rearrange channels into pixels (Shi et al., CVPR 2016)."""
    y = Map(g.output(output, x.size), x.channels // factor**2, x.height * factor, x.width * factor)
    _elementwise(
        g,
        "nn:pixel_shuffle",
        y.size,
        (y.channels, x.height, x.width, factor),
        reads=(x.buffer,),
        writes=(y.buffer,),
    )
    return y


def _elementwise(
    g: GraphBuilder,
    kernel: str,
    n: int,
    literals: tuple[int | float, ...],
    *,
    reads: tuple[str, ...] = (),
    updates: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    flops: int = 0,
) -> None:
    """A launch with one thread for each of ``n`` values."""
    grid = (ceil_div(n, 256), 1, 1)
    g.launch(kernel, grid, (256, 1, 1), literals, reads=reads, updates=updates, writes=writes, flops=flops)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A batch of matrices inside a buffer: element (i, r, c) is at ``offset + i step + r pitch + c``."""

    buffer: str
    pitch: int
    offset: int = 0
    step: int = 0


def matmul(
    g: GraphBuilder,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    shape: tuple[int, int, int],
    *,
    batch: int = 1,
    alpha: float = 1.0,
    transpose_b: bool = False,
    bias: str | None = None,
) -> None:
    """c = alpha a b [+ bias of each column] for ``shape`` (m, n, k); with ``transpose_b`` b is n x k."""
    m, n, k = shape
    suffix, grid = _tiles(m, n, batch)
    kind = "bias" if bias else "nt" if transpose_b else "nn"
    moved = batch * (m * k + k * n + m * n) + (n if bias else 0)
    g.launch(
        f"matmul:gemm_{kind}_{suffix}",
        grid,
        MATMUL_BLOCK,
        (m, n, k, a.pitch, a.offset, a.step, b.pitch, b.offset, b.step, c.pitch, c.offset, c.step, alpha),
        reads=(a.buffer, b.buffer, *([bias] if bias else [])),
        writes=(c.buffer,),
        flops=2 * batch * m * n * k,
        moved_bytes=FLOAT_BYTES * moved,
    )


def linear(g: GraphBuilder, x: str, rows: int, fan_in: int, fan_out: int, name: str, y: str) -> None:
    """y = x w^T + bias for thin results (few rows or few columns): one warp for each value of y."""
    weight = g.constant(f"{name}.weight", fan_out * fan_in, fan_in_scale(fan_in))
    bias = g.constant(f"{name}.bias", fan_out, BIAS_SCALE)
    g.launch(
        "nn:linear",
        (ceil_div(rows * fan_out, 4), 1, 1),
        (WARP, 4, 1),
        (rows, fan_out, fan_in),
        reads=(x, weight, bias),
        writes=(y,),
        flops=2 * rows * fan_out * fan_in,
    )


def softmax(g: GraphBuilder, x: str, rows: int, columns: int, y: str) -> None:
    """Softmax of each row: one warp a row."""
    grid = (ceil_div(rows, 4), 1, 1)
    g.launch("nn:softmax", grid, (WARP, 4, 1), (rows, columns), reads=(x,), writes=(y,))


def masked_softmax(g: GraphBuilder, x: str, mask: str, rows: int, columns: int) -> None:
    """Softmax of each row in place, without the columns whose ``mask`` (int64) is 0: one warp a row."""
    grid = (ceil_div(rows, 4), 1, 1)
    g.launch("nn:masked_softmax", grid, (WARP, 4, 1), (rows, columns), reads=(mask,), updates=(x,))


def add_layer_norm(g: GraphBuilder, x: str, residual: str, rows: int, columns: int, name: str, y: str) -> None:
    """y = layer norm of (x + bias + residual): one warp a row."""
    bias = g.constant(f"{name}.bias", columns, BIAS_SCALE)
    gamma = g.constant(f"{name}.gamma", columns, GAMMA_SCALE)
    beta = g.constant(f"{name}.beta", columns, BIAS_SCALE)
    g.launch(
        "nn:add_layer_norm",
        (ceil_div(rows, 4), 1, 1),
        (WARP, 4, 1),
        (rows, columns, 1e-12),
        reads=(x, bias, residual, gamma, beta),
        writes=(y,),
    )


def bias_gelu(g: GraphBuilder, x: str, rows: int, columns: int, name: str) -> None:
    """x = gelu(x + bias), in place; the exact gelu, by erf (Hendrycks and Gimpel, arXiv 1606.08415)."""
    bias = g.constant(f"{name}.bias", columns, BIAS_SCALE)
    _elementwise(g, "nn:bias_gelu", rows * columns, (rows, columns), reads=(bias,), updates=(x,))
