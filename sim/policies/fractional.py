"""Fractional: static workers that share GPUs under MPS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sim.domain import FleetSpec, Function
from sim.policies.placement import SHARES, memory_shares
from sim.policies.static import Static
from sim.protocol import Costs, Need


@dataclass
class Fractional(Static):
    """Static workers on parts of GPUs (MPS), as many as memory allows.

    A worker's part of the memory, in eighths, decides how many fit on a GPU, and is bookkeeping only; its part of the
    multiprocessors is 1 / workers on that GPU, rounded down to eighths. Eighths make at most 8 workers a GPU, so
    MPS's limit of 48 clients (MPS documentation, Volta) is never reached.
    """

    name: ClassVar[str] = "fractional"
    needs: ClassVar[frozenset[Need]] = frozenset({Need.SHARED_DEVICES})
    source: ClassVar[str] = "KaaS, fractional mode (Pemberton et al., arXiv 2212.08146, public code)"

    def _shares(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs) -> list[float]:
        return memory_shares(fleet, functions, costs)

    def _memory_bytes(self, fleet: FleetSpec, share: float) -> int | None:
        return int(share * fleet.device.memory_bytes)

    def _thread_share(self, n_workers: int) -> float:
        return (SHARES // n_workers) / SHARES
