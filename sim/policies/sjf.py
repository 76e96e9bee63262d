"""Shortest job first: of what is queued, the invocation that is expected to take the least time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.policies.central import RankedQueue
from sim.protocol import Arrival
from sim.settings import require


@dataclass
class ShortestFirst(RankedQueue):
    """Shortest expected duration first, not preemptive; ties go to what arrived first.

    ageing: seconds of expected duration that a second of waiting counts for. With 0 long ones can starve; the larger it
    is, the closer to order of arrival. All age alike while they wait, so it is added once, as they arrive.
    """

    ageing: float = 0.0

    name: ClassVar[str] = "sjf"
    source: ClassVar[str] = "shortest job first (Conway, Maxwell and Miller, Theory of Scheduling, 1967)"

    def __post_init__(self) -> None:
        require(self.ageing >= 0, "ageing", self.ageing, "at least 0")

    def _rank(self, now_s: float, event: Arrival) -> float:
        return self._expected_s[event.function] + self.ageing * now_s
