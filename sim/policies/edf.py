"""Earliest deadline first."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from sim.policies.central import RankedQueue
from sim.protocol import Arrival
from sim.settings import require


@dataclass
class EarliestDeadline(RankedQueue):
    """Earliest deadline first, not preemptive; ties, and what has no deadline, in order of arrival.

    default_s: seconds after its arrival at which an invocation without a deadline is taken to be due. Infinite: such go
    last, and can starve.
    """

    default_s: float = inf

    name: ClassVar[str] = "edf"
    source: ClassVar[str] = "Liu and Layland, J. ACM 20(1), 1973; Jackson's rule, UCLA report 43, 1955"

    def __post_init__(self) -> None:
        require(self.default_s >= 0, "default_s", self.default_s, "at least 0")

    def _rank(self, now_s: float, event: Arrival) -> float:
        return event.due_at_s if event.due_at_s < inf else now_s + self.default_s
