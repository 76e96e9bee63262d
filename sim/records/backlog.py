"""Whether a run is steady: how many invocations wait, over the time in which they arrive."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Waiting grows when there are on average so many times as many in the second half of the arrivals as in the first,
GROWTH = 1.5
# and when the last one arrives there are so many, and this part of all: what is left over when load is above capacity
# by as much, while the queue of a fleet that keeps up is short beside all that it served.
LEAST, LEAST_FRAC = 10, 0.01

_NOT_STEADY = "not steady: "  # how the warning begins


def is_steady(warnings: Iterable[str]) -> bool:
    """Whether none of the warnings of a run says that work piled up, so that means and quantiles may be quoted."""
    return not any(warning.startswith(_NOT_STEADY) for warning in warnings)


class Backlog:
    """Counts arrivals and starts by interval; memory doesn't grow with their number.

    duration_s: in which everything arrives.
    """

    def __init__(self, duration_s: float, interval_s: float) -> None:
        self._interval_s = interval_s
        n = int(duration_s // interval_s) + 1
        self._arrived = np.zeros(n, dtype=np.int64)
        self._left = np.zeros(n, dtype=np.int64)

    def add(self, arrived_at_s: Floats, left_at_s: Floats) -> None:
        """Count invocations: when each began to wait, and when that ended; NaN if it never did."""
        n = len(self._arrived)
        self._arrived += np.bincount(np.minimum(arrived_at_s // self._interval_s, n - 1).astype(np.int64), minlength=n)
        left = left_at_s[left_at_s < n * self._interval_s]
        self._left += np.bincount((left // self._interval_s).astype(np.int64), minlength=n)

    def waiting(self) -> npt.NDArray[np.int64]:
        """How many wait at the end of each interval, up to the last one in which something arrived."""
        until = int(np.flatnonzero(self._arrived)[-1]) + 1 if self._arrived.any() else 0
        waiting: npt.NDArray[np.int64] = np.cumsum(self._arrived - self._left)[:until]
        return waiting

    def verdict(self) -> str:
        """A sentence that says what grew, when work piles up; empty for a steady run."""
        waiting, n_arrived = self.waiting(), int(self._arrived.sum())
        if len(waiting) < 2:
            return ""
        half = len(waiting) // 2
        early, late = float(waiting[:half].mean()), float(waiting[half:].mean())
        last = int(waiting[-1])
        if late < GROWTH * early or last < max(LEAST, LEAST_FRAC * n_arrived):
            return ""
        return (
            f"{_NOT_STEADY}{int(waiting[half - 1]):,} invocations waited half-way through the arrivals and {last:,} of "
            f"{n_arrived:,} at the last, so waiting times depend on how long the run lasts"
        )
