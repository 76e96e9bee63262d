"""What each worker of a run is to be."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace

from replay.errors import ReplayError
from replay.messages import Assignment
from sim.domain import Function


def device_name(first: str, number: int) -> str:
    """Name of the ``number``-th device of a fleet whose first is ``first``: "cpu" is all of it, GPUs follow it."""
    kind, _, ordinal = first.partition(":")
    if not ordinal:
        return first
    if not ordinal.isdecimal():
        raise ReplayError(f"device {first!r} is neither 'cpu' nor 'cuda:N' with the number of a GPU, as 'cuda:0'")
    return f"{kind}:{int(ordinal) + number}"


class Assigner:
    """Assignments as bytes, by device and function (-1: an executor of all); made once, for starts are timed."""

    def __init__(self, pattern: Assignment, functions: Sequence[Function]) -> None:
        self._pattern = pattern
        self._functions = functions
        self._made: dict[tuple[int, int], bytes] = {}

    def __call__(self, device: int, function: int) -> bytes:
        key = (device, function)
        if key not in self._made:
            self._made[key] = pickle.dumps(self._assignment(device, function))
        return self._made[key]

    def _assignment(self, device: int, function: int) -> Assignment:
        name = device_name(self._pattern.device, device)
        if function < 0:
            return replace(self._pattern, device=name, functions=tuple(self._functions))
        only = self._functions[function]
        places = {only.graph.name: self._pattern.places[only.graph.name]}
        return replace(self._pattern, device=name, functions=(only,), places=places, preload=True)
