"""Layers on matrices as launches: float32, row-major."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sim.models.workloads.build import BIAS_SCALE, FLOAT_BYTES, GAMMA_SCALE, GraphBuilder, fan_in_scale
from sim.models.workloads.geometry import MATMUL_BLOCK, lanes_per, thread_per, tiles

EPSILON = 1e-12  # of layer norm, as in BERT


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
    """c = alpha a b [+ bias of each column] for ``shape`` (m, n, k).

    b is k x n, or n x k with ``transpose_b``, which goes without bias.
    """
    m, n, k = shape
    tile, grid = tiles(m, n, batch)
    kind = "bias" if bias else "nt" if transpose_b else "nn"
    places = [v for p in (a, b, c) for v in (p.pitch, p.offset, p.step)]
    g.launch(
        f"matmul:gemm_{kind}_{tile}",
        grid,
        MATMUL_BLOCK,
        (m, n, k, *places, alpha),
        reads=(a.buffer, b.buffer, *([bias] if bias else [])),
        writes=(c.buffer,),
        flops=2 * batch * m * n * k,
        moved_bytes=FLOAT_BYTES * (batch * (m * k + k * n + m * n) + (n if bias else 0)),
    )


class MatMul(Protocol):
    """A function with the parameters of ``matmul``."""

    def __call__(
        self,
        g: GraphBuilder,
        a: Matrix,
        b: Matrix,
        c: Matrix,
        shape: tuple[int, int, int],
        *,
        batch: int = ...,
        alpha: float = ...,
        transpose_b: bool = ...,
        bias: str | None = ...,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Products:
    """Who multiplies matrices, and the NumPy type of the constant ones."""

    matmul: MatMul
    dtype: str


OWN = Products(matmul, "float32")


def linear(g: GraphBuilder, x: str, rows: int, fan_in: int, fan_out: int, name: str, y: str) -> None:
    """y = x w^T + bias for thin results (few rows or few columns): one warp for each value of y."""
    weight = g.constant(f"{name}.weight", fan_out * fan_in, fan_in_scale(fan_in))
    bias = g.constant(f"{name}.bias", fan_out, BIAS_SCALE)
    g.launch(
        "nn:linear",
        *lanes_per(rows * fan_out),
        (rows, fan_out, fan_in),
        reads=(x, weight, bias),
        writes=(y,),
        flops=2 * rows * fan_out * fan_in,
    )


def softmax(g: GraphBuilder, x: str, rows: int, columns: int, y: str) -> None:
    """Softmax of each row."""
    g.launch("nn:softmax", *lanes_per(rows), (rows, columns), reads=(x,), writes=(y,))


def masked_softmax(g: GraphBuilder, x: str, mask: str, rows: int, columns: int) -> None:
    """Softmax of each row in place; columns whose ``mask`` (int64) is 0 count as 10,000 less, as in BERT."""
    g.launch("nn:masked_softmax", *lanes_per(rows), (rows, columns), reads=(mask,), updates=(x,))


def add_layer_norm(g: GraphBuilder, x: str, residual: str, rows: int, columns: int, name: str, y: str) -> None:
    """y = layer norm of (x + bias + residual)."""
    bias = g.constant(f"{name}.bias", columns, BIAS_SCALE)
    gamma = g.constant(f"{name}.gamma", columns, GAMMA_SCALE)
    beta = g.constant(f"{name}.beta", columns, BIAS_SCALE)
    reads = (x, bias, residual, gamma, beta)
    g.launch("nn:add_layer_norm", *lanes_per(rows), (rows, columns, EPSILON), reads=reads, writes=(y,))


def embed_layer_norm(
    g: GraphBuilder, ids: str, segments: str, tables: tuple[str, str, str], shape: tuple[int, int, int], y: str
) -> None:
    """y = layer norm of word + position + segment embeddings (``tables``) of int64 ``ids`` and ``segments``.

    ``shape``: tokens, columns, rows of the table of words; an id beyond it counts as the last.
    """
    tokens, columns, vocabulary = shape
    gamma = g.constant("embed.gamma", columns, GAMMA_SCALE)
    beta = g.constant("embed.beta", columns, BIAS_SCALE)
    g.launch(
        "nn:embed_layer_norm",
        *lanes_per(tokens),
        (tokens, columns, vocabulary, EPSILON),
        reads=(ids, segments, *tables, gamma, beta),
        writes=(y,),
        moved_bytes=2 * 8 * tokens + FLOAT_BYTES * columns * (4 * tokens + 2),
    )


def bias_gelu(g: GraphBuilder, x: str, rows: int, columns: int, name: str) -> None:
    """x = gelu(x + bias), in place; the exact gelu, by erf (Hendrycks and Gimpel, arXiv 1606.08415)."""
    bias = g.constant(f"{name}.bias", columns, BIAS_SCALE)
    g.launch("nn:bias_gelu", *thread_per(rows * columns), (rows, columns), reads=(bias,), updates=(x,))
