"""How a cap on the multiprocessors (SMs) of a device stretches kernels, and what a capped graph leaves to others.

An SM works at its full rate as soon as it has a block: register-blocked kernels need no more (Volkov, Better
performance at lower occupancy, GTC 2010). Blocks go to SMs in turn, so a kernel takes as long as the SM with the most
of them (CUDA C++ Programming Guide, Hardware Implementation): as many waves of one block an SM as its blocks need.
An SM has an equal part of the reachable operations and of the reachable bandwidth of the device, so a grid that
fills all SMs takes what the roofline of the device says (Williams, Waterman and Patterson, CACM 52(4), 2009), and a
grid of one block takes as long as one block does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from sim.domain import Kernel, KernelGraph

if TYPE_CHECKING:
    from sim.models.calibration import Roofline
    from sim.models.mig.profiles import Profile


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


ALONE = Shared(1.0, 1.0, 0.0)  # what has the whole device while it runs


def n_waves(kernel: Kernel, n_sms: int, share: float) -> int:
    """Blocks of the SM that gets the most; a share of the SMs is rounded down to whole ones, but at least one.

    The tiny term is for shares k / n that come out just below k.
    """
    usable = max(1, int(share * n_sms + 1e-9))
    return -(-prod(kernel.grid) // usable)


def kernel_s(kernel: Kernel, n_sms: int, share: float, roofline: Roofline, launch_s: float) -> float:
    """Time of a kernel that may use the share of the SMs: its waves, or the least time between launches."""
    block_s = roofline.busy_s(kernel) * n_sms / prod(kernel.grid)
    return max(launch_s, n_waves(kernel, n_sms, share) * block_s)


def graph_s(graph: KernelGraph, n_sms: int, share: float, roofline: Roofline, launch_s: float) -> float:
    """Time of one iteration of a graph that may use the share of the SMs."""
    return sum(kernel_s(k, n_sms, share, roofline, launch_s) for k in graph.kernels)


def under_share(graph: KernelGraph, share: float, n_sms: int, roofline: Roofline, launch_s: float) -> Shared:
    """What becomes of a graph that may use the share of the SMs. One of its iterations is as good as all."""
    alone_s = graph_s(graph, n_sms, 1.0, roofline, launch_s)
    if alone_s == 0:
        return Shared(1.0, 0.0, 0.0)
    run_s = graph_s(graph, n_sms, share, roofline, launch_s)
    moved_bytes = sum(k.moved_bytes for k in graph.kernels)
    return Shared(
        run_frac=run_s / alone_s,
        # Every block keeps its SM for the time of a block, however many there are at once.
        sm_frac=sum(roofline.busy_s(k) for k in graph.kernels) / run_s,
        bandwidth_frac=min(1.0, moved_bytes / run_s / roofline.bytes_per_s),
    )


def on_instance(
    graph: KernelGraph, share: float, profile: Profile, n_sms: int, roofline: Roofline, launch_s: float
) -> Shared:
    """What becomes of a graph that may use the share of the SMs of an instance of a device with ``n_sms``.

    Shares of SMs and bandwidth are of the instance, ``run_frac`` is over the time alone on the whole device.
    """
    part = roofline.part(profile.compute_frac, profile.bandwidth_frac)
    alone_s = graph_s(graph, n_sms, 1.0, roofline, launch_s)
    run_s = graph_s(graph, profile.n_sms, share, part, launch_s)
    run_frac = max(run_s / alone_s, 1.0) if alone_s else 1.0
    return replace(under_share(graph, share, profile.n_sms, part, launch_s), run_frac=run_frac)
