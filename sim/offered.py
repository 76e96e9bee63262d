"""The load that is offered to a fleet: how many GPUs it would keep busy if every invocation were warm and none waited.

The mean number of busy GPUs is the rate of invocations times the mean time that one takes (Little, A Proof for the
Queuing Formula L = lambda W, Operations Research 9(3), 1961). Above the number of GPUs no policy can keep up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.domain import FleetSpec
from sim.models.costs import CostModel
from sim.text import counted, short
from sim.workload import Workload


@dataclass(frozen=True, slots=True)
class GraphLoad:
    """The part of a load that runs one graph. Shares of invocations and of GPU time are 0 to 1."""

    functions: int
    invocations_frac: float
    gpu_time_frac: float


@dataclass(frozen=True, slots=True)
class OfferedLoad:
    """invocations in duration_s keep ``busy_gpus`` of ``gpus`` busy: copies, kernels and dispatch of warm invocations.

    constants_bytes: of all functions; memory_bytes: that the workers of the fleet have for them. server_frac: the part
    of the time that the frontend's server is taken up; None without one.
    """

    invocations: int
    duration_s: float
    busy_gpus: float
    gpus: int
    constants_bytes: int
    memory_bytes: int
    server_frac: float | None
    graphs: dict[str, GraphLoad]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def overload(self) -> str:
        """What can't keep up, in words; empty when all can."""
        over = [counted(self.gpus, "GPU")] if self.busy_gpus > self.gpus else []
        over += ["the frontend's server"] if (self.server_frac or 0.0) > 1 else []
        return " and ".join(over)

    def text(self) -> str:
        """Two lines for people: load against capacity, and how it divides over graphs."""
        server = (
            "" if self.server_frac is None else f" and the frontend's server for {self.server_frac:.0%} of the time"
        )
        memory = f"constants {self.constants_bytes / 1e9:,.1f} GB, room for {self.memory_bytes / 1e9:,.1f} GB"
        n, capacity = counted(self.invocations, "invocation"), counted(self.gpus, "GPU")
        load = (
            f"offered load: {n}, {short(self.invocations / self.duration_s)}/s, warm they keep {short(self.busy_gpus)} "
            f"of {capacity} busy ({self.busy_gpus / self.gpus:.0%}){server}; {memory}"
        )
        if self.overload:
            load += f". That is more than {self.overload} can serve: waiting will grow until arrivals end"
        parts = [
            f"{name} {counted(g.functions, 'function')}, {g.invocations_frac:.0%} of invocations, "
            f"{g.gpu_time_frac:.0%} of GPU time"
            for name, g in self.graphs.items()
        ]
        return f"{load}\nby graph: {'; '.join(parts)}"


def offered_load(workload: Workload, costs: CostModel, fleet: FleetSpec) -> OfferedLoad | None:
    """What a workload asks of a fleet; None for a closed loop, or when nothing arrives."""
    if workload.loop is not None or not workload.functions:
        return None
    n_invocations, size, duration_s = workload.demand
    n = int(n_invocations.sum())
    if not n or not duration_s:
        return None
    copies_s = costs.input_s + costs.store_s + costs.dispatch_s
    gpu_s = n_invocations * copies_s + size * costs.run_s
    frontend = costs.frontend
    name = np.array([f.graph.name for f in workload.functions])
    graphs = {
        str(graph): GraphLoad(
            int(np.sum(name == graph)),
            float(n_invocations[name == graph].sum() / n),
            float(gpu_s[name == graph].sum() / max(gpu_s.sum(), 1e-300)),
        )
        for graph in dict.fromkeys(name.tolist())
    }
    return OfferedLoad(
        invocations=n,
        duration_s=duration_s,
        busy_gpus=float(gpu_s.sum() / duration_s),
        gpus=fleet.n_gpus,
        constants_bytes=int(costs.constants_bytes.sum()),
        memory_bytes=sum(node.n_gpus * costs.of(costs.kind, node.model).cache_bytes for node in fleet.nodes),
        server_frac=None if frontend is None else n / duration_s * frontend.server_s.of(costs.kind),
        graphs=graphs,
    )
