"""What a run adds up to: sums, counts and histograms, whose size its length doesn't change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.records.histogram import Histogram
from sim.records.parts import PARTS
from sim.records.rows import Floats
from sim.records.sums import FEW
from sim.records.tables import STATUSES

# Times of a completed invocation -> the columns that it lies between.
TIMES = {
    "latency_s": ("arrival_at_s", "completed_at_s"),
    "queue_s": ("arrival_at_s", "started_at_s"),
    "pool_s": ("queued_at_s", "started_at_s"),
}
_COUNTS = ("cold", "missed", "n_evicted", "h2d_bytes")  # of all that completed


class Totals:
    """Adds up invocations. isolated_s: latency of each function when it is warm and alone.

    last_end_s: when the last of those that were completed or rejected ended; 0 before any.
    """

    def __init__(self, isolated_s: Floats) -> None:
        self._isolated_s = isolated_s
        self._spreads = {name: Histogram(FEW) for name in (*TIMES, "slowdown")}
        self._n_of_function = np.zeros(len(isolated_s), dtype=np.int64)
        self._latency_of_function_s = np.zeros(len(isolated_s))
        self._n_status = dict.fromkeys(STATUSES, 0)
        self._sums = dict.fromkeys(_COUNTS, 0.0)
        self._measured = dict.fromkeys(("arrived", "completed", "cold", "missed"), 0)
        self._parts_s = dict.fromkeys(PARTS, 0.0)
        self._start_bytes = 0
        self._ended_s = 0.0  # of all that ended, from arrival to end
        self._n_left = 0
        self._left_arrived_s = 0.0  # the sum of their arrivals
        self.last_end_s = 0.0

    def add(
        self,
        function: npt.NDArray[np.int32],
        row: Mapping[str, npt.NDArray[Any]],
        parts_s: Mapping[str, Floats],
        measured: npt.NDArray[np.bool_] | slice,
    ) -> None:
        """Add completed invocations: the columns of TIMES, cold, missed, n_evicted and h2d_bytes.

        parts_s: see ``sim.records.parts``. measured: those of which the distributions are.
        """
        self.last_end_s = max(self.last_end_s, float(row["completed_at_s"].max(initial=0.0)))
        self._n_status["completed"] += len(function)
        for name in self._sums:
            self._sums[name] += float(row[name].sum())
        latency_s = row["completed_at_s"] - row["arrival_at_s"]
        self._ended_s += float(latency_s.sum())
        for name, (from_at_s, to_at_s) in TIMES.items():
            self._spreads[name].add((row[to_at_s] - row[from_at_s])[measured])
        for name in PARTS:
            self._parts_s[name] += float(parts_s[name][measured].sum())
        function, latency_s = function[measured], latency_s[measured]
        for name in ("cold", "missed"):
            self._measured[name] += int(row[name][measured].sum())
        self._measured["arrived"] += len(function)
        self._measured["completed"] += len(function)
        n = len(self._n_of_function)
        self._n_of_function += np.bincount(function, minlength=n)
        self._latency_of_function_s += np.bincount(function, latency_s, n)
        isolated_s = self._isolated_s[function]
        known = isolated_s > 0
        self._spreads["slowdown"].add(latency_s[known] / isolated_s[known])

    def add_ended(
        self, statuses: Iterable[str], arrival_at_s: Floats, ended_at_s: Floats, measured: npt.NDArray[np.bool_] | slice
    ) -> None:
        """Count invocations that were not completed; NaN is the instant of those that have not ended."""
        for status in statuses:
            self._n_status[status] += 1
        self.last_end_s = max(self.last_end_s, float(np.nan_to_num(ended_at_s).max(initial=0.0)))
        self._measured["arrived"] += len(arrival_at_s[measured])
        left = np.isnan(ended_at_s)
        self._ended_s += float((ended_at_s - arrival_at_s)[~left].sum())
        self._n_left += int(np.count_nonzero(left))
        self._left_arrived_s += float(arrival_at_s[left].sum())

    def add_start(self, loaded_bytes: int) -> None:
        """Count what was copied for the start of a worker."""
        self._start_bytes += loaded_bytes

    @property
    def n_measured(self) -> int:
        """Measured invocations, whatever became of them."""
        return self._measured["arrived"]

    def in_system_s(self, end_s: float) -> float:
        """Time of all invocations together from arrival to end, or the end of the run."""
        return self._ended_s + self._n_left * end_s - self._left_arrived_s

    def distributions(self) -> dict[str, Histogram]:
        """Of TIMES and of slowdown over measured invocations, and of the mean slowdown over functions."""
        slowdown = Histogram(FEW)
        progress = self._progress()
        slowdown.add(1 / progress[progress > 0])
        return {**self._spreads, "function_slowdown": slowdown}

    def sums(self) -> dict[str, float]:
        """Counts by status, and what else of all invocations; of measured ones after ``measured.``; their seconds
        in PARTS; and sums over their functions for Jain's index."""
        progress = self._progress()
        return {
            **self._n_status,
            "cold_starts": int(self._sums["cold"]),
            "h2d_bytes": int(self._sums["h2d_bytes"]) + self._start_bytes,
            "evictions": int(self._sums["n_evicted"]),
            **{f"measured.{name}": number for name, number in self._measured.items()},
            **{f"part_s.{name}": seconds for name, seconds in self._parts_s.items()},
            "functions": len(progress),
            "progress": float(np.sum(progress)),
            "progress_squares": float(np.sum(progress**2)),
        }

    def _progress(self) -> Floats:
        """Isolated latency / mean latency of each function with completed invocations."""
        served = self._n_of_function > 0
        progress: Floats = (self._isolated_s * self._n_of_function)[served] / self._latency_of_function_s[served]
        return progress
