"""Clients who do not wait for ever, and ask again."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sim.settings import require


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The ``clients`` of a scenario.

    A client whose request has waited for ``timeout_s`` since it was sent leaves. It asks again up to ``retries`` times,
    the k-th time (from 0) ``backoff_s`` times 2**k after it left: exponential backoff without jitter.
    """

    timeout_s: float
    retries: int = 0
    backoff_s: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.timeout_s < inf, "timeout_s", self.timeout_s, "a finite number above 0")
        require(0 <= self.retries <= 30, "retries", self.retries, "from 0 to 30")
        require(0 < self.backoff_s <= 1e9, "backoff_s", self.backoff_s, "above 0 and at most 1e9")

    def away_s(self, n_retries: int) -> float:
        """How long a client stays away that has asked again so many times."""
        return self.backoff_s * 2.0**n_retries
