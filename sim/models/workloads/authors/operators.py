"""Launches of a network as TVM compiles it: operators of one or more kernels, batch 1, float32.

An operator's result goes to one of a few buffers that all results share. What passes between the kernels of one
operator goes to a work buffer, which may be its own: TVM shares results only.

Grids are those of TVM's schedules; convolutions have those of the project's own kernels, since their tiles are tuned
and what the authors got isn't known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sim.domain import Buffer, BufferArg, Kernel, KernelGraph, Role
from sim.models.workloads.authors import schedules
from sim.models.workloads.build import FLOAT_BYTES, GraphBuilder
from sim.models.workloads.geometry import MATMUL_BLOCK, tiles


class Operators(GraphBuilder):
    """Collects launches like ``GraphBuilder``; ``shared_bytes`` are the sizes of the buffers that results share.

    None: each result has a buffer of its own, as in the authors' graphs before July 2022.

    All kernels are of one source, as TVM compiles a network to one module. Traffic is counted in values that a
    kernel reads and writes, not in sizes of buffers, since a shared buffer may be larger than what it holds.
    """

    def __init__(self, name: str, source: str, shared_bytes: Sequence[int] | None) -> None:
        super().__init__(name)
        self._source = source
        self._shared_bytes = shared_bytes
        self._work: set[str] = set()

    def work(self, name: str, n: int) -> str:
        """Declare a work buffer of ``n`` floats that no other operator uses."""
        self._work.add(name)
        return self.temporary(name, n)

    def product(self, kernel: str, shape: tuple[int, int, int], reads: Sequence[str], y: str, *, batch: int = 1) -> str:
        """A (batched) product for ``shape`` (m, n, k); returns ``y``."""
        m, n, k = shape
        n_values = batch * (m * k + k * n + m * n)
        self._launch(kernel, *schedules.product(m, n, batch), reads, y, n_values, flops=2 * batch * m * n * k)
        return y

    def convolution(
        self, kernel: str, shape: tuple[int, int, int], reads: Sequence[str], y: str, n_values: int, *, batch: int = 1
    ) -> str:
        """A convolution as a (batched) product for ``shape`` (m, n, k); returns ``y``.

        ``n_values`` read and written are fewer than those of the factors and the product.
        """
        m, n, k = shape
        _, grid = tiles(m, n, batch)
        self._launch(kernel, grid, MATMUL_BLOCK, reads, y, n_values, flops=2 * batch * m * n * k)
        return y

    def elementwise(self, kernel: str, n: int, reads: Sequence[str], y: str, *, n_read: int | None = None) -> str:
        """A kernel that makes ``n`` values, of as many each of ``reads`` or of ``n_read`` in all; returns ``y``."""
        self._launch(kernel, *schedules.elementwise(n), reads, y, n + (n * len(reads) if n_read is None else n_read))
        return y

    def reduction(self, kernel: str, rows: int, columns: int, reads: Sequence[str], y: str) -> str:
        """A kernel that makes a value of each row; returns ``y``."""
        self._launch(kernel, *schedules.reduction(rows), reads, y, rows * (columns + 1))
        return y

    def _launch(
        self,
        kernel: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        reads: Sequence[str],
        y: str,
        n_values: int,
        flops: int = 0,
    ) -> None:
        name = f"{self._source}:{kernel}"
        moved_bytes = FLOAT_BYTES * n_values
        self.launch(name, grid, block, (), reads=reads, writes=(y,), flops=flops, moved_bytes=moved_bytes)

    def finish(self) -> KernelGraph:
        """The graph, with its results in the shared buffers and its buffers in order of first use."""
        placed = dict(self._buffers)
        if self._shared_bytes is not None:
            results = {n: b for n, b in placed.items() if b.role is Role.TEMPORARY and n not in self._work}
            placed |= share(self._kernels, results, self._shared_bytes)
        kernels = tuple(
            replace(k, args=tuple(BufferArg(placed[a.buffer].name, a.direction) for a in k.args)) for k in self._kernels
        )
        used = dict.fromkeys(a.buffer for k in self._kernels for a in k.args)
        buffers = {placed[name].name: placed[name] for name in used}
        return KernelGraph(self.name, kernels, tuple(buffers.values()))


def share(kernels: Sequence[Kernel], results: Mapping[str, Buffer], shared_bytes: Sequence[int]) -> dict[str, Buffer]:
    """The shared buffer of every result: the smallest free one that is large enough, of these the longest free.

    A buffer is free again after the kernel that uses its result last. Raises ValueError where none is free.
    """
    uses = [tuple(dict.fromkeys(a.buffer for a in k.args if a.buffer in results)) for k in kernels]
    last_use = {name: i for i, names in enumerate(uses) for name in names}
    free = [Buffer(f"shared{i}", size, Role.TEMPORARY) for i, size in enumerate(shared_bytes)]
    placed: dict[str, Buffer] = {}
    for i, names in enumerate(uses):
        for name in names:
            if name not in placed:
                fitting = [b for b in free if b.size_bytes >= results[name].size_bytes]
                if not fitting:
                    raise ValueError(f"no shared buffer is free for {name!r} of {results[name].size_bytes} bytes")
                placed[name] = min(fitting, key=lambda b: b.size_bytes)
                free.remove(placed[name])
        free += [placed[name] for name in names if last_use[name] == i]
    return placed
