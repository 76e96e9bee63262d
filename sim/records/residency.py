"""The residency table of a run: which buffers were in the memory of which worker, from when to when."""

from __future__ import annotations

from collections import defaultdict
from math import isnan
from pathlib import Path

import pyarrow.parquet as pq

from sim.models.startup import Ladder
from sim.records.tables import RESIDENCY

ROWS_IN_GROUP = 65_536
GONE = "gone"  # with the worker

_Row = tuple[int, int, int, int, float, float, str]  # as the columns of the table


class ResidencyLog:
    """Writes the table. A world tells of every change of an executor's memory, and of workers when they are gone."""

    def __init__(self, directory: Path) -> None:
        file = directory / f"{RESIDENCY.name}.parquet"
        self._writer = pq.ParquetWriter(file, RESIDENCY.schema, write_page_checksum=True)
        self._rows: list[_Row] = []
        # Of each executor that is there, by function: what came together and is there, (bytes, since when), the latest
        # last.
        self._there: defaultdict[int, defaultdict[int, list[tuple[int, float]]]]
        self._there = defaultdict(lambda: defaultdict(list))

    def changed(self, now_s: float, worker: int, device: int, function: int, n_bytes: int, reason: str) -> None:
        """Buffers of a function came to an executor or left it, as ``sim.models.watched.Tell`` has it."""
        there = self._there[worker][function]
        if not reason:
            there.append((n_bytes, now_s))
            return
        while n_bytes > 0:
            its_bytes, since_s = there.pop()
            if its_bytes > n_bytes:
                there.append((its_bytes - n_bytes, since_s))
                its_bytes = n_bytes
            n_bytes -= its_bytes
            self._add((worker, device, function, its_bytes, since_s, now_s, reason))

    def worker(
        self,
        number: int,
        device: int,
        function: int,
        instants_s: tuple[float, float, float],
        ladder: Ladder | None,
        constants_bytes: int,
        took_device_at_s: float,
    ) -> None:
        """A worker is gone or the run has ended, see ``sim.records.recorder.Recorder.worker``.

        One of a function alone that got ready had its constants from their stage on.
        """
        _, ready_at_s, stopped_at_s = instants_s
        reason = "" if isnan(stopped_at_s) else GONE
        for other, there in sorted(self._there.pop(number, {}).items()):
            for n_bytes, since_s in there:
                self._add((number, device, other, n_bytes, since_s, stopped_at_s, reason))
        if function < 0 or isnan(ready_at_s) or not constants_bytes:
            return
        loaded_at_s = took_device_at_s + (0.0 if ladder is None else ladder.before_constants_s)
        self._add((number, device, function, constants_bytes, loaded_at_s, stopped_at_s, reason))

    def close(self) -> None:
        """Write what is left. All workers have been told of."""
        self._write()
        self._writer.close()

    def _add(self, row: _Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_IN_GROUP:
            self._write()

    def _write(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(RESIDENCY.names)
        self._writer.write_table(RESIDENCY.arrow(dict(zip(RESIDENCY.names, map(list, columns), strict=True))))
        self._rows.clear()
