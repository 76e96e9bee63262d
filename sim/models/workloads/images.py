"""Layers of convolutional networks as launches: batch 1, float32, channels x height x width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sim.models.workloads.build import BIAS_SCALE, FLOAT_BYTES, GraphBuilder, fan_in_scale
from sim.models.workloads.geometry import MATMUL_BLOCK, lanes_per, thread_per, tiles


@dataclass(frozen=True, slots=True)
class Map:
    """A feature map in a buffer."""

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

    def after(self, size: int, stride: int) -> tuple[int, int]:
        """Height and width of what size x size windows, padded by size // 2, make of it."""
        height, width = ((n + 2 * (size // 2) - size) // stride + 1 for n in (self.height, self.width))
        return height, width


class Conv(Protocol):
    """A function with the parameters of ``conv`` that a classifier needs."""

    def __call__(
        self,
        g: GraphBuilder,
        x: Map,
        channels: int,
        size: int,
        name: str,
        *,
        stride: int = ...,
        relu: bool = ...,
        residual: Map | None = ...,
        gain: float = ...,
    ) -> Map: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """A part of a buffer that takes pixels as rows of channels (h x w x c), from element ``offset`` on."""

    buffer: str
    offset: int


def input_map(g: GraphBuilder, name: str, channels: int, height: int, width: int) -> Map:
    """Declare an input image."""
    return Map(g.input(name, channels * height * width), channels, height, width)


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

    The result goes to a temporary or, as rows for a later concatenation, to ``into``. ``gain``: see fan_in_scale.
    """
    height, width = x.after(size, stride)
    pixels, fan_in = height * width, x.channels * size * size
    weight = g.constant(f"{name}.weight", channels * fan_in, fan_in_scale(fan_in, gain))
    bias = g.constant(f"{name}.bias", channels, BIAS_SCALE)
    if into is not None:
        y, store = into.buffer, (into.offset, 1, channels)
    else:
        y, store = g.temporary(name, channels * pixels), (0, pixels, 1)
    tile, grid = tiles(channels, pixels)
    shape = (x.channels, x.height, x.width, channels, height, width, size, stride, size // 2)
    g.launch(
        f"matmul:conv{'_add' if residual else ''}_{tile}",
        grid,
        MATMUL_BLOCK,
        (*shape, int(relu), *store),
        reads=(x.buffer, weight, bias, *([residual.buffer] if residual else [])),
        writes=(y,),
        flops=2 * channels * pixels * fan_in,
        moved_bytes=FLOAT_BYTES * (x.size + channels * (fan_in + 1 + pixels * (2 if residual else 1))),
    )
    return Map(y, channels, height, width)


def depthwise_conv(g: GraphBuilder, x: Map, size: int, name: str, *, stride: int = 1) -> Map:
    """size x size convolution of each channel by itself, padded by size // 2, + bias, then ReLU."""
    weight = g.constant(f"{name}.weight", x.channels * size * size, fan_in_scale(size * size, gain=2.0))
    bias = g.constant(f"{name}.bias", x.channels, BIAS_SCALE)
    y = _windowed(g, x, size, stride, name)
    g.launch(
        "nn:depthwise_conv",
        *thread_per(y.size),
        _window_literals(x, y, size, stride),
        reads=(x.buffer, weight, bias),
        writes=(y.buffer,),
        flops=2 * y.size * size * size,
    )
    return y


def max_pool(g: GraphBuilder, x: Map, size: int, name: str, *, stride: int) -> Map:
    """Maximum over size x size windows, padded by size // 2."""
    y = _windowed(g, x, size, stride, name)
    literals = _window_literals(x, y, size, stride)
    g.launch("nn:max_pool", *thread_per(y.size), literals, reads=(x.buffer,), writes=(y.buffer,))
    return y


def _windowed(g: GraphBuilder, x: Map, size: int, stride: int, name: str) -> Map:
    height, width = x.after(size, stride)
    return Map(g.temporary(name, x.channels * height * width), x.channels, height, width)


def _window_literals(x: Map, y: Map, size: int, stride: int) -> tuple[int, ...]:
    return (x.channels, x.height, x.width, y.height, y.width, size, stride, size // 2)


def global_average(g: GraphBuilder, x: Map, name: str) -> str:
    """Mean of each channel."""
    y = g.temporary(name, x.channels)
    grid, block = lanes_per(x.channels, lanes=8)
    g.launch("nn:global_average", grid, block, (x.channels, x.pixels), reads=(x.buffer,), writes=(y,))
    return y


def pixel_shuffle(g: GraphBuilder, x: Map, factor: int, output: str) -> Map:
    """(c f f) x h x w -> c x (h f) x (w f): rearrange channels into pixels (Shi et al., CVPR 2016)."""
    y = Map(g.output(output, x.size), x.channels // factor**2, x.height * factor, x.width * factor)
    literals = (y.channels, x.height, x.width, factor)
    g.launch("nn:pixel_shuffle", *thread_per(y.size), literals, reads=(x.buffer,), writes=(y.buffer,))
    return y
