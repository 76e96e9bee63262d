"""Which functions executors are believed to hold: those that they ran last, as far as memory goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence

from sim.domain import FleetSpec, Function, Role

_NOTHING: OrderedDict[int, None] = OrderedDict()


class Held:
    """Functions by executor, in order of last use. most: how many an executor holds, whatever their size.

    A policy isn't told what is in memory. A function is taken to be held once its executor was given it, until others
    that were given later leave no room for its constants.
    """

    def __init__(self, fleet: FleetSpec, functions: Sequence[Function], most: int) -> None:
        self._most = most
        self._room = fleet.memory_bytes
        self._size = [f.graph.bytes_of(Role.CONSTANT) for f in functions]
        self._used: dict[int, int] = {}
        self._by_worker: dict[int, OrderedDict[int, None]] = {}

    def among(self, worker: int, functions: Collection[int]) -> list[int]:
        """Which of these an executor holds; as fast as the fewer of both, so that no more than ``most`` count."""
        held = self._by_worker.get(worker, _NOTHING)
        few, many = (held, functions) if len(held) < len(functions) else (functions, held)
        return [function for function in few if function in many]

    def use(self, worker: int, device: int, function: int) -> list[int]:
        """An executor on this device is given a function; returns those that it holds no more."""
        held = self._by_worker.setdefault(worker, OrderedDict())
        if function in held:
            held.move_to_end(function)
            return []
        held[function] = None
        used = self._used.get(worker, 0) + self._size[function]
        gone = []
        while len(held) > 1 and (len(held) > self._most or used > self._room[device]):
            other = held.popitem(last=False)[0]
            used -= self._size[other]
            gone.append(other)
        self._used[worker] = used
        return gone

    def lose(self, worker: int) -> Collection[int]:
        """An executor is gone; returns what it held."""
        self._used.pop(worker, None)
        return self._by_worker.pop(worker, ())
