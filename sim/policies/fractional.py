"""Fractional: static workers that share GPUs under MPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function
from sim.policies.placement import SHARES, memory_shares
from sim.policies.static import Static
from sim.protocol import Costs, Need, share_devices


@dataclass
class Fractional(Static):
    """Static workers on parts of GPUs (MPS), as many as memory allows.

    A worker's part of the memory, in eighths, decides how many fit on a GPU, and is bookkeeping only; its part of the
    multiprocessors is 1 / workers on that GPU, rounded down to eighths. Eighths make at most 8 workers a GPU, so
    MPS's limit of 48 clients (MPS documentation, Volta) is never reached.
    """

    name: ClassVar[str] = "fractional"
    source: ClassVar[str] = "KaaS, fractional mode (Pemberton et al., arXiv 2212.08146, public code)"

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """As of static workers. Sharing is needed only where they do."""
        super().reset(fleet, functions, costs, rng)
        shares = share_devices(self._standing)
        self.needs = frozenset({Need.SHARED_DEVICES} if shares else ())  # type: ignore[misc]

    def _shares(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs) -> list[float]:
        return memory_shares(fleet, functions, costs)

    def _part_bytes(self, fleet: FleetSpec, share: float) -> int | None:
        return int(share * fleet.device.memory_bytes)

    def _thread_share(self, n_workers: int) -> float:
        return (SHARES // n_workers) / SHARES
