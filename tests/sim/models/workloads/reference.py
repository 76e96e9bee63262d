"""The layers and networks in NumPy, float64, straight from their definitions: the oracle for kernels and graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import erf

Values = Mapping[str, np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def windows(x: np.ndarray, size: int, stride: int, pad: int, fill: float) -> np.ndarray:
    """channels x out height x out width x size x size."""
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, size: int, stride: int, pad: int) -> np.ndarray:
    w = weight.reshape(len(bias), len(x), size, size)
    return np.tensordot(w, windows(x, size, stride, pad, 0), ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]


def depthwise_conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, size: int, stride: int, pad: int) -> np.ndarray:
    w = weight.reshape(len(x), size, size)
    return relu(np.einsum("cyxhw,chw->cyx", windows(x, size, stride, pad, 0), w) + bias[:, None, None])


def max_pool(x: np.ndarray, size: int, stride: int, pad: int) -> np.ndarray:
    return windows(x, size, stride, pad, -np.inf).max(axis=(3, 4))


def pixel_shuffle(x: np.ndarray, factor: int) -> np.ndarray:
    c, h, w = x.shape
    split = x.reshape(c // factor**2, factor, factor, h, w)
    return split.transpose(0, 3, 1, 4, 2).reshape(c // factor**2, h * factor, w * factor)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * (1 + gamma) + beta


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def overlap(p: np.ndarray, q: np.ndarray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    sides = np.maximum(np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2]), 0)
    shared = sides.prod()
    return float(shared / ((p[2:] - p[:2]).prod() + (q[2:] - q[:2]).prod() - shared))


def decode(scores: np.ndarray, offsets: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """anchors x (class, score, x0, y0, x1, y1)."""
    p = softmax(scores)[:, 1:]
    centre = anchors[:, :2] + 0.1 * offsets[:, :2] * np.exp(anchors[:, 2:])
    half = 0.5 * np.exp(anchors[:, 2:] + 0.2 * offsets[:, 2:])
    best = p.argmax(axis=1)
    return np.column_stack([best, p[np.arange(len(p)), best], centre - half, centre + half])


def suppress(candidates: np.ndarray, keep: int, max_overlap: float, min_score: float) -> np.ndarray:
    kept: list[np.ndarray] = []
    for box in candidates[np.argsort(-candidates[:, 1], kind="stable")]:
        if len(kept) == keep or box[1] < min_score:
            break
        if all(box[0] != k[0] or overlap(box[2:], k[2:]) <= max_overlap for k in kept):
            kept.append(box)
    return np.vstack([*kept, np.full((keep - len(kept), 6), -1.0)])


class _Network:
    """Values by name, in float64, and convolutions by the name of a layer."""

    def __init__(self, values: Values) -> None:
        self.values = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in values.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def conv(self, x: np.ndarray, name: str, size: int, stride: int = 1) -> np.ndarray:
        return conv(x, self[f"{name}.weight"], self[f"{name}.bias"], size, stride, size // 2)


def resnet(values: Values, image: int, blocks: Sequence[int]) -> np.ndarray:
    n = _Network(values)
    x = relu(n.conv(n["image"].reshape(3, image, image), "stem", 7, 2))
    x = max_pool(x, 3, 2, 1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            name = f"stage{stage}.block{block}"
            stride = 2 if stage and not block else 1
            y = relu(n.conv(x, f"{name}.reduce", 1))
            y = relu(n.conv(y, f"{name}.spatial", 3, stride))
            shortcut = x if block else n.conv(x, f"{name}.project", 1, stride)
            x = relu(n.conv(y, f"{name}.expand", 1) + shortcut)
    mean = x.mean(axis=(1, 2))
    bias = n["classifier.bias"]
    return softmax(n["classifier.weight"].reshape(len(bias), -1) @ mean + bias)


def superres(values: Values, image: int, factor: int) -> np.ndarray:
    n = _Network(values)
    x = relu(n.conv(n["image"].reshape(1, image, image), "conv1", 5))
    x = relu(n.conv(x, "conv2", 3))
    x = relu(n.conv(x, "conv3", 3))
    return pixel_shuffle(n.conv(x, "conv4", 3), factor)


def bert(values: Values, layers: int, hidden: int, heads: int, sequence: int) -> np.ndarray:
    n = _Network(values)
    words, kinds = n["embed.words"].reshape(-1, hidden), n["embed.segments"].reshape(-1, hidden)
    places = n["embed.positions"].reshape(-1, hidden)[:sequence]
    x = layer_norm(words[n["ids"]] + kinds[n["segments"]] + places, n["embed.gamma"], n["embed.beta"])
    for i in range(layers):
        a, f = f"layer{i}.attention", f"layer{i}"
        qkv = x @ n[f"{a}.qkv.weight"].reshape(hidden, -1) + n[f"{a}.qkv.bias"]
        q, k, v = qkv.reshape(sequence, 3, heads, -1).transpose(1, 2, 0, 3)
        logits = q @ k.transpose(0, 2, 1) / np.sqrt(hidden // heads) - 10_000 * (n["mask"] == 0)
        context = (softmax(logits) @ v).transpose(1, 0, 2).reshape(sequence, hidden)
        mixed = context @ n[f"{a}.mix.weight"].reshape(hidden, hidden) + n[f"{a}.norm.bias"]
        x = layer_norm(mixed + x, n[f"{a}.norm.gamma"], n[f"{a}.norm.beta"])
        wide = gelu(x @ n[f"{f}.widen.weight"].reshape(hidden, -1) + n[f"{f}.gelu.bias"])
        narrow = wide @ n[f"{f}.narrow.weight"].reshape(-1, hidden) + n[f"{f}.norm.bias"]
        x = layer_norm(narrow + x, n[f"{f}.norm.gamma"], n[f"{f}.norm.beta"])
    return x @ n["answer.weight"].reshape(2, hidden).T + n["answer.bias"]


def ssd(values: Values, image: int, classes: int, keep: int) -> np.ndarray:
    n = _Network(values)
    x = relu(n.conv(n["image"].reshape(3, image, image), "stem", 3, 2))
    maps = []
    for i in range(13):
        stride = 2 if i in (1, 3, 5, 11) else 1
        w, b = n[f"depthwise{i}.weight"], n[f"depthwise{i}.bias"]
        x = relu(n.conv(depthwise_conv(x, w, b, 3, stride, 1), f"pointwise{i}", 1))
        if i in (10, 12):
            maps.append(x)
    for i in range(4):
        x = relu(n.conv(relu(n.conv(x, f"extra{i}.reduce", 1)), f"extra{i}.spatial", 3, 2))
        maps.append(x)

    def rows(kind: str, width: int) -> np.ndarray:
        heads = [n.conv(m, f"head{i}.{kind}", 3) for i, m in enumerate(maps)]
        return np.concatenate([h.transpose(1, 2, 0).reshape(-1, width) for h in heads])

    anchors = n["anchors"].reshape(-1, 4)
    return suppress(decode(rows("scores", classes + 1), rows("boxes", 4), anchors), keep, 0.45, 0.01)
