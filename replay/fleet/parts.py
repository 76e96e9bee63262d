"""Workers with a part of a device's memory: what such a part must have, and which starts a machine can't carry out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from replay.executor.sizing import limit_bytes
from sim.protocol import EVERY_FUNCTION, Costs, Standing, Start

Against = Callable[[Start | Standing], str]  # why a worker can't be had on this machine, or ""


def order_bytes(mode: str, facts: Mapping[str, Any]) -> int:
    """What is the memory of a device for orders: all that workers take there in parts, or else one executor's buffers.

    facts: of ``replay.fleet.messages.Ready``.
    """
    return int(facts["limit_bytes" if mode == "shared" else "capacity_bytes"])


class PartCosts:
    """What a policy is told of costs where workers get parts: memory of the whole process, with context and executor.

    costs: of the buffers alone. context_bytes: of each process. capped: whether MPS holds workers to their share of
    the multiprocessors.
    """

    def __init__(self, costs: Costs, n_functions: int, context_bytes: int, *, capped: bool) -> None:
        self._costs = costs
        self._bytes = [context_bytes + limit_bytes(costs.memory_bytes(f)) for f in range(n_functions)]
        self._capped = capped

    def expected_s(self, function: int) -> float:
        """Expected duration of a warm invocation on a device that nobody else uses, in seconds."""
        return self._costs.expected_s(function)

    def memory_bytes(self, function: int) -> int:
        """Device memory of a worker that serves this function alone."""
        return self._bytes[function]

    def against(self, order: Start | Standing) -> str:
        """Why a worker can't be had on this machine, or ""."""
        need_bytes = max(self._bytes) if order.function == EVERY_FUNCTION else self._bytes[order.function]
        if order.memory_bytes is not None and order.memory_bytes < need_bytes:
            return f"a worker of what it serves takes {need_bytes:,} bytes here"
        if order.share < 1 and not self._capped:
            return "nothing holds a worker to a share of the multiprocessors here: no control daemon of MPS runs"
        return ""
