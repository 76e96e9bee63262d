"""Least slack: what has the least time left until it must begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.policies.edf import EarliestDeadline
from sim.protocol import Arrival


@dataclass
class LeastSlack(EarliestDeadline):
    """Least slack first, not preemptive: deadline - now - expected duration. Ties in order of arrival.

    Now is the same for all, so that the order is that of deadlines less durations. default_s: see ``edf``.
    """

    name: ClassVar[str] = "least-slack"
    source: ClassVar[str] = "least slack time (Mok, PhD thesis, MIT, 1983)"

    def _rank(self, now_s: float, event: Arrival) -> float:
        return super()._rank(now_s, event) - self._expected_s[event.function]
