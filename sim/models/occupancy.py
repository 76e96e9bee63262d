"""How a cap on the multiprocessors (SMs) of a device stretches kernels, and what a capped graph leaves to others.

A kernel runs in waves: its blocks fill the slots of the SMs that it may use, and the next wave starts where they end
(CUDA C++ Programming Guide, Hardware Implementation). Each slot has an equal part of the reachable operations and of
the reachable bandwidth of the device, so one full wave on all SMs takes what the roofline of the whole device says
(Williams, Waterman and Patterson, CACM 52(4), 2009), and a grid of one block takes as long as one block does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod
from typing import TYPE_CHECKING

from sim.domain import Kernel, KernelGraph
from sim.errors import ScenarioError

if TYPE_CHECKING:  # a calibration has Multiprocessors
    from sim.models.calibration import Roofline

# CUDA C++ Programming Guide, technical specifications, and CUDA Occupancy Calculator; compute capability 7.0 to 9.0.
WARP = 32  # threads
REGISTER_UNIT = 256  # registers are given to a warp in multiples of this


@dataclass(frozen=True, slots=True)
class Multiprocessors:
    """The SMs of a device: how many, and what each holds at most."""

    n: int
    threads: int
    blocks: int
    shared_bytes: int
    registers: int

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ScenarioError(f"{field.name} is {getattr(self, field.name)}, must be at least 1")


@dataclass(frozen=True, slots=True)
class Shared:
    """What a cap makes of a graph.

    run_frac: time of its kernels under the cap over that alone on the device, at least 1. sm_frac: share of the SMs
    that it keeps busy meanwhile, in [0, 1]. bandwidth_frac: share of the peak bandwidth that it draws, in [0, 1].
    The last two are means over the run, as ``sim.models.sharing`` takes them.
    """

    run_frac: float
    sm_frac: float
    bandwidth_frac: float


def blocks_per_sm(kernel: Kernel, sm: Multiprocessors) -> int:
    """Blocks of a kernel that an SM holds at once, at least 1; registers limit them where they are known."""
    warps = _ceil_div(prod(kernel.block), WARP)
    limits = [sm.blocks, sm.threads // (warps * WARP)]
    if kernel.shared_bytes:
        limits.append(sm.shared_bytes // kernel.shared_bytes)
    if kernel.registers:
        of_warp = _ceil_div(kernel.registers * WARP, REGISTER_UNIT) * REGISTER_UNIT
        limits.append(sm.registers // of_warp // warps)
    return max(1, min(limits))


def n_waves(kernel: Kernel, sm: Multiprocessors, share: float) -> int:
    """Waves of a kernel that may use the share of the SMs, rounded down to whole ones but at least one."""
    return _ceil_div(prod(kernel.grid), _sms(sm, share))


def kernel_s(kernel: Kernel, sm: Multiprocessors, share: float, roofline: Roofline, launch_s: float) -> float:
    """Time of a kernel that may use the share of the SMs: its waves, or the least time between launches."""
    block_s = _busy_s(kernel, roofline) * sm.n / prod(kernel.grid)
    return max(launch_s, n_waves(kernel, sm, share) * block_s)


def under_share(graph: KernelGraph, share: float, sm: Multiprocessors, roofline: Roofline, launch_s: float) -> Shared:
    """What becomes of a graph that may use the share of the SMs. One of its iterations is as good as all."""
    alone_s = sum(kernel_s(k, sm, 1.0, roofline, launch_s) for k in graph.kernels)
    if alone_s == 0:
        return Shared(1.0, 0.0, 0.0)
    run_s = sum(kernel_s(k, sm, share, roofline, launch_s) for k in graph.kernels)
    moved_bytes = sum(k.moved_bytes for k in graph.kernels)
    return Shared(
        run_frac=run_s / alone_s,
        # Every block keeps its slot for the time of a block, however many there are at once.
        sm_frac=sum(_busy_s(k, roofline) for k in graph.kernels) / run_s,
        bandwidth_frac=min(1.0, moved_bytes / run_s / roofline.bytes_per_s),
    )


def _busy_s(kernel: Kernel, roofline: Roofline) -> float:
    """Time of all blocks of a kernel over all slots of the device: the roofline of the whole device."""
    return max(
        kernel.flops / (roofline.flops_per_s * roofline.compute_frac),
        kernel.moved_bytes / (roofline.bytes_per_s * roofline.bandwidth_frac),
    )


def _sms(sm: Multiprocessors, share: float) -> int:
    """Multiprocessors of a share; the tiny term is for shares k / n that come out just below k."""
    return max(1, int(share * sm.n + 1e-9))


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
