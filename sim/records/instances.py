"""Workers as what somebody pays for: how long they were there, and what memory they held while they did nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.records.rows import Floats


class Instance(NamedTuple):
    """A worker that is gone, or there at the end: when it took its device, was ready, and was gone.

    NaN where it did not. memory_bytes: what it held of its device; NaN where that is not known.
    """

    worker: int
    memory_bytes: float
    took_at_s: float
    ready_at_s: float
    stopped_at_s: float


class Instances:
    """Adds up workers. What they completed is told before they are finished."""

    def __init__(self) -> None:
        self._starts: dict[int, tuple[float, float]] = {}  # of workers that were started: device taken, ready
        self._busy_s: dict[int, float] = {}
        self._late: list[tuple[Instance, float]] = []  # may have been there for longer than the run, with busy_s
        self._lived_s = 0.0
        self._idle_byte_s = 0.0

    def got_ready(self, worker: int, took_at_s: float, ready_at_s: float) -> None:
        """A worker that took its device at ``took_at_s`` is ready."""
        self._starts[worker] = (took_at_s, ready_at_s)

    def started_s(self, worker: npt.NDArray[np.int32], queued_at_s: Floats) -> Floats:
        """For how long each of cold invocations was in the pool while its worker started."""
        starts = [self._starts.get(number, (0.0, 0.0)) for number in worker.tolist()]
        took_at_s, ready_at_s = np.array(starts).reshape(-1, 2).T
        waited_s: Floats = np.maximum(ready_at_s - np.maximum(took_at_s, queued_at_s), 0.0)
        return waited_s

    def add(self, worker: npt.NDArray[np.int32], busy_s: Floats) -> None:
        """Workers were at invocations for so long."""
        numbers, at = np.unique(worker, return_inverse=True)
        for number, seconds in zip(numbers.tolist(), np.bincount(at, busy_s).tolist(), strict=True):
            self._busy_s[number] = self._busy_s.get(number, 0.0) + seconds

    def finish(self, gone: Iterable[Instance], surely_s: float) -> None:
        """Workers are gone, or there at the end. surely_s: the run lasts at least so long."""
        known = [(instance, self._busy_s.pop(instance.worker, 0.0)) for instance in gone]
        for instance, _ in known:
            self._starts.pop(instance.worker, None)
        late = [*self._late, *known]
        self._late = []
        for instance, busy_s in late:
            if instance.stopped_at_s <= surely_s:
                lived_s, idle_byte_s = _of(instance, busy_s, instance.stopped_at_s)
                self._lived_s += lived_s
                self._idle_byte_s += idle_byte_s
            else:
                self._late.append((instance, busy_s))

    def sums(self, end_s: float) -> dict[str, float | None]:
        """instance_s: device time of workers. idle_byte_s: memory times the time in which its worker was ready and did
        nothing; None where the memory of some is not known."""
        late = [_of(instance, busy_s, end_s) for instance, busy_s in self._late]
        idle_byte_s = math.fsum([self._idle_byte_s, *(idle for _, idle in late)])
        return {
            "instance_s": math.fsum([self._lived_s, *(lived_s for lived_s, _ in late)]),
            "idle_byte_s": None if math.isnan(idle_byte_s) else idle_byte_s,
        }


def _of(instance: Instance, busy_s: float, end_s: float) -> tuple[float, float]:
    """Seconds, and idle byte seconds, of a worker until it is gone or the run is over."""
    if math.isnan(instance.ready_at_s):
        return 0.0, 0.0
    until_s = end_s if math.isnan(instance.stopped_at_s) else min(instance.stopped_at_s, end_s)
    idle_s = max(until_s - instance.ready_at_s - busy_s, 0.0)
    return max(until_s - instance.took_at_s, 0.0), idle_s * instance.memory_bytes
