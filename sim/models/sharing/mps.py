"""Jobs that run at once on one device, as under CUDA MPS: kernels or whole graphs of several processes.

A device has two resources, its multiprocessors (SMs) and its memory bandwidth, 1 of each. A job that runs alone
keeps the share ``sm_frac`` of the SMs busy and draws the share ``bandwidth_frac`` of the bandwidth. Of each resource
jobs get their max-min fair part (Bertsekas and Gallager, Data Networks, 2nd ed., section 6.5.2): who wants no more than
the level gets what it wants, the others get the level, and the level is as high as the resource allows. SMs come
first: a job that gets half of the SMs it wants runs at half its speed, and draws half the bandwidth. Bandwidth
comes second: a job that waits for memory keeps its SMs. Three things follow. Nobody runs faster than alone. A job that
doesn't use memory isn't slowed by those that do. SMs that a job doesn't ask for, because of a cap
(CUDA_MPS_ACTIVE_THREAD_PERCENTAGE) or for want of blocks, are there for the others.

This is an approximation of MPS on Volta, where kernels of up to 48 processes run concurrently and the percentage
limits SMs but neither bandwidth nor L2 (CUDA Multi-Process Service, NVIDIA). Blocks really move to free SMs one by one,
and in order of launch; here SMs are shared out continuously. Without preemption: a job keeps its place until it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, ClassVar

from sim.errors import ScenarioError
from sim.models.occupancy import Shared

if TYPE_CHECKING:
    from sim.models.costs import CostModel
    from sim.models.mig.profiles import Profile

# Rounding: demands that exceed a resource by less than this fit, so that ten jobs of a tenth run as if alone.
_TOLERANCE = 2.0**-40
# A resource in units: sums of whole numbers don't drift, in whatever order jobs come and go.
_UNITS = 2**60


@dataclass(frozen=True)
class Mps:
    """Kernels of several processes at once (CUDA MPS), each held to its share of the multiprocessors."""

    name: ClassVar[str] = "mps"
    caps: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    def jobs(self) -> SharedDevice:
        """The bookkeeping of one device."""
        return SharedDevice()

    def demand(self, costs: CostModel, function: int, share: float, profile: Profile | None = None) -> Shared:
        """What the kernels of its graph keep busy, see ``sim.models.occupancy``."""
        if not costs.knows_kernels(function):
            raise ScenarioError(
                f"fleet.sharing is {self.name!r}, which must know the kernels of functions, and those of the trace "
                "(functions: trace) have none: choose slices or turns"
            )
        return costs.under_share(function, share, profile)


class SharedDevice:
    """The jobs on one device and when they end, by number: see ``sim.models.sharing.Jobs``.

    ``next_end`` tells which job ends first, and the caller then removes it, at that instant.
    While no resource is oversubscribed a job costs O(log jobs), and it ends at exactly ``now_s + work_s`` if no
    resource ever was; else each ``add`` and ``remove`` costs O(n log n), n being at most 48 under MPS.
    """

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}
        self._ends: list[tuple[float, int]] = []  # heap; entries that aren't the end of their job any more are stale
        self._sm = self._bandwidth = 0  # units that the jobs want
        self._contended = False

    def add(self, now_s: float, job: int, work_s: float, sm_frac: float, bandwidth_frac: float) -> None:
        """Start a job that isn't there yet.

        work_s: its duration alone, under its own cap of SMs. sm_frac: SMs it keeps busy then, in [0, 1].
        bandwidth_frac: share of the device's memory bandwidth that it draws then, in [0, 1].
        """
        self._jobs[job] = new = _Job(now_s, work_s, sm_frac, bandwidth_frac)
        heappush(self._ends, (new.end_s, job))
        self._sm += int(sm_frac * _UNITS)
        self._bandwidth += int(bandwidth_frac * _UNITS)
        self._share(now_s)

    def remove(self, now_s: float, job: int) -> float:
        """End a job, or kill it. Returns the seconds of its work that are left: 0.0 at its end.

        Raises KeyError for a job that isn't there.
        """
        old = self._jobs.pop(job)
        left_s = old.left_at(now_s)
        self._sm -= int(old.sm_frac * _UNITS)
        self._bandwidth -= int(old.bandwidth_frac * _UNITS)
        self._share(now_s)
        return left_s

    def left_s(self, now_s: float, job: int) -> float:
        """The seconds of a job's work that are left."""
        return self._jobs[job].left_at(now_s)

    def cut(self, now_s: float, job: int, left_s: float) -> None:
        """Less is left of a job's work from now on."""
        its = self._jobs[job]
        its.since_s, its.left_s, its.end_s = now_s, left_s, now_s + left_s / its.speed
        heappush(self._ends, (its.end_s, job))

    def next_end(self) -> tuple[float, int] | None:
        """Instant and job that ends first if nothing changes, of equals the lowest job; None without jobs."""
        while self._ends:
            end_s, job = self._ends[0]
            if job in self._jobs and self._jobs[job].end_s == end_s:
                return end_s, job
            heappop(self._ends)
        return None

    def speed(self, job: int) -> float:
        """Seconds of work that a job gets done in a second, in (0, 1]."""
        return self._jobs[job].speed

    def _share(self, now_s: float) -> None:
        """Give every job its speed, unless all run as if alone and did so before."""
        contended = self._sm > _UNITS or self._bandwidth > _UNITS
        if not contended and not self._contended:
            return
        self._contended = contended
        jobs = self._jobs.values()
        level = _level([j.sm_frac for j in jobs])
        speeds = [level / j.sm_frac if j.sm_frac > level else 1.0 for j in jobs]
        draws = [j.bandwidth_frac * speed for j, speed in zip(jobs, speeds, strict=True)]
        level = _level(draws)
        for j, draw, speed in zip(jobs, draws, speeds, strict=True):
            j.run_at(now_s, level / j.bandwidth_frac if draw > level else speed)
        self._ends = [(j.end_s, job) for job, j in self._jobs.items()]
        heapify(self._ends)


class _Job:
    """A job in progress: at ``since_s`` it had ``left_s`` of its work before it, and runs at ``speed`` since then."""

    __slots__ = ("bandwidth_frac", "end_s", "left_s", "since_s", "sm_frac", "speed")

    def __init__(self, now_s: float, work_s: float, sm_frac: float, bandwidth_frac: float) -> None:
        self.sm_frac, self.bandwidth_frac = sm_frac, bandwidth_frac
        self.since_s, self.left_s, self.speed = now_s, work_s, 1.0
        self.end_s = now_s + work_s

    def left_at(self, now_s: float) -> float:
        """Seconds of work that are left."""
        return 0.0 if now_s >= self.end_s else max(0.0, self.left_s - (now_s - self.since_s) * self.speed)

    def run_at(self, now_s: float, speed: float) -> None:
        """Change the speed. What doesn't change anything leaves the end as it is, to the last bit."""
        if speed != self.speed:
            self.since_s, self.left_s, self.speed = now_s, self.left_at(now_s), speed
            self.end_s = now_s + self.left_s / speed


def _level(demands: Sequence[float]) -> float:
    """The most that anyone gets of a resource of 1: sum(min(demand, level)) is 1. inf when all get what they want."""
    left, n = 1.0, len(demands)
    for demand in sorted(demands):
        level = left / n
        if demand > level * (1 + _TOLERANCE):
            return level
        left -= demand
        n -= 1
    return inf
