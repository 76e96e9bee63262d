"""Stands for PyTorch on a machine with a GPU: products have their shapes checked, and take an invented time."""

import time
from types import SimpleNamespace

float32, bfloat16 = "float32", "bfloat16"
FLOP_PER_S = {float32: 5e13, bfloat16: 8e14}
backends = SimpleNamespace(cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)))
_queued_s = [0.0]


def device(name):
    return SimpleNamespace(type=name.partition(":")[0])


def ones(shape, dtype, device):
    return SimpleNamespace(shape=shape, dtype=dtype)


def bmm(a, b):
    """A product that takes its time when it is waited for."""
    (batch, m, k), (_, _, n) = a.shape, b.shape
    assert (a.dtype, b.shape[:2]) == (b.dtype, (batch, k))
    _queued_s[0] += 2 * batch * m * n * k / FLOP_PER_S[a.dtype]


def _synchronize(device):
    time.sleep(_queued_s.pop())
    _queued_s.append(0.0)


cuda = SimpleNamespace(synchronize=_synchronize)
