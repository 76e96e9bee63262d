"""What clients got of what they were promised: deadlines kept, by request and by function, and attempts it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.records.rows import Floats

# A function attains p when so large a share of its requests is in time: its latency quantile at p is its deadline at
# most. 0.9 and 0.99 are what papers on serving use: DistServe (OSDI 2024) 90 %, AlpaServe (OSDI 2023) 99 %.
GOALS = {"at_90": 0.9, "at_99": 0.99, "at_999": 0.999}


class Service:
    """Adds up invocations. slo_s: seconds from arrival to deadline by function, infinite without one; None: no
    function has any."""

    def __init__(self, slo_s: Sequence[float] | None, n_functions: int) -> None:
        self._slo_s = np.array([np.inf] * n_functions if slo_s is None else slo_s, dtype=np.float64)
        self._n_due = np.zeros(n_functions, dtype=np.int64)
        self._n_kept = np.zeros(n_functions, dtype=np.int64)
        self._n_retries = 0

    def due_at_s(self, function: npt.NDArray[np.int32], arrival_at_s: Floats) -> Floats:
        """Deadlines; NaN where there is none."""
        slo_s = self._slo_s[function]
        return np.where(np.isinf(slo_s), np.nan, arrival_at_s + slo_s)

    def add(
        self,
        function: npt.NDArray[np.int32],
        due_at_s: Floats,
        completed_at_s: Floats | None,
        attempt: npt.NDArray[Any],
        measured: npt.NDArray[np.bool_] | slice,
    ) -> None:
        """Count invocations. completed_at_s: when clients had their replies; None for what was not completed.

        measured: those whose deadlines count.
        """
        self._n_retries += int(np.sum(attempt - 1))
        function, due_at_s = function[measured], due_at_s[measured]
        n = len(self._n_due)
        self._n_due += np.bincount(function[~np.isnan(due_at_s)], minlength=n)
        if completed_at_s is not None:
            self._n_kept += np.bincount(function[completed_at_s[measured] <= due_at_s], minlength=n)

    def sums(self) -> dict[str, float | None]:
        """retries; due, kept: requests with a deadline, and in time. functions_due: functions with any; those that
        attain each of GOALS, and the requests in time of these."""
        due = self._n_due > 0
        attained = self._n_kept[due] / self._n_due[due]
        goals = {name: attained >= goal for name, goal in GOALS.items()}
        return {
            "retries": self._n_retries,
            "due": int(self._n_due.sum()),
            "kept": int(self._n_kept.sum()),
            "functions_due": int(np.count_nonzero(due)),
            **{f"functions_attaining.{name}": int(np.count_nonzero(attains)) for name, attains in goals.items()},
            **{f"kept_by_attaining.{name}": int(self._n_kept[due][attains].sum()) for name, attains in goals.items()},
        }
