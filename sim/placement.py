"""The placement book: who gets which device, when. Every fleet keeps one, whatever its workers and devices are made of.

- A slot, which is a device or an instance of one, has room for workers: bytes of memory. A worker takes a part of
  them, or the whole.
- A started worker waits in the line of its slot, or in the line for any. Nobody overtakes in a line.
- Room in a slot goes to the first of its own line, and while that is empty, to the first of the line for any. A
  worker that is started on any device gets the one with the lowest number that has room.
- Standing workers have their slot from the beginning, whatever they take.
- A worker that was told to stop does first what it was given. Then it leaves: at once if it is still in line, and when
  it is ready if it is in the middle of its start.

There is no clock here: a fleet says when a worker is started and when it is gone, and asks when it may have to leave.
An order costs the same however many workers wait (O(log slots) where room is searched or changes).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from sim.firstfit import CLOSED, FirstFit
from sim.protocol import ANY_DEVICE


class Placed:
    """A worker as the book knows it: the base of the workers of every fleet.

    place: the number of its slot; while it ``waits``, of the one that it waits for, or ANY_DEVICE. takes_bytes: of the
    memory of a slot; None for the whole. stopping: whether it was told to stop.
    """

    __slots__ = ("place", "stopping", "takes_bytes", "waits")

    def __init__(self, takes_bytes: int | None = None) -> None:
        self.place = ANY_DEVICE
        self.takes_bytes = takes_bytes
        self.stopping = self.waits = False

    def must_leave(self, *, ready: bool, has_work: bool) -> bool:
        """Whether it leaves now; to be asked when it is told to stop, gets ready, and has done some of its work.

        ready: whether its start is over. has_work: whether it was given something that it has not finished.
        """
        return self.stopping and not has_work and (ready or self.waits)


W = TypeVar("W", bound=Placed)


class PlacementBook(Generic[W]):
    """The lines and the room of slots: 0 to n - 1 for ``memory_bytes`` of n devices, others by ``open``."""

    def __init__(self, memory_bytes: Sequence[int]) -> None:
        self._size = list(memory_bytes)
        self._used = [0] * len(self._size)
        self._is_open = [True] * len(self._size)
        self._room = FirstFit(self._size)
        self._whole = FirstFit([1] * len(self._size))  # 1 where nobody is, else 0
        self._lines: dict[int, deque[W]] = {}  # by slot, and for ANY_DEVICE; none is empty between two calls
        self._n_left_early: dict[int, int] = {}  # how many left a line early, since it was tidied

    def stand(self, worker: W, device: int) -> None:
        """A worker has a slot from the beginning, beside others that stand there."""
        worker.place = device
        self._used[device] += self._need(worker, device)
        self._show(device)

    def start(self, worker: W, device: int) -> bool:
        """A worker is to be started in a slot or on ANY_DEVICE; returns whether it has it, ``place``, or waits."""
        worker.place = device
        line = self._lines.get(device)
        if line is None:
            slot = self._find(worker) if device == ANY_DEVICE else device
            if slot is not None and self._place(worker, slot):
                self._show(slot)
                return True
            line = self._lines[device] = deque()
            self._show(device)
        worker.waits = True
        line.append(worker)
        return False

    def leave(self, worker: W) -> list[W]:
        """A worker is gone from its line or its slot; returns those that have a slot now, in order."""
        place = worker.place
        if worker.waits:
            worker.waits = False
            self._leave_line(place)
        else:
            self._used[place] -= self._need(worker, place)
        return self._settle(place)

    def open(self, slot: int, memory_bytes: int) -> list[W]:
        """A slot can be used from now on; returns those that get room there."""
        if slot >= len(self._size):
            grown = slot + 1 - len(self._size)
            self._size += [0] * grown
            self._used += [0] * grown
            self._is_open += [False] * grown
            self._room, self._whole = (FirstFit([CLOSED] * len(self._size)) for _ in range(2))
            for place in range(len(self._size)):
                self._show(place)
        self._size[slot] = memory_bytes
        self._is_open[slot] = True
        return self._settle(slot)

    def close(self, slot: int) -> list[W]:
        """A slot can't be used any more; returns those that wait for it, in order, who have left its line.

        Who is there leaves as ever.
        """
        self._is_open[slot] = False
        self._n_left_early.pop(slot, None)
        left = [worker for worker in self._lines.pop(slot, ()) if worker.waits]
        for worker in left:
            worker.waits = False
        self._show(slot)
        return left

    def _need(self, worker: W, slot: int) -> int:
        return self._size[slot] if worker.takes_bytes is None else worker.takes_bytes

    def _show(self, slot: int) -> None:
        """Show those that are to be started on any device what a slot has for them: nothing while it has a line."""
        if slot == ANY_DEVICE:
            return
        size, used = self._size[slot], self._used[slot]
        is_open = self._is_open[slot] and slot not in self._lines
        self._room.set(slot, size - used if is_open else CLOSED)
        self._whole.set(slot, int(not used) if is_open else CLOSED)

    def _place(self, worker: W, slot: int) -> bool:
        """Put a worker into a slot, if there is room."""
        size, used, takes = self._size[slot], self._used[slot], worker.takes_bytes
        if not self._is_open[slot] or (used if takes is None else used + takes > size):
            return False
        worker.place = slot
        self._used[slot] += size if takes is None else takes
        return True

    def _settle(self, place: int) -> list[W]:
        """Give room to those whose turn it is, now that a slot may have more, or the line for any another first."""
        lines = self._lines
        settled: list[W] = []
        if place != ANY_DEVICE:
            if place in lines:
                settled = self._serve(place)
            self._show(place)
        return settled + self._serve(ANY_DEVICE) if ANY_DEVICE in lines else settled

    def _serve(self, of: int) -> list[W]:
        """Put the first of a line into its slot, or of that for any into the first with room, while there is room."""
        settled: list[W] = []
        line = self._lines[of]
        while line:
            following = line[0]
            if following.waits:
                slot = self._find(following) if of == ANY_DEVICE else of
                if slot is None or not self._place(following, slot):
                    return settled
                if of == ANY_DEVICE:
                    self._show(slot)
                following.waits = False
                settled.append(following)
            line.popleft()
        del self._lines[of]
        return settled

    def _find(self, worker: W) -> int | None:
        """The first slot with room for a worker that may be anywhere."""
        return self._whole.find(1) if worker.takes_bytes is None else self._room.find(worker.takes_bytes)

    def _leave_line(self, place: int) -> None:
        """Tidy a line when many have left it early. To search for each at once would cost the length of the line.

        Until then they are passed over. More than half of the line make it tidy, which is at most two steps for each.
        """
        n_left = self._n_left_early.get(place, 0) + 1
        line = self._lines[place]
        if 2 * n_left > len(line):
            n_left = 0
            line = self._lines[place] = deque(worker for worker in line if worker.waits)
        self._n_left_early[place] = n_left
