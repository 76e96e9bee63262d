"""Turns: one job at a time on a device, first come, first served, and each to its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from sim.models.occupancy import ALONE, Shared

if TYPE_CHECKING:
    from sim.models.costs import CostModel
    from sim.models.mig.profiles import Profile


@dataclass(frozen=True)
class Turns:
    """Workers take turns, a graph each: a lock around the device, as platforms have it that forbid sharing."""

    name: ClassVar[str] = "turns"
    caps: ClassVar[bool] = False
    whole: ClassVar[bool] = True

    def jobs(self) -> TurnJobs:
        """The bookkeeping of one device."""
        return TurnJobs()

    def demand(self, costs: CostModel, function: int, share: float, profile: Profile | None = None) -> Shared:
        """All of the device."""
        return ALONE if profile is None else replace(ALONE, run_frac=costs.under_share(function, 1.0, profile).run_frac)


class TurnJobs:
    """See ``sim.models.sharing.Jobs``. An operation costs O(1), but for removing a job that waits."""

    def __init__(self) -> None:
        self._line: deque[tuple[int, float]] = deque()  # job, work
        self._end_s = 0.0  # of the first in line

    def add(self, now_s: float, job: int, work_s: float, sm_frac: float, bandwidth_frac: float) -> None:
        """It goes to the end of the line."""
        self._line.append((job, work_s))
        if len(self._line) == 1:
            self._end_s = now_s + work_s

    def remove(self, now_s: float, job: int) -> float:
        """It leaves, wherever it is in line."""
        left_s, at = self.left_s(now_s, job), self._place(job)
        del self._line[at]
        if at == 0 and self._line:
            self._end_s = now_s + self._line[0][1]
        return left_s

    def left_s(self, now_s: float, job: int) -> float:
        """All of its work until its turn comes."""
        at = self._place(job)
        return self._line[at][1] if at else max(self._end_s - now_s, 0.0)

    def cut(self, now_s: float, job: int, left_s: float) -> None:
        """Less is left of a job's work from now on; it keeps its place in line."""
        at = self._place(job)
        self._line[at] = (job, left_s)
        if at == 0:
            self._end_s = now_s + left_s

    def next_end(self) -> tuple[float, int] | None:
        """That of the first in line."""
        return (self._end_s, self._line[0][0]) if self._line else None

    def _place(self, job: int) -> int:
        for at, (number, _) in enumerate(self._line):
            if number == job:
                return at
        raise KeyError(job)
