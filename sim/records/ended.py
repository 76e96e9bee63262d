"""Rows of invocations that ended without being completed."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pyarrow as pa

from sim.records.tables import INVOCATIONS

_NUMBERS = (
    "invocation", "function", "arrival_at_s", "admitted_at_s", "queued_at_s", "completed_at_s", "started_at_s",
    "device", "worker", "attempt",
)  # fmt: skip


class EndedRows:
    """Rows of the invocations table in which the numbers that nobody gives are 0. statuses: of those there are."""

    def __init__(self) -> None:
        self._flat = array("d")
        self.statuses: list[str] = []
        self._reasons: list[str] = []

    def __len__(self) -> int:
        return len(self.statuses)

    def add(self, status: str, reason: str, *numbers: float) -> None:
        """Add a row. numbers: invocation, function, arrival, admission, pool entry, end, start, device, worker,
        attempt."""
        self._flat.extend(numbers)
        self.statuses.append(status)
        self._reasons.append(reason)

    def take(self) -> dict[str, Any]:
        """Hand over the columns of the rows there are, in their order, and forget them."""
        numbers = np.array(self._flat).reshape(-1, len(_NUMBERS)).T
        columns: dict[str, Any] = {c.name: np.zeros(len(self)) for c in INVOCATIONS.columns}
        columns |= dict(zip(_NUMBERS, numbers, strict=True))
        columns["batch"] = np.ones(len(self))
        columns |= {"status": pa.array(self.statuses, pa.string()), "reason": pa.array(self._reasons, pa.string())}
        self._flat, self.statuses, self._reasons = array("d"), [], []
        return columns
