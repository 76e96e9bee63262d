"""What clients got of what they were promised: deadlines kept, and attempts that it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.records.rows import Floats


class Service:
    """Adds up invocations. slo_s: seconds from arrival to deadline by function, infinite without one; None: no
    function has any."""

    def __init__(self, slo_s: Sequence[float] | None, n_functions: int) -> None:
        self._slo_s = np.array([np.inf] * n_functions if slo_s is None else slo_s, dtype=np.float64)
        self._n_due = self._n_kept = self._n_retries = 0

    def due_at_s(self, function: npt.NDArray[np.int32], arrival_at_s: Floats) -> Floats:
        """Deadlines; NaN where there is none."""
        slo_s = self._slo_s[function]
        return np.where(np.isinf(slo_s), np.nan, arrival_at_s + slo_s)

    def add(self, due_at_s: Floats, completed_at_s: Floats | None, attempt: npt.NDArray[Any]) -> None:
        """Count invocations. completed_at_s: when clients had their replies; None for what was not completed."""
        self._n_due += int(np.count_nonzero(~np.isnan(due_at_s)))
        if completed_at_s is not None:
            self._n_kept += int(np.count_nonzero(completed_at_s <= due_at_s))
        self._n_retries += int(np.sum(attempt - 1))

    def summary(self, simulated_s: float) -> dict[str, Any]:
        """slo_attainment_frac: share of the invocations with a deadline, whatever became of them, that were completed
        by then. goodput_per_s: such completions in a second of the run. retries: attempts beyond the first. The first
        two are None without deadlines."""
        some = self._n_due > 0
        return {
            "slo_attainment_frac": self._n_kept / self._n_due if some else None,
            "goodput_per_s": self._n_kept / simulated_s if some and simulated_s else None,
            "retries": self._n_retries,
        }
