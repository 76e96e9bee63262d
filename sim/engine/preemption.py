"""Preemption: what a worker runs ends at the next boundary between kernels, and is known to have come so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import simpy

from sim.engine.clock import Callbacks, Clock, Signal
from sim.engine.hardware import Compute, Lane, SimWorker
from sim.protocol import FINISHED


class Progress(NamedTuple):
    """What is behind a run that was preempted: seconds in kernels, on this worker, together with the others."""

    worker: int
    others: tuple[int, ...]
    done_s: float


NONE = Progress(-1, (), 0.0)


class Preemption:
    """Ends what runs early. progress: of what was preempted and has not begun again elsewhere; of a batch by its first.

    stop: called with (lane, seconds in kernels, event) at the boundary.
    """

    def __init__(self, clock: Clock, stop: Callable[[Lane, float, simpy.Event], None]) -> None:
        self._clock = clock
        self._stop = stop
        self.progress: dict[int, Progress] = {}

    def resume(self, worker: int, invocation: int, others: tuple[int, ...]) -> float | None:
        """Seconds of kernels that are behind what begins; None where it begins anew, since it never began on this
        worker, or not together with these others."""
        progress = self.progress.get(invocation, NONE)
        if (progress.worker, progress.others) == (worker, others):
            return progress.done_s
        for begun in (invocation, *others):
            self.progress.pop(begun, None)
        return None

    def note(self, lane: Lane, done_s: float) -> tuple[int, ...]:
        """What a lane runs was stopped after so many seconds in kernels; returns the others of its batch."""
        others = tuple(other for other, _ in lane.others)
        behind_s = self.progress.get(lane.invocation, NONE).done_s
        self.progress[lane.invocation] = Progress(lane.worker.number, others, behind_s + done_s / lane.stretch)
        return others

    def ends_s(self, lane: Lane) -> list[float]:
        """The ends of all kernels of what a lane runs, from when it began here; 0 of those that were behind it then."""
        progress = self.progress.get(lane.invocation)
        costs = lane.worker.columns.costs
        if progress is None:
            return costs.kernel_ends_s(lane.function, lane.run_s)
        behind_s = progress.done_s * lane.stretch
        ends_s = costs.kernel_ends_s(lane.function, behind_s + lane.run_s)
        return [max(end_s - behind_s, 0.0) for end_s in ends_s[:-1]] + [lane.run_s]

    def preempt(self, worker: SimWorker) -> None:
        """End what a worker runs at the next boundary between kernels.

        Copies are not interrupted: it ends after those before its kernels, and is completed by those behind.
        """
        for lane in worker.lanes:
            if lane.invocation < 0 or lane.preempted:
                continue
            if worker.lumped:
                self._cut(lane, lane.started_at_s + lane.load_s)
                continue
            lane.preempted = True
            if lane.kernels:
                compute = worker.device.compute
                if not worker.shared or compute is None:
                    self._cut_kernels(lane)
                elif compute.runs(lane):  # else it is at a boundary at this instant
                    self._cut_shared(lane, compute)

    def _cut(self, lane: Lane, loaded_at_s: float) -> None:
        """The event of a whole invocation comes at a boundary instead."""
        done_s = self._boundary_s(lane, self._clock.now - loaded_at_s)
        if done_s < lane.run_s:
            lane.preempted = True
            self._instead(lane, loaded_at_s + done_s, [partial(self._stop, lane, done_s)])

    def _cut_kernels(self, lane: Lane) -> None:
        """The same for the event of a kernel, or of all of them, that was loaded step by step."""
        done_s = self._boundary_s(lane, self._clock.now - lane.loaded_at_s)
        if done_s < lane.run_s:
            lane.kernels = [done_s]
            lane.n_kernels_done = 0
            self._instead(lane, lane.loaded_at_s + done_s, lane.on_kernel)

    def _instead(self, lane: Lane, at_s: float, callbacks: Callbacks) -> None:
        lane.signal.callbacks = []  # its event stays in the queue, and does nothing
        lane.signal = Signal(self._clock)
        lane.signal.fire(max(at_s, self._clock.now), FINISHED, callbacks)

    def _cut_shared(self, lane: Lane, compute: Compute) -> None:
        """What is left of a graph that runs beside others is no more than until the next boundary."""
        begin_s = lane.kernels[lane.n_kernels_done - 1] if lane.n_kernels_done else 0.0
        end_s = lane.kernels[lane.n_kernels_done]
        left_s = compute.left_s(lane)
        stretch = lane.work_s / (end_s - begin_s) if end_s > begin_s else 1.0
        done_s = begin_s + (lane.work_s - left_s) / stretch
        boundary_s = min(self._boundary_s(lane, done_s), end_s)
        if boundary_s < lane.run_s:
            lane.kernels = [boundary_s]
            lane.n_kernels_done = 0
            if boundary_s > done_s:
                compute.cut(lane, (boundary_s - done_s) * stretch)
            else:  # it stands at one, if only in line for its turn
                compute.stop(lane)
                lane.signal.fire(self._clock.now, FINISHED, lane.on_kernel)

    def _boundary_s(self, lane: Lane, passed_s: float) -> float:
        """The end of the kernel that runs ``passed_s`` after the first of this invocation began here, if one does."""
        if passed_s <= 0:
            return 0.0
        ends_s = self.ends_s(lane)
        at = bisect_left(ends_s, passed_s)
        return ends_s[at] if at < len(ends_s) else lane.run_s
