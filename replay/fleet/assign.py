"""What each worker of a run is to be."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace

from replay.errors import ReplayError
from replay.fleet.messages import Assignment
from sim.domain import Function
from sim.protocol import Standing


def device_name(first: str, number: int) -> str:
    """Name of the ``number``-th device of a fleet whose first is ``first``: "cpu" is all of it, GPUs follow it."""
    kind, _, ordinal = first.partition(":")
    if not ordinal:
        return first
    if not ordinal.isdecimal():
        raise ReplayError(f"device {first!r} is neither 'cpu' nor 'cuda:N' with the number of a GPU, as 'cuda:0'")
    return f"{kind}:{int(ordinal) + number}"


class Assigner:
    """Assignments as bytes, by what a worker is; made once, for starts are timed.

    limits_bytes: of the executors of the standing workers. Others have that of the pattern, or what their part of a
    device leaves after a context.
    """

    def __init__(
        self,
        pattern: Assignment,
        functions: Sequence[Function],
        limits_bytes: Mapping[Standing, int],
        context_bytes: int,
    ) -> None:
        self._pattern = pattern
        self._functions = functions
        self._limits_bytes = limits_bytes
        self._context_bytes = context_bytes
        self._made: dict[Standing, bytes] = {}

    def __call__(self, worker: Standing) -> bytes:
        if worker not in self._made:
            self._made[worker] = pickle.dumps(self._assignment(worker))
        return self._made[worker]

    def _assignment(self, worker: Standing) -> Assignment:
        base = replace(
            self._pattern,
            device=device_name(self._pattern.device, worker.device),
            memory_limit_bytes=self._limit_bytes(worker),
            share=worker.share,
        )
        if worker.function < 0:
            return replace(base, functions=tuple(self._functions))
        only = self._functions[worker.function]
        places = {only.graph.name: base.places[only.graph.name]}
        return replace(base, functions=(only,), places=places, preload=True)

    def _limit_bytes(self, worker: Standing) -> int | None:
        if worker in self._limits_bytes:
            return self._limits_bytes[worker]
        if worker.memory_bytes is None:
            return self._pattern.memory_limit_bytes
        return worker.memory_bytes - self._context_bytes
