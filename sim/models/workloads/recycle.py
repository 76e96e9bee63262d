"""Let temporaries whose lives don't overlap share memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sim.domain import Buffer, Kernel, Role


def recycle(kernels: Sequence[Kernel], buffers: Mapping[str, Buffer]) -> dict[str, Buffer]:
    """The shared buffer of every temporary that ``kernels`` use.

    Greedy, in launch order: a temporary takes the smallest free buffer that is large enough, else the
    largest free one, which grows, else a new one. Its buffer is free again after the kernel of its last use,
    so a kernel never meets one buffer under two names.
    """
    uses = [tuple(dict.fromkeys(a.buffer for a in k.args)) for k in kernels]
    last_use = {name: i for i, names in enumerate(uses) for name in names}
    shared: list[Buffer] = []
    index: dict[str, int] = {}  # temporary -> its place in `shared`
    free: set[int] = set()
    for i, names in enumerate(uses):
        temporaries = [n for n in names if buffers[n].role is Role.TEMPORARY]
        for name in temporaries:
            if name not in index:
                index[name] = _place(buffers[name], shared, free)
        free.update(index[n] for n in temporaries if last_use[n] == i)
    return {name: shared[at] for name, at in index.items()}


def _place(buffer: Buffer, shared: list[Buffer], free: set[int]) -> int:
    """Take a place in ``shared`` for ``buffer``, out of ``free`` if one has its type."""
    fitting = sorted((i for i in free if shared[i].dtype == buffer.dtype), key=lambda i: (shared[i].size_bytes, i))
    if not fitting:
        shared.append(replace(buffer, name=f"temporary{len(shared)}"))
        return len(shared) - 1
    at = next((i for i in fitting if shared[i].size_bytes >= buffer.size_bytes), fitting[-1])
    free.remove(at)
    shared[at] = replace(shared[at], size_bytes=max(shared[at].size_bytes, buffer.size_bytes))
    return at
