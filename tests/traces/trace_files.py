"""Tiny traces, written by hand, and a way to read all their arrivals at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim.domain import ArrivalChunk, Trace
from traces.readers.azure2019 import DURATIONS_HEADER, INVOCATIONS_HEADER, MEMORY_HEADER
from traces.readers.daily_files import Role


def collect(trace: Trace) -> ArrivalChunk:
    """All arrivals of a trace as one chunk."""
    chunks = list(trace.chunks())
    return ArrivalChunk(
        np.concatenate([np.empty(0), *(c.at_s for c in chunks)]),
        np.concatenate([np.empty(0, np.int32), *(c.function for c in chunks)]),
        np.concatenate([np.empty(0), *(c.duration_s for c in chunks)]),
    )


class Azure2019:
    """Writes the published layout. Keys are ``app/function``; what a test doesn't say is dull and valid."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, role: Role, day: int = 1) -> Path:
        return self.path / role.published_name(day)

    def text(self, role: Role, header: Sequence[str], rows: Sequence[Sequence[Any]], day: int = 1) -> None:
        lines = [",".join(map(str, row)) for row in (header, *rows)]
        self.file(role, day).write_text("\n".join(lines) + "\n", encoding="ascii")

    def invocations(self, *rows: tuple[str, Mapping[int, int]], day: int = 1, trigger: str = "http") -> None:
        """Rows of a key and its counts by minute, from 1 as in the header."""
        self.text(
            Role.INVOCATIONS,
            INVOCATIONS_HEADER,
            [["o", *key.split("/"), trigger, *(counts.get(m, 0) for m in range(1, 1441))] for key, counts in rows],
            day,
        )

    def durations(self, *rows: tuple[str, float, Sequence[Any]], day: int = 1) -> None:
        """Rows of a key, its Average and its seven percentiles, in ms."""
        self.text(
            Role.DURATIONS,
            DURATIONS_HEADER,
            [["o", *key.split("/"), average, 1, "1.0", "9.0", *points] for key, average, points in rows],
            day,
        )

    def memory(self, *rows: tuple[str, float], day: int = 1) -> None:
        """Rows of an app and its average, in MiB."""
        self.text(Role.MEMORY, MEMORY_HEADER, [["o", app, 10, average, *[average] * 8] for app, average in rows], day)

    def day(self, *rows: tuple[str, Mapping[int, int]], day: int = 1) -> Path:
        """A complete day: 100 ms and 64 MiB an app for everyone."""
        self.invocations(*rows, day=day)
        self.durations(*((key, 100, [100] * 7) for key, _ in rows), day=day)
        self.memory(*((app, 64) for app in dict.fromkeys(key.split("/")[0] for key, _ in rows)), day=day)
        return self.path
