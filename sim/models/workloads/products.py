"""Layers with a library: products by cuBLAS, and around them the kernels of ``replay/kernels/blas.cu``."""

from __future__ import annotations

from sim.models.workloads.build import BIAS_SCALE, GraphBuilder, fan_in_scale
from sim.models.workloads.gemm import Gemm
from sim.models.workloads.geometry import thread_per
from sim.models.workloads.images import Map
from sim.models.workloads.matrices import Matrix, Products


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
    """As ``matrices.matmul``. Where b is in float16, a is rounded to it first; the result is in float32."""
    m, n, k = shape
    dtype = g.dtype_of(b.buffer)
    if g.dtype_of(a.buffer) != dtype:
        a = _rounded(g, a, m, k)
    g.add(Gemm(dtype, shape, a, b, c, "float32", batch, (False, transpose_b), alpha).kernel())
    if bias:
        g.launch("blas:add_bias", *thread_per(m * n), (m, n), reads=(bias,), updates=(c.buffer,))


CUBLAS = Products(matmul, "float32")
CUBLAS_FP16 = Products(matmul, "float16")


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
) -> Map:
    """As ``images.conv``: the weights times what they meet at each pixel, which is x itself for 1 x 1 of stride 1."""
    height, width = x.after(size, stride)
    pixels, fan_in = height * width, x.channels * size * size
    weight = g.constant(f"{name}.weight", channels * fan_in, fan_in_scale(fan_in, gain))
    bias = g.constant(f"{name}.bias", channels, BIAS_SCALE)
    met = x.buffer
    if size > 1 or stride > 1:
        met = g.temporary(f"{name}.met", fan_in * pixels)
        window = (x.channels, x.height, x.width, height, width, size, stride, size // 2)
        g.launch("blas:im2col", *thread_per(fan_in * pixels), window, reads=(x.buffer,), writes=(met,))
    y = g.temporary(name, channels * pixels)
    places = Matrix(weight, fan_in), Matrix(met, pixels), Matrix(y, pixels)
    g.add(Gemm("float32", (channels, pixels, fan_in), *places, "float32").kernel())
    g.launch(
        f"blas:finish_conv{'_add' if residual else ''}",
        *thread_per(channels * pixels),
        (channels, pixels, int(relu)),
        reads=(bias, *([residual.buffer] if residual else [])),
        updates=(y,),
    )
    return Map(y, channels, height, width)


def _rounded(g: GraphBuilder, x: Matrix, rows: int, columns: int) -> Matrix:
    """A dense matrix of float32 in float16."""
    y = g.temporary(f"{x.buffer}.half", rows * columns, "float16")
    g.launch("blas:to_half", *thread_per(rows * columns), (rows * columns,), reads=(x.buffer,), writes=(y,))
    return Matrix(y, columns)
