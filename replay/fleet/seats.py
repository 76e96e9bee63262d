"""What each standing worker gets of its device: memory, and multiprocessors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from replay.errors import ReplayError
from replay.fleet.machine import bus_id
from sim.domain import Function
from sim.protocol import Costs, Standing

CONTEXT_BYTES = 616 << 20  # of one process on a GPU: the most of what is reported in public, 256 to 616 MiB

Facts = Mapping[str, Any]  # of replay.fleet.messages.Ready
Rehearse = Callable[[int, float, int], Facts]  # device, share, memory limit -> what a worker has there


def context_bytes(facts: Facts) -> int:
    """Memory that a process takes on a device beside its executor's."""
    return 0 if bus_id(facts) is None else CONTEXT_BYTES


class Seat(NamedTuple):
    """limit_bytes: memory for its executor. multiprocessors: that its kernels may use; None on a CPU."""

    limit_bytes: int
    multiprocessors: int | None


def assign_seats(
    standing: Sequence[Standing],
    functions: Sequence[Function],
    costs: Costs,
    devices: Sequence[Facts],
    rehearse: Rehearse,
) -> list[Seat]:
    """A seat for each standing worker.

    The only worker of a device has all that an executor takes there; several divide that, in proportion to the
    buffers of their functions. Each process has a context beside it; of a worker with ``memory_bytes`` it is in these.
    devices: facts of each. rehearse: called for workers with a part of a device. Raises ReplayError when the buffers of
    a function don't fit into its part.
    """
    seats = []
    for worker in standing:
        needs = [_need_bytes(w, functions, costs) for w in standing if w.device == worker.device]
        facts = devices[worker.device]
        limit_bytes = facts["limit_bytes"]
        if worker.memory_bytes is not None:
            limit_bytes = worker.memory_bytes - context_bytes(facts)
            facts = rehearse(worker.device, worker.share, limit_bytes)
        elif len(needs) > 1 or worker.share < 1:
            need_bytes = _need_bytes(worker, functions, costs)
            limit_bytes = _room_bytes(facts, len(needs)) * need_bytes // sum(needs)
            facts = rehearse(worker.device, worker.share, limit_bytes)
            if facts["capacity_bytes"] < need_bytes:
                raise ReplayError(
                    f"device {worker.device}: the buffers of its {len(needs)} workers need {sum(needs):,} B, which "
                    f"don't fit into {_room_bytes(devices[worker.device], len(needs)):,} B of memory: a worker that "
                    f"needs {need_bytes:,} B for buffers would get {facts['capacity_bytes']:,} B"
                )
        seats.append(Seat(limit_bytes, facts["usable_multiprocessors"]))
    return seats


def _need_bytes(worker: Standing, functions: Sequence[Function], costs: Costs) -> int:
    served = functions if worker.function < 0 else [functions[worker.function]]
    return max(costs.memory_bytes(f.id) for f in served)


def _room_bytes(facts: Facts, n_workers: int) -> int:
    """Memory for the executors of so many workers on a device, of which one had its context when it was looked at."""
    contexts_bytes = (n_workers - 1) * context_bytes(facts)
    return max(min(int(facts["limit_bytes"]), int(facts["free_bytes"]) - contexts_bytes), 0)
