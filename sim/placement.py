"""The placement book: who gets which device, when. Every fleet keeps one, whatever its workers and devices are made of.

- A started worker waits in the line of its device, or in the line for any device.
- A device that nobody has goes to the first of its own line, else to the first of the line for any. A worker that is
  started on any device gets the free one with the lowest number.
- Standing workers have their device from the beginning, several of them side by side. A started one has it alone.
- A worker that was told to stop does first what it was given. Then it leaves: at once if it is still in line, and when
  it is ready if it is in the middle of its start.
- A device is free again when the last worker that had it is gone.

There is no clock here: a fleet says when a worker is started and when it is gone, and asks when it may have to leave.
An order costs the same however many workers wait (O(log devices) where a device gets free).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

from sim.protocol import ANY_DEVICE


class Placed:
    """A worker as the book knows it: the base of the workers of every fleet.

    place: the number of its device; while it ``waits``, of the one that it waits for, or ANY_DEVICE. stopping: whether
    it was told to stop.
    """

    __slots__ = ("place", "stopping", "waits")

    def __init__(self) -> None:
        self.place = ANY_DEVICE
        self.waits = self.stopping = False

    def must_leave(self, *, ready: bool, has_work: bool) -> bool:
        """Whether it leaves now; to be asked when it is told to stop, gets ready, and has done some of its work.

        ready: whether its start is over. has_work: whether it was given something that it has not finished.
        """
        return self.stopping and not has_work and (ready or self.waits)


W = TypeVar("W", bound=Placed)


class PlacementBook(Generic[W]):
    """The lines and the free devices of a fleet; devices have the numbers 0 to ``n_devices`` - 1."""

    def __init__(self, n_devices: int) -> None:
        self._n_on = [0] * n_devices
        self._lines: list[deque[W]] = [deque() for _ in range(n_devices + 1)]  # the last, -1, is for ANY_DEVICE
        self._n_left_early = [0] * (n_devices + 1)  # how many left a line early, since it was tidied
        self._free = list(range(n_devices))  # a heap of all free devices, and of some that were taken meanwhile
        self._listed = bytearray([1]) * n_devices  # whether a device is in that heap

    def stand(self, worker: W, device: int) -> None:
        """A worker has a device from the beginning, beside others that stand there."""
        worker.place = device
        self._n_on[device] += 1

    def start(self, worker: W, device: int) -> bool:
        """A worker is to be started on a device or on ANY_DEVICE; returns whether it has it, ``place``, or waits."""
        if device == ANY_DEVICE:
            free = self._free
            while free and self._n_on[free[0]]:
                self._listed[heappop(free)] = 0
            worker.place = free[0] if free else ANY_DEVICE
            worker.waits = not free
        else:
            worker.place = device
            worker.waits = self._n_on[device] > 0
        if worker.waits:
            self._lines[device].append(worker)
            return False
        self._n_on[worker.place] = 1
        return True

    def leave(self, worker: W) -> W | None:
        """A worker is gone from its line or its device; returns the worker that has the device now, if one waited."""
        device = worker.place
        if worker.waits:
            worker.waits = False
            self._leave_line(device)
            return None
        self._n_on[device] -= 1
        if self._n_on[device]:
            return None
        while line := self._lines[device] or self._lines[ANY_DEVICE]:
            following = line.popleft()
            if following.waits:
                following.waits = False
                following.place = device
                self._n_on[device] = 1
                return following
        if not self._listed[device]:
            self._listed[device] = 1
            heappush(self._free, device)
        return None

    def _leave_line(self, place: int) -> None:
        """Tidy a line when many have left it early. To search for each at once would cost the length of the line.

        Until then they are passed over. More than half of the line make it tidy, which is at most two steps for each.
        """
        self._n_left_early[place] += 1
        if 2 * self._n_left_early[place] > len(self._lines[place]):
            self._lines[place] = deque(worker for worker in self._lines[place] if worker.waits)
            self._n_left_early[place] = 0
