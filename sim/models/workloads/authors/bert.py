"""BERT-large of MLPerf (SQuAD, sequences of 384) as TVM compiles it: 781 launches of 30 distinct kernels."""

from __future__ import annotations

from sim.domain import KernelGraph
from sim.models.workloads.authors.operators import Operators

LAYERS, HIDDEN, HEADS, SEQUENCE, VOCABULARY = 24, 1024, 16, 384, 30_522
WIDE = 4 * HIDDEN
DEPTH = HIDDEN // HEADS
ROWS, TOKENS, ATTENTION = HEADS * SEQUENCE, SEQUENCE * HIDDEN, HEADS * SEQUENCE * SEQUENCE
SHARED_BYTES = [4 * n for n in (*[TOKENS] * 4, *[SEQUENCE * WIDE] * 2, *[ATTENTION] * 2)]
SUM_VALUES = 1024  # of a work buffer of a mean


def build(name: str = "bert", *, shares: bool = True) -> KernelGraph:
    """32 kernels a layer (6 of them for each of two norms, 4 for a softmax) and 13 more.

    Launches and constants (391, 1,335,853,064 B: of the 512 positions, 384 are kept) follow from this. So do the
    distinct kernels, with the norm of the last layer as one of its own: it has one reader, so TVM fuses the reshape
    between the two. Two kernels for the mask and one for the bias of the answer are assumed; with them, results
    without sharing take the 1,818 MB that the authors' did before July 2022.

    The authors' 108 temporaries and outputs have 38.2 MB: eight buffers that results share have 37.7 MB, and the
    98 sums of the norms' means are each their own. These would need 1,536 B; 4,096 B is what makes the total.
    Before July 2022 results had a buffer each (``shares`` False).
    """
    g = Operators(name, "bert-tvm", SHARED_BYTES if shares else None)
    ids, segments, mask = (g.input(n, SEQUENCE, dtype="int64") for n in ("ids", "segments", "mask"))
    x = _embed(g, ids, segments)
    flags = g.elementwise("mask_cast", SEQUENCE, (mask,), g.temporary("mask.flags", SEQUENCE), n_read=2 * SEQUENCE)
    penalty = g.elementwise("mask_scale", SEQUENCE, (flags,), g.temporary("mask.penalty", SEQUENCE))
    for layer in range(LAYERS):
        x = _layer(g, x, penalty, f"layer{layer}", last=layer == LAYERS - 1)
    _answer(g, x)
    return g.finish()


def _embed(g: Operators, ids: str, segments: str) -> str:
    sizes = {"words": VOCABULARY, "positions": SEQUENCE, "segments": 2}
    tables = [g.constant(f"embed.{name}", n * HIDDEN, 1.0) for name, n in sizes.items()]
    y = g.temporary("embed", TOKENS)
    g.elementwise("embed", TOKENS, (ids, segments, *tables), y, n_read=3 * TOKENS + 4 * SEQUENCE)
    return _norm(g, y, "embed.norm")


def _layer(g: Operators, x: str, penalty: str, name: str, *, last: bool) -> str:
    context = _attention(g, x, penalty, f"{name}.attention")
    mixed = _dense(g, context, HIDDEN, HIDDEN, f"{name}.mix")
    x = _norm(g, _add_bias(g, mixed, x, f"{name}.mix"), f"{name}.attention.norm")
    wide = _dense(g, x, HIDDEN, WIDE, f"{name}.widen")
    bias, activated = g.constant(f"{name}.widen.bias", WIDE, 1.0), g.temporary(f"{name}.gelu", SEQUENCE * WIDE)
    g.elementwise("bias_gelu", SEQUENCE * WIDE, (wide, bias), activated, n_read=SEQUENCE * WIDE + WIDE)
    narrow = _dense(g, activated, WIDE, HIDDEN, f"{name}.narrow")
    return _norm(g, _add_bias(g, narrow, x, f"{name}.narrow"), f"{name}.norm", "_reshape" * last)


def _attention(g: Operators, x: str, penalty: str, name: str) -> str:
    """Tokens mixed by 16 heads: sequence x hidden."""
    query, key, value = (_heads(g, x, part, f"{name}.{part}") for part in ("query", "key", "value"))
    scores = g.temporary(f"{name}.scores", ATTENTION)
    g.product("query_key", (SEQUENCE, SEQUENCE, DEPTH), (query, key), scores, batch=HEADS)
    masked = g.temporary(f"{name}.masked", ATTENTION)
    g.elementwise("scale_mask", ATTENTION, (scores, penalty), masked, n_read=ATTENTION + SEQUENCE)
    weights = _softmax(g, masked, f"{name}.softmax")
    by_head = g.temporary(f"{name}.by_head", TOKENS)
    g.product("weights_value", (SEQUENCE, DEPTH, SEQUENCE), (weights, value), by_head, batch=HEADS)
    return g.elementwise("merge_heads", TOKENS, (by_head,), g.temporary(f"{name}.context", TOKENS))


def _heads(g: Operators, x: str, part: str, name: str) -> str:
    """A product, and its bias together with the transposition to heads."""
    product, bias = _dense(g, x, HIDDEN, HIDDEN, name), g.constant(f"{name}.bias", HIDDEN, 1.0)
    y = g.temporary(f"{name}.heads", TOKENS)
    return g.elementwise(f"bias_heads_{part}", TOKENS, (product, bias), y, n_read=TOKENS + HIDDEN)


def _softmax(g: Operators, x: str, name: str) -> str:
    """Of each row of each head, in 4 kernels; by TVM's schedule a single thread reduces a row (softmax.py)."""
    largest = g.elementwise("softmax_max", ROWS, (x,), g.temporary(f"{name}.max", ROWS), n_read=ATTENTION)
    powers = g.temporary(f"{name}.powers", ATTENTION)
    g.elementwise("softmax_exp", ATTENTION, (x, largest), powers, n_read=ATTENTION + ROWS)
    total = g.elementwise("softmax_sum", ROWS, (powers,), g.temporary(f"{name}.sum", ROWS), n_read=ATTENTION)
    y = g.temporary(f"{name}.weights", ATTENTION)
    return g.elementwise("softmax_divide", ATTENTION, (powers, total), y, n_read=ATTENTION + ROWS)


def _norm(g: Operators, x: str, name: str, fused: str = "") -> str:
    """Layer norm in 6 kernels: mean in two, centred, mean of the squares in two, and the result."""
    gamma, beta = (g.constant(f"{name}.{part}", HIDDEN, 1.0) for part in ("gamma", "beta"))
    mean = _mean(g, x, "mean", f"{name}.mean")
    centred = g.temporary(f"{name}.centred", TOKENS)
    g.elementwise("centre", TOKENS, (x, mean), centred, n_read=TOKENS + SEQUENCE)
    variance = _mean(g, centred, "power_mean", f"{name}.variance")
    y, n_read = g.temporary(f"{name}.result", TOKENS), TOKENS + SEQUENCE + 2 * HIDDEN
    return g.elementwise(f"normalise{fused}", TOKENS, (centred, variance, gamma, beta), y, n_read=n_read)


def _mean(g: Operators, x: str, kernel: str, name: str) -> str:
    total = g.reduction(f"{kernel}_sum", SEQUENCE, HIDDEN, (x,), g.work(f"{name}.sum", SUM_VALUES))
    return g.elementwise(f"{kernel}_divide", SEQUENCE, (total,), g.temporary(name, SEQUENCE))


def _dense(g: Operators, x: str, fan_in: int, fan_out: int, name: str) -> str:
    """Product with a constant, without bias."""
    weight, y = g.constant(f"{name}.weight", fan_in * fan_out, 1.0), g.temporary(name, SEQUENCE * fan_out)
    return g.product(f"dense_{fan_in}_{fan_out}", (SEQUENCE, fan_out, fan_in), (x, weight), y)


def _add_bias(g: Operators, x: str, residual: str, name: str) -> str:
    bias, y = g.constant(f"{name}.bias", HIDDEN, 1.0), g.temporary(f"{name}.added", TOKENS)
    return g.elementwise("bias_add", TOKENS, (x, bias, residual), y, n_read=2 * TOKENS + HIDDEN)


def _answer(g: Operators, x: str) -> None:
    """Start and end of the answer, an output each."""
    product, bias = _dense(g, x, HIDDEN, 2, "answer"), g.constant("answer.bias", 2, 1.0)
    logits = g.temporary("logits", 2 * SEQUENCE)
    g.elementwise("answer_bias", 2 * SEQUENCE, (product, bias), logits, n_read=2 * SEQUENCE + 2)
    for part in ("start", "end"):
        g.elementwise(f"answer_{part}", SEQUENCE, (logits,), g.output(part, SEQUENCE))
