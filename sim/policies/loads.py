"""How many invocations each executor has, and which has the fewest."""

from __future__ import annotations

from collections import OrderedDict


class Loads:
    """Loads of executors. They change by one at a time, so that there is an ordered set of executors for each load and
    nothing is searched."""

    def __init__(self) -> None:
        self._load: dict[int, int] = {}
        self._at_load: list[OrderedDict[int, None]] = [OrderedDict()]
        self._least = 0

    def join(self, worker: int) -> None:
        """There is this executor, and it is empty."""
        self._load[worker] = 0
        self._at_load[0][worker] = None
        self._least = 0

    def lose(self, worker: int) -> None:
        """An executor is gone."""
        del self._at_load[self._load.pop(worker)][worker]
        while self._load and not self._at_load[self._least]:
            self._least += 1

    def least(self) -> tuple[int, int]:
        """The least load, and an executor that has it: of several the one that has had it longest."""
        return self._least, next(iter(self._at_load[self._least]))

    def move(self, worker: int, step: int) -> None:
        """An executor was given one (+1), or is done with one (-1)."""
        load = self._load[worker]
        del self._at_load[load][worker]
        load += step
        self._load[worker] = load
        if load == len(self._at_load):
            self._at_load.append(OrderedDict())
        self._at_load[load][worker] = None
        if load < self._least:
            self._least = load
        elif not self._at_load[self._least]:
            self._least += 1
