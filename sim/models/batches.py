"""What a batch takes: several invocations of one function that a worker runs at once, each kernel for all of them.

Inputs, outputs and temporaries are there once for each invocation, constants once for all. The kernels' time comes
from the first of these that a calibration has:

- ``graphs.GRAPH.KIND.batch_run_s``, measured for some sizes: on straight lines between them, and no further;
- ``graphs.GRAPH.KIND.batch_fixed_frac``, the part f of the kernels' time T of one that is paid once: T (f + (1 - f) n),
  the line by which Nexus (Shen et al., SOSP 2019) and INFaaS (Romero et al., ATC 2021) profile models;
- ``roofline.batches``: each kernel is launched once, with the blocks and operations of all. It moves its constants once
  and the rest for each. Time grows from that of one as this does: the largest of the launch, the waves of blocks on
  the multiprocessors (``sim.models.occupancy``; without their number, the operations), and the traffic, by the roofline
  (Williams, Waterman and Patterson, CACM 52(4), 2009). So a kernel whose blocks leave multiprocessors idle gains most.
"""

from __future__ import annotations

from math import prod
from typing import Protocol

import numpy as np

from sim.domain import Kernel, KernelGraph, Role, WorkerKind
from sim.errors import ScenarioError
from sim.models.calibration import Calibration, GraphCosts

MOST_BATCH = 1024  # servers stop at 8 to 256; no law is trusted for more


class BatchLaw(Protocol):
    """Time in kernels by size. most: the largest size that it tells of."""

    @property
    def most(self) -> int:
        """The largest size."""
        ...

    def run_s(self, n: int) -> float:
        """Seconds in kernels of a batch of ``n``, from 1 to ``most``."""
        ...


def batch_law(calibration: Calibration, graph: KernelGraph, kind: WorkerKind, run_s: float, io_s: float) -> BatchLaw:
    """The law of a graph. run_s: kernels of one invocation; io_s: its copies, which measured times include.

    Raises ScenarioError when the calibration has none.
    """
    measured = calibration.graphs.get(graph.name, {}).get(kind.value)
    if measured is not None and measured.batch_run_s:
        return _Measured(measured, run_s, io_s)
    if measured is not None and measured.batch_fixed_frac is not None:
        return _Line(run_s, measured.batch_fixed_frac)
    if calibration.roofline.batches:
        return _Scaled(calibration, graph, kind, run_s)
    raise ScenarioError(
        f"{calibration.name}: graphs: {graph.name}: {kind.value}: has neither batch_run_s nor batch_fixed_frac, and "
        "roofline.batches is not true; one must be given for batches of more than 1"
    )


class _Measured:
    """Measured sizes, of which 1 is the first."""

    def __init__(self, measured: GraphCosts, run_s: float, io_s: float) -> None:
        sizes = sorted(map(int, measured.batch_run_s))
        self._sizes = [1, *sizes]
        self._run_s = [run_s, *(max(measured.batch_run_s[str(n)] - n * io_s, 0.0) for n in sizes)]
        self.most = sizes[-1]

    def run_s(self, n: int) -> float:
        return float(np.interp(n, self._sizes, self._run_s))


class _Line:
    """A part that is paid once, and one for each."""

    most = MOST_BATCH

    def __init__(self, run_s: float, fixed_frac: float) -> None:
        self._run_s, self._fixed_frac = run_s, fixed_frac

    def run_s(self, n: int) -> float:
        return self._run_s * (self._fixed_frac + (1 - self._fixed_frac) * n)


class _Scaled:
    """The time of one, times what blocks, traffic and launches say of ``n`` over what they say of one."""

    most = MOST_BATCH

    def __init__(self, calibration: Calibration, graph: KernelGraph, kind: WorkerKind, run_s: float) -> None:
        size_of = {b.name: b.size_bytes for b in graph.buffers if b.role is Role.CONSTANT}
        self._roofline = calibration.roofline
        self._n_sms = calibration.n_multiprocessors or 1  # on a single one, all blocks come one after another
        self._launch_s = calibration.launch_s.of(kind)
        self._buffers_s = len(graph.buffers) * calibration.buffer_s.of(kind)
        self._kernels = [(k, _fixed_bytes(k, size_of)) for k in graph.kernels]
        self._n_iter = graph.n_iter
        self._run_s, self._one_s = run_s, self._law_s(1)

    def run_s(self, n: int) -> float:
        return self._run_s * (self._law_s(n) / self._one_s) if self._one_s else self._run_s * n

    def _law_s(self, n: int) -> float:
        return self._buffers_s + self._n_iter * sum(self._kernel_s(k, fixed, n) for k, fixed in self._kernels)

    def _kernel_s(self, kernel: Kernel, fixed_bytes: int, n: int) -> float:
        blocks = prod(kernel.grid)
        wave_s = self._roofline.compute_s(kernel) * self._n_sms / blocks
        n_waves = -(-n * blocks // self._n_sms)
        moved_bytes = fixed_bytes + n * (kernel.moved_bytes - fixed_bytes)
        return max(self._launch_s, n_waves * wave_s, self._roofline.memory_s(moved_bytes))


def _fixed_bytes(kernel: Kernel, size_of_constants: dict[str, int]) -> int:
    """Bytes of constants that a launch reads, whole. One that moves less than these looks something up in them for
    each invocation, such as the embeddings of words."""
    whole = sum(size_of_constants.get(name, 0) for name in {a.buffer for a in kernel.args})
    return whole if whole <= kernel.moved_bytes else 0
