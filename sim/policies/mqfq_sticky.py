"""MQFQ-Sticky: of the flows with the deepest backlog, that with the fewest in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.largest import Largest
from sim.policies.least import Least
from sim.policies.mqfq import Flows
from sim.protocol import Costs
from sim.settings import require

_IN_FLIGHT = 2.0**32  # more than any queue is long, so that what is in flight counts first


@dataclass
class MqfqSticky(Flows):
    """MQFQ that serves flows with a deep backlog: few functions at a time, one after the other.

    Of the flows that may run it keeps those with the greatest finish tags, ``select`` or as many as there are tokens,
    whichever is more; of these it takes that with the fewest in flight, then the longest queue. Ties go to the lower
    function.

    overrun: the window, in seconds of service. service: seconds that each invocation counts for; 0: the measured mean
    of its function. select: see above; 0: as many as there are tokens. d: tokens of an executor, which is given so many
    invocations at once and runs one. The defaults are those of the published experiments, and the rule is their
    ``mqfq_select_out_len``, but that its choice of the greatest finish tags is exact here. Left out: moving memory on
    and off by hints (time to live), the gate by measured utilisation, and the choice between CPU and GPU.
    """

    overrun: float = 5.0
    service: float = 0.0
    select: int = 20
    d: int = 2

    name: ClassVar[str] = "mqfq-sticky"
    source: ClassVar[str] = "MQFQ-Sticky (Fuerst et al., arXiv 2507.08954; defaults of its public experiments)"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.select >= 0, "select", self.select, "at least 0")

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """No flow may run, since all are empty."""
        super().reset(fleet, functions, costs, rng)
        self._deepest = Largest(max(self.d * fleet.n_gpus, self.select), self._show)
        self._order = Least([inf] * len(functions))  # of those by which is chosen
        self._throttled: set[int] = set()
        self._ahead: list[tuple[float, int]] = []  # heap of (start tag, flow) of the throttled

    def _choose(self, worker: int) -> int:
        while self._ahead and self._ahead[0][0] - self._virtual <= self.overrun:
            function = heappop(self._ahead)[1]
            self._throttled.discard(function)
            self._note(function)
        return self._order.find()[1]

    def _note(self, function: int) -> None:
        if not self._queue[function]:
            self._deepest.drop(function)
            return
        if self._may_run(function):
            self._deepest.put(function, self._finish[function])
            if function in self._deepest:
                self._show(function, True)
            return
        self._deepest.drop(function)
        if function not in self._throttled:
            self._throttled.add(function)
            heappush(self._ahead, (self._start[function], function))

    def _show(self, function: int, chosen: bool) -> None:
        rank = self._in_flight[function] * _IN_FLIGHT - len(self._queue[function])
        self._order.set(function, rank if chosen else inf)
