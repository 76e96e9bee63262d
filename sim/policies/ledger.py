"""What a policy knows of the memory of devices, or slots of them, that workers share."""

from __future__ import annotations

from collections.abc import Sequence

from sim.policies.least import Least

_CLOSED = -1  # the size of a slot that there is not


class Ledger:
    """Bytes of each slot: ``size``; ``used`` by workers that are not gone; ``kept`` by those of them that were not told
    to stop; ``busy`` by those of them that have work.

    A worker can start at once where its memory is not used. It can start for what there is to stop where its memory is
    not busy: it then waits until what is stopping is gone. Nobody has to wait anywhere while ``used`` is at most the
    size, so that a line of starts is never overlooked.

    An entry costs O(log slots); where work comes and goes it costs nothing until ``idlest`` is asked.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._size = list(sizes)
        self._used, self._kept, self._busy = ([0] * len(self._size) for _ in range(3))
        self._index()

    def open(self, slot: int, size: int) -> None:
        """There is this slot from now on."""
        if grown := slot + 1 - len(self._size):
            self._size += [_CLOSED] * grown
            for column in (self._used, self._kept, self._busy):
                column += [0] * grown
        self._size[slot] = size
        self._index()

    def close(self, slot: int) -> None:
        """There is no such slot any more."""
        self._size[slot] = _CLOSED
        self._show(slot)

    def start(self, slot: int, n_bytes: int) -> None:
        """A worker is started, and has work."""
        self._used[slot] += n_bytes
        self._kept[slot] += n_bytes
        self._busy[slot] += n_bytes
        self._show(slot)

    def work(self, slot: int, n_bytes: int) -> None:
        """A worker has work again."""
        self._busy[slot] += n_bytes
        self._stale.add(slot)

    def rest(self, slot: int, n_bytes: int) -> None:
        """A worker has no work any more."""
        self._busy[slot] -= n_bytes
        self._stale.add(slot)

    def stop(self, slot: int, n_bytes: int) -> None:
        """A worker without work is told to stop."""
        self._kept[slot] -= n_bytes

    def leave(self, slot: int, n_bytes: int) -> None:
        """A worker that was told to stop is gone."""
        self._used[slot] -= n_bytes
        self._by_free.set(slot, self._used[slot] - self._size[slot])

    def emptiest(self, n_bytes: int) -> int | None:
        """The slot with the most memory that is not used, of equals the lowest, if that is enough; else None."""
        used, slot = self._by_free.find()
        return slot if -used >= n_bytes else None

    @property
    def idlest(self) -> tuple[int, int]:
        """The most bytes of a slot that are not busy, and the slot, of equals the lowest."""
        while self._stale:
            slot = self._stale.pop()
            self._by_idle.set(slot, self._busy[slot] - self._size[slot])
        busy, slot = self._by_idle.find()
        return -int(busy), slot

    def idle_bytes(self, slot: int) -> int:
        """What is not busy of a slot."""
        return self._size[slot] - self._busy[slot]

    def lacks(self, slot: int, n_bytes: int) -> bool:
        """Whether others must be told to stop before a worker can start in a slot."""
        return self._kept[slot] + n_bytes > self._size[slot]

    def _show(self, slot: int) -> None:
        self._by_free.set(slot, self._used[slot] - self._size[slot])
        self._stale.add(slot)

    def _index(self) -> None:
        self._by_free = Least([used - size for used, size in zip(self._used, self._size, strict=True)])
        self._stale: set[int] = set()  # slots whose entry in the next is out of date
        self._by_idle = Least([busy - size for busy, size in zip(self._busy, self._size, strict=True)])
