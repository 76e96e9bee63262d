"""What a run adds up to: sums, counts and histograms, whose size its length doesn't change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.records.histogram import RELATIVE_ERROR, Histogram
from sim.records.rows import Floats
from sim.records.tables import GPU_PARTS, STATUSES

# Times of a completed invocation -> the columns that it lies between.
TIMES = {
    "latency_s": ("arrival_at_s", "completed_at_s"),
    "queue_s": ("arrival_at_s", "started_at_s"),
    "pool_s": ("queued_at_s", "started_at_s"),
}
FEW = 65_536  # completed invocations, of which quantiles are exact
EXACT = {"from": "values", "error_frac": 0.0}  # what a summary says of its quantiles
_BUCKETS = {"from": "histogram", "error_frac": RELATIVE_ERROR}
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class Totals:
    """Adds up invocations. isolated_s: latency of each function when it is warm and alone.

    last_end_s: when the last of those that were completed or rejected ended; 0 before any.
    """

    def __init__(self, isolated_s: Floats) -> None:
        self._isolated_s = isolated_s
        self._times_s = {name: Histogram(FEW) for name in TIMES}
        self._n_of_function = np.zeros(len(isolated_s), dtype=np.int64)
        self._latency_of_function_s = np.zeros(len(isolated_s))
        self._n_status = dict.fromkeys(STATUSES, 0)
        self._sums = dict.fromkeys(("cold", "missed", "n_evicted", "h2d_bytes"), 0.0)
        self._start_bytes = 0
        self.last_end_s = 0.0

    def add(self, function: npt.NDArray[np.int32], row: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add completed invocations: the columns of TIMES, cold, missed, n_evicted and h2d_bytes."""
        for name, (from_at_s, to_at_s) in TIMES.items():
            self._times_s[name].add(row[to_at_s] - row[from_at_s])
        self.last_end_s = max(self.last_end_s, float(row["completed_at_s"].max(initial=0.0)))
        self._n_status["completed"] += len(function)
        n = len(self._n_of_function)
        self._n_of_function += np.bincount(function, minlength=n)
        self._latency_of_function_s += np.bincount(function, row["completed_at_s"] - row["arrival_at_s"], n)
        for name in self._sums:
            self._sums[name] += float(row[name].sum())

    def add_ended(self, statuses: Iterable[str], ended_at_s: Floats) -> None:
        """Count invocations that were not completed; NaN is the instant of those that have not ended."""
        for status in statuses:
            self._n_status[status] += 1
        self.last_end_s = max(self.last_end_s, float(np.nan_to_num(ended_at_s).max(initial=0.0)))

    def add_start(self, loaded_bytes: int) -> None:
        """Count what was copied for the start of a worker."""
        self._start_bytes += loaded_bytes

    def summary(self, simulated_s: float, device_s: Mapping[str, float], n_gpus: int) -> dict[str, Any]:
        """What the tables add up to. device_s: time of all GPUs in each of GPU_PARTS.

        Means, sums, counts and ends are exact. Quantiles are linear between order statistics (Hyndman and Fan, type 7);
        ``quantiles`` tells whether of the values themselves or of the buckets of ``sim.records.histogram``, and by how
        much of each they may be off. jain_fairness: Jain's index (Jain et al., DEC-TR-301, 1984) of isolated latency /
        mean latency over the functions with completed invocations. gpu_frac: what GPUs did all the time, shares that
        add up to 1; gpu_busy_frac is that of kernels, gpu_occupied_frac all but idle. cache_hit_frac: share of
        completed invocations that neither loaded constants nor waited for their worker's start. Empty sets give None.
        """
        completed = self._n_status["completed"]
        gpu = _gpu_frac(device_s, n_gpus * simulated_s)
        exact = all(times_s.exact for times_s in self._times_s.values())
        return {
            "invocations": sum(self._n_status.values()),
            **self._n_status,
            "cold_starts": int(self._sums["cold"]),
            "throughput_per_s": completed / simulated_s if simulated_s else None,
            **{name: spread(times_s) for name, times_s in self._times_s.items()},
            "quantiles": EXACT if exact else _BUCKETS,
            "gpu_frac": gpu,
            "gpu_busy_frac": gpu["kernels"],
            "gpu_occupied_frac": None if gpu["idle"] is None else 1 - gpu["idle"],
            "cache_hit_frac": 1 - self._sums["missed"] / completed if completed else None,
            "h2d_bytes": int(self._sums["h2d_bytes"]) + self._start_bytes,
            "evictions": int(self._sums["n_evicted"]),
            "jain_fairness": self._fairness(),
        }

    def _fairness(self) -> float | None:
        served = self._n_of_function > 0
        progress = (self._isolated_s * self._n_of_function)[served] / self._latency_of_function_s[served]
        square = float(np.sum(progress**2))
        return float(np.sum(progress)) ** 2 / (len(progress) * square) if square else None


def spread(times_s: Histogram) -> dict[str, float | None]:
    """Mean, quantiles and greatest of these times, as a summary has them; None where there are none."""
    if not times_s.count:
        return dict.fromkeys(("mean", *_QUANTILES, "max"))
    quantiles_s = times_s.quantiles(list(_QUANTILES.values())).tolist()
    return {"mean": times_s.mean, **dict(zip(_QUANTILES, quantiles_s, strict=True)), "max": times_s.most}


def _gpu_frac(device_s: Mapping[str, float], gpu_time_s: float) -> dict[str, float | None]:
    """Parts of the time of all GPUs."""
    if not gpu_time_s:
        return dict.fromkeys((*GPU_PARTS, "idle"))
    parts = {part: part_s / gpu_time_s for part, part_s in device_s.items()}
    return {**parts, "idle": max(0.0, 1 - sum(parts.values()))}
