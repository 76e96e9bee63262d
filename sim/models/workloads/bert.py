"""BERT for question answering (Devlin et al., NAACL 2019): 10 kernels a layer and 2 more.

The kernels are split as in NVIDIA's FasterTransformer: bias and activation or normalisation follow a plain
product as one kernel.
"""

from __future__ import annotations

from math import sqrt

from sim.domain import KernelGraph
from sim.errors import ScenarioError
from sim.models.workloads.build import BIAS_SCALE, GraphBuilder, fan_in_scale
from sim.models.workloads.matrices import (
    OWN,
    Matrix,
    Products,
    add_layer_norm,
    bias_gelu,
    embed_layer_norm,
    linear,
    masked_softmax,
)

BRANCH_GAIN = 0.1  # of what a layer adds: attention averages tokens, and 24 such sums would make them all alike


def build(
    *,
    layers: int = 24,
    hidden: int = 1024,
    heads: int = 16,
    sequence: int = 384,
    vocabulary: int = 30_522,
    positions: int = 512,
    products: Products = OWN,
    name: str = "bert",
) -> KernelGraph:
    """Graph from token ids, segments and mask (int64, ``sequence`` each) to logits (sequence x [start, end]).

    The default is BERT-large: 242 kernels, 1,336,377,352 B of constants, 9,216 B in, 3,072 B out,
    246.4 GFLOP. Raises ScenarioError for a sequence beyond ``positions`` or hidden sizes that heads don't share.
    """
    if sequence > positions or hidden % heads:
        raise ScenarioError(
            f"{name}: sequence {sequence} must be at most positions {positions}, and hidden {hidden} a multiple of "
            f"heads {heads}"
        )
    g = GraphBuilder(name)
    ids = g.input("ids", sequence, vocabulary, "int64")
    segments = g.input("segments", sequence, 2, "int64")
    mask = g.input("mask", sequence, 2, "int64")
    x = _embed(g, ids, segments, (sequence, hidden, vocabulary, positions))
    for layer in range(layers):
        x = _layer(g, x, mask, (sequence, hidden, heads), products, f"layer{layer}")
    linear(g, x, sequence, hidden, 2, "answer", g.output("logits", 2 * sequence))
    return g.finish()


def build_base(*, sequence: int = 384, name: str = "bert-base") -> KernelGraph:
    """BERT-base: 122 kernels, 435,572,744 B of constants, 70.67 GFLOP at sequence 384."""
    return build(layers=12, hidden=768, heads=12, sequence=sequence, name=name)


def _embed(g: GraphBuilder, ids: str, segments: str, shape: tuple[int, int, int, int]) -> str:
    """Tokens as vectors: sequence x hidden."""
    sequence, hidden, vocabulary, positions = shape
    sizes = {"words": vocabulary, "positions": positions, "segments": 2}
    words, places, kinds = (g.constant(f"embed.{name}", n * hidden, 1.0) for name, n in sizes.items())
    y = g.temporary("embed", sequence * hidden)
    embed_layer_norm(g, ids, segments, (words, places, kinds), (sequence, hidden, vocabulary), y)
    return y


def _layer(g: GraphBuilder, x: str, mask: str, shape: tuple[int, int, int], products: Products, name: str) -> str:
    """One encoder layer: attention and feed-forward, each followed by an added shortcut and a layer norm."""
    sequence, hidden, _ = shape
    mixed = _attention(g, x, mask, shape, products, f"{name}.attention")
    attended = g.temporary(f"{name}.attended", sequence * hidden)
    add_layer_norm(g, mixed, x, sequence, hidden, f"{name}.attention.norm", attended)

    wide = _product(g, products, attended, (sequence, 4 * hidden, hidden), f"{name}.widen")
    bias_gelu(g, wide, sequence, 4 * hidden, f"{name}.gelu")
    narrow = _product(g, products, wide, (sequence, hidden, 4 * hidden), f"{name}.narrow", gain=BRANCH_GAIN)
    y = g.temporary(f"{name}.output", sequence * hidden)
    add_layer_norm(g, narrow, attended, sequence, hidden, f"{name}.norm", y)
    return y


def _attention(g: GraphBuilder, x: str, mask: str, shape: tuple[int, int, int], products: Products, name: str) -> str:
    """Self-attention; a head is a stride in sequence x [query, key, value] x heads, nothing is transposed."""
    sequence, hidden, heads = shape
    depth = hidden // heads
    bias = g.constant(f"{name}.qkv.bias", 3 * hidden, BIAS_SCALE)
    qkv = _product(g, products, x, (sequence, 3 * hidden, hidden), f"{name}.qkv", bias=bias)
    query, key, value = (Matrix(qkv, 3 * hidden, part * hidden, depth) for part in range(3))

    weights = g.temporary(f"{name}.weights", heads * sequence * sequence)
    by_head = Matrix(weights, sequence, step=sequence * sequence)
    products.matmul(
        g,
        query,
        key,
        by_head,
        (sequence, sequence, depth),
        batch=heads,
        alpha=1 / sqrt(depth),
        transpose_b=True,
    )
    masked_softmax(g, weights, mask, heads * sequence, sequence)
    context = g.temporary(f"{name}.context", sequence * hidden)
    products.matmul(g, by_head, value, Matrix(context, hidden, step=depth), (sequence, depth, sequence), batch=heads)
    return _product(g, products, context, (sequence, hidden, hidden), f"{name}.mix", gain=BRANCH_GAIN)


def _product(
    g: GraphBuilder,
    products: Products,
    x: str,
    shape: tuple[int, int, int],
    name: str,
    *,
    bias: str | None = None,
    gain: float = 1.0,
) -> str:
    """x (m x k) times a constant (k x n) [+ bias] for ``shape`` (m, n, k)."""
    m, n, k = shape
    weight = g.constant(f"{name}.weight", k * n, fan_in_scale(k, gain), products.dtype)
    y = g.temporary(name, m * n)
    products.matmul(g, Matrix(x, k), Matrix(weight, n), Matrix(y, n), shape, bias=bias)
    return y
