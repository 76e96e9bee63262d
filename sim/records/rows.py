"""Rows of completed invocations on their way from an event loop in Python to the recorder's blocks of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import pack
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Block: TypeAlias = Mapping[str, Floats]  # equally long columns by name

# What a world tells of a completed invocation, in this order.
ROW = (
    "invocation", "function", "arrival_at_s", "admitted_at_s", "queued_at_s", "dispatch_s", "started_at_s", "load_s",
    "run_s", "completed_at_s", "worker",
)  # fmt: skip
# What it tells beside that of one which was cold or did not find its buffers resident; else these are 0.
MISS = ("row", "cold", "constant_bytes", "n_evicted")  # row: len(rows) before it
# And of one that ran in a batch, or was tried before; else these are 1.
SPECIAL = ("row", "batch", "attempt")
COLUMNS = (*ROW, *MISS[1:], *SPECIAL[1:])  # of a block, beside what its world measures
ROWS_IN_BLOCK = 4_096  # Python's numbers are packed into arrays before they fall out of the processor's cache


class Rows:
    """Flat lists, since a list of numbers is the quickest thing that Python can add to.

    names: of the numbers in ``completed`` for each invocation: ROW, and what this world measures of columns that
    others have from the calibration. missed, special: len(MISS) and len(SPECIAL) numbers for some of them. Whoever adds
    to them calls ``flush()`` when ``completed`` has ``limit`` numbers. take: gets the rows as a block of columns.
    """

    __slots__ = ("_take", "completed", "limit", "missed", "names", "special")

    def __init__(self, take: Callable[[Block], None], measured: tuple[str, ...] = ()) -> None:
        self.names = (*ROW, *measured)
        self.completed: list[float] = []
        self.missed: list[float] = []
        self.special: list[float] = []
        self.limit = ROWS_IN_BLOCK * len(self.names)
        self._take = take

    def flush(self) -> None:
        """Hand over what was collected so far."""
        if not self.completed:
            return
        block = _columns(self.names, self.completed)
        for names, flat, usual in ((MISS, self.missed, 0.0), (SPECIAL, self.special, 1.0)):
            some = _columns(names, flat)
            at = some["row"].astype(np.int64) // len(self.names)
            for name in names[1:]:
                block[name] = np.full(len(block["invocation"]), usual)
                block[name][at] = some[name]
        self._take(block)


def _columns(names: tuple[str, ...], flat: list[float]) -> dict[str, Floats]:
    """Empty a flat list of rows into columns."""
    packed = pack(f"{len(flat)}d", *flat)  # in three quarters of the time of numpy
    columns = np.frombuffer(packed).reshape(-1, len(names)).T
    flat.clear()
    return dict(zip(names, columns, strict=True))
