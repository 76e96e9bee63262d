"""Costs as the loop over events reads them: plain Python lists by function, for one kind of worker."""

from __future__ import annotations

from sim.models.costs import CostModel


class Columns:
    """The columns of a CostModel that an invocation needs; see there."""

    __slots__ = (
        "buffers", "costs", "dispatch_s", "graph_of", "input_s", "post_s", "run_s", "scratch_bytes", "store_s",
    )  # fmt: skip

    def __init__(self, costs: CostModel) -> None:
        self.costs = costs
        self.buffers = costs.buffers
        self.graph_of: list[int] = costs.graph_of.tolist()
        self.scratch_bytes: list[int] = costs.scratch_bytes.tolist()
        self.dispatch_s: list[float] = costs.dispatch_s.tolist()
        self.input_s: list[float] = costs.input_s.tolist()
        self.run_s: list[float] = costs.run_s.tolist()
        self.store_s: list[float] = costs.store_s.tolist()
        self.post_s: list[float] = costs.post_s.tolist()
