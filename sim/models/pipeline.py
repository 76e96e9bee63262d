"""Pipelined loading: constants come in groups, and a kernel starts when all that it uses is there.

After PipeSwitch (Bai et al., OSDI 2020): group n arrives at A_n, and its kernels end at F_n = max(F_n-1, A_n) + run_n.
With one group the run starts when everything is loaded. On a way of several rungs (``sim.models.tiers``) groups go one
behind the other, each rung with one group at a time: a flow shop, of which the kernels are the last machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from sim.domain import Buffer, KernelGraph
from sim.models.buffers import BufferSet
from sim.models.tiers import Rung


class Groups(NamedTuple):
    """Buffers that are loaded, in groups, in the order in which they come.

    n_bytes: of each. first_launch: the first launch that waits for it or for a later one, ascending. The first group
    is empty: it stands for the launches that wait for nothing.
    """

    n_bytes: tuple[int, ...]
    first_launch: tuple[int, ...]

    def runs_s(self, ends_s: Sequence[float]) -> list[float]:
        """Run time that each group sets free, from the ends of all launches (``CostModel.kernel_ends_s``)."""
        ends = [0.0, *ends_s]
        bounds = [*self.first_launch, len(ends_s)]
        return [ends[last] - ends[first] for first, last in pairwise(bounds)]


class Overlap(NamedTuple):
    """Seconds from the beginning of the load. loaded_s: everything is there. over_s: the last kernel ends.

    hidden_s: the part of the load during which kernels ran: what is won against loading first.
    """

    loaded_s: float
    over_s: float
    hidden_s: float


def first_launches(graph: KernelGraph, buffers: Sequence[Buffer]) -> list[int]:
    """The launch that first uses each of these buffers; one that no kernel names is needed from the start."""
    first: dict[str, int] = {}
    for launch, kernel in enumerate(graph.kernels):
        for arg in kernel.args:
            first.setdefault(arg.buffer, launch)
    return [first.get(b.name, 0) for b in buffers]


def make_groups(buffers: BufferSet, launches: Sequence[int], n_loaded: int, group_bytes: int) -> Groups:
    """The leading ``n_loaded`` buffers, those a ``sim.models.memory.Placement`` has to load, in groups.

    launches: see ``first_launches``. A group ends as soon as it has ``group_bytes``: 1 makes one of each buffer.
    """
    sizes, firsts = [0], [0]
    is_full = True
    for i in range(n_loaded):
        n_bytes = buffers.load_upto[i + 1] - buffers.load_upto[i]
        if not n_bytes:
            continue  # its content is made on the device
        if is_full:
            sizes.append(0)
            firsts.append(launches[i])
        sizes[-1] += n_bytes
        firsts[-1] = min(firsts[-1], launches[i])
        is_full = sizes[-1] >= group_bytes
    # Groups come in order, so a launch that waits for one has waited for all before it.
    return Groups(tuple(sizes), tuple(accumulate(reversed(firsts), min))[::-1])


def arrivals_s(n_bytes: Sequence[int], rungs: Sequence[Rung], waits_s: Sequence[float] | None = None) -> list[float]:
    """When each group is at the end of its way, from the beginning of the load; an empty one is there at once.

    rungs: the way, in order. waits_s: how long the first group queues for each of them behind other loads; None: never.
    """
    ready_s = [0.0] * len(n_bytes)
    for rung, waited_s in zip(rungs, waits_s or [0.0] * len(rungs), strict=True):
        free_s = None
        for i, size in enumerate(n_bytes):
            if not size:
                continue
            if free_s is None:
                begin_s, extra_s = ready_s[i] + waited_s, rung.fixed_s
            else:
                begin_s, extra_s = max(ready_s[i], free_s), rung.group_s
            ready_s[i] = free_s = begin_s + extra_s + size / rung.bytes_per_s
    return ready_s


def overlap(arrivals: Sequence[float], runs_s: Sequence[float]) -> Overlap:
    """When the run is over that starts with the load, given the arrival and the run time of each group."""
    loaded_s = max(arrivals)
    over_s = 0.0
    for arrived_s, run_s in zip(arrivals, runs_s, strict=True):
        over_s = max(over_s, arrived_s) + run_s
    return Overlap(loaded_s, over_s, loaded_s + sum(runs_s) - over_s)
