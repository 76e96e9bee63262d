"""How many invocations are in the system, from arrivals and departures alone: the other side of Little's law."""

from __future__ import annotations

import numpy as np

from sim.records.rows import Floats

_N_INTERVALS = 1_024
_TOLERANCE = 1e-6  # of the mean number; sums of float64 are off by far less
_ROUNDING = 1e-12  # of what the number would be, had all been there all the time


class Population:
    """Counts arrivals and departures, each by its instant; who belongs to whom is not known here.

    interval_s: length of the intervals, which double when the run gets longer than they reach.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._steps = np.zeros(_N_INTERVALS)  # arrivals less departures
        self._late_s = np.zeros(_N_INTERVALS)  # the same, each by how late in its interval it was
        self.n_arrived = 0

    def add(self, arrived_at_s: Floats, left_at_s: Floats) -> None:
        """Count those that arrived, and that left at instants >= 0; NaN for who did not."""
        self.n_arrived += len(arrived_at_s)
        self._step(arrived_at_s, 1)
        self._step(left_at_s[~np.isnan(left_at_s)], -1)

    def area_s(self, end_s: float) -> float:
        """The number over time, summed until the last departure; who did not leave is there until ``end_s``."""
        at_start = np.cumsum(self._steps) - self._steps
        inside = (at_start + self._steps) * self._interval_s - self._late_s
        return float(inside.sum() + self._steps.sum() * (end_s - _N_INTERVALS * self._interval_s))

    def fault(self, time_s: float, end_s: float) -> str:
        """A sentence where Little's law fails, else empty. time_s: of all together in the system, by their rows.

        The mean number in a system is the rate of arrivals times the mean time of each in it (Little, A Proof for the
        Queuing Formula: L = lambda W, Operations Research 9(3), 1961); over a whole run it holds exactly, whatever the
        run. Where it does not, rows were lost, or counted twice, or say the wrong instants.
        """
        area_s = self.area_s(end_s)
        allowed_s = _TOLERANCE * max(area_s, time_s) + _ROUNDING * self.n_arrived * end_s
        if abs(area_s - time_s) <= allowed_s:
            return ""
        return (
            f"Little's law fails: by arrivals and departures invocations were in the system for {area_s:.7g} s in "
            f"all, by their rate and times for {time_s:.7g} s; the records of this run are wrong"
        )

    def _step(self, at_s: Floats, sign: int) -> None:
        if not len(at_s):
            return
        while at_s.max() >= _N_INTERVALS * self._interval_s:
            self._fold()
        interval = (at_s // self._interval_s).astype(np.int64)
        self._steps += sign * np.bincount(interval, minlength=_N_INTERVALS)
        late_s = at_s - interval * self._interval_s
        self._late_s += sign * np.bincount(interval, late_s, minlength=_N_INTERVALS)

    def _fold(self) -> None:
        """Two intervals become one."""
        late_s = self._late_s.reshape(-1, 2).sum(axis=1) + self._steps[1::2] * self._interval_s
        steps = self._steps.reshape(-1, 2).sum(axis=1)
        self._late_s, self._steps = np.zeros(_N_INTERVALS), np.zeros(_N_INTERVALS)
        self._late_s[: len(late_s)], self._steps[: len(steps)] = late_s, steps
        self._interval_s *= 2
