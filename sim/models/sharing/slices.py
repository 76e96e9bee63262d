"""Slices: the whole device for one job at a time, in turns of a fixed length, as the driver does it without MPS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from sim.models.occupancy import ALONE, Shared
from sim.settings import require

if TYPE_CHECKING:
    from sim.models.costs import CostModel
    from sim.models.mig.profiles import Profile

# The middle one of the three settings of ``nvidia-smi compute-policy --set-timeslice``; in ms it is not documented,
# and about 2 in what is reported in public: unverified.
DEFAULT_LENGTH_S = 0.002
_TOLERANCE = 1e-9  # of a slice


@dataclass(frozen=True)
class Slices:
    """Processes with work have the device in turns of ``length`` seconds, round robin; 0 is processor sharing.

    A switch costs nothing: what it does cost is not published.
    """

    length: float = DEFAULT_LENGTH_S

    name: ClassVar[str] = "slices"
    caps: ClassVar[bool] = False
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.length < float("inf"), "length", self.length, "a number of seconds, at least 0")

    def jobs(self) -> SliceJobs:
        """The bookkeeping of one device."""
        return SliceJobs(self.length)

    def demand(self, costs: CostModel, function: int, share: float, profile: Profile | None = None) -> Shared:
        """All of the device, while it has it."""
        return ALONE if profile is None else replace(ALONE, run_frac=costs.under_share(function, 1.0, profile).run_frac)


class SliceJobs:
    """See ``sim.models.sharing.Jobs``. No event for each slice: who ends first, and when, is computed.

    ``_line``: [job, seconds of work left] in order of their turns, as of ``_since_s``; the first has ``_left_s`` of
    its slice before it. A new job goes to the end of the line, and one that comes alone has the device at once. An
    operation costs O(jobs).
    """

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._line: deque[list[float]] = deque()
        self._since_s = 0.0
        self._left_s = length_s

    def add(self, now_s: float, job: int, work_s: float, sm_frac: float, bandwidth_frac: float) -> None:
        """It gets its first slice after those that are there."""
        self._pass(now_s)
        self._line.append([job, work_s])

    def remove(self, now_s: float, job: int) -> float:
        """It leaves; if it had the device, the next slice begins."""
        is_over = self.next_end() == (now_s, job)
        left_s, at = self.left_s(now_s, job), self._place(job)
        del self._line[at]
        if at == 0:
            self._left_s = self._length_s
        return 0.0 if is_over else left_s

    def left_s(self, now_s: float, job: int) -> float:
        """The seconds of a job's work that are left."""
        self._pass(now_s)
        return max(self._line[self._place(job)][1], 0.0)

    def cut(self, now_s: float, job: int, left_s: float) -> None:
        """Less is left of a job's work from now on; it keeps its place in line."""
        self._pass(now_s)
        self._line[self._place(job)][1] = left_s

    def next_end(self) -> tuple[float, int] | None:
        """Of processor sharing the one with the least left; else the one that needs the fewest rounds."""
        if not self._line:
            return None
        n = len(self._line)
        if not self._length_s or n == 1:
            job, left_s = min(self._line, key=lambda entry: entry[1])
            return self._since_s + n * max(left_s, 0.0), int(job)
        first = self._rounds(self._line[0][1] - self._left_s) if self._line[0][1] > self._left_s else 0
        rounds = [first, *(max(self._rounds(left_s) - 1, 0) for _, left_s in list(self._line)[1:])]
        fewest = min(rounds)
        at = rounds.index(fewest)
        return self._since_s + max(self._until(at, fewest), 0.0), int(self._line[at][0])

    def _place(self, job: int) -> int:
        for at, (number, _) in enumerate(self._line):
            if number == job:
                return at
        raise KeyError(job)

    def _rounds(self, work_s: float) -> int:
        """Slices that some work needs. What rounding leaves is none of its own."""
        return ceil(work_s / self._length_s - _TOLERANCE)

    def _until(self, at: int, rounds: int) -> float:
        """Seconds until the job at this place in line ends, after so many rounds in which nobody else ends."""
        length_s, n = self._length_s, len(self._line)
        own_s = self._line[at][1]
        if at == 0:  # its broken slice, and then whole ones with everybody else's between
            return own_s + rounds * (n - 1) * length_s
        before_s = self._left_s + (at - 1) * length_s + rounds * length_s * at
        return before_s + rounds * (n - 1 - at) * length_s + own_s

    def _pass(self, now_s: float) -> None:
        """Let time pass, in which nobody ends."""
        passed_s = now_s - self._since_s
        self._since_s = now_s
        n, length_s = len(self._line), self._length_s
        if not n or passed_s <= 0:
            if not n:
                self._left_s = length_s
            return
        if not length_s:
            for entry in self._line:
                entry[1] -= passed_s / n
            return
        if n == 1:
            self._line[0][1] -= passed_s
            self._left_s = length_s - (length_s - self._left_s + passed_s) % length_s
            return
        if passed_s < self._left_s:
            self._line[0][1] -= passed_s
            self._left_s -= passed_s
            return
        self._line[0][1] -= self._left_s
        passed_s -= self._left_s
        self._line.rotate(-1)
        n_rounds, passed_s = divmod(passed_s, n * length_s)
        for entry in self._line:
            entry[1] -= n_rounds * length_s
        while passed_s >= length_s:
            self._line[0][1] -= length_s
            passed_s -= length_s
            self._line.rotate(-1)
        self._line[0][1] -= passed_s
        self._left_s = length_s - passed_s
