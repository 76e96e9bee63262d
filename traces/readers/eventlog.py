"""From the rows of an event log, in memory, to a trace: what the readers of logs have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from sim.domain import TraceSource
from sim.errors import TraceError
from traces.arrivals.durations import FLOOR_S
from traces.arrivals.events import EventTrace, Rows, event_trace, sorted_blocks, whole_minutes
from traces.arrivals.functions import Functions, Numbers
from traces.files.csvfile import Rule
from traces.files.directory import TracePath
from traces.files.kinds import Kind
from traces.formats import count_paths, csv_files, names
from traces.options import ReadOptions
from traces.units import Floats
from traces.window import check_span

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

_DAY_NS = 86_400_000_000_000

DatedRows: TypeAlias = tuple["pa.Array", Numbers, Floats]
"""Instants as timestamp[ns], numbers of functions and durations in s: rows whose trace time isn't known yet."""


def read_log(
    name: str,
    kinds: Mapping[str, Kind],
    rows_of: Callable[[pa.RecordBatch, Functions, Counter[str]], T],
    settle: Callable[[list[T]], Sequence[Rows]],
    *rules: Rule,
) -> Callable[[Sequence[TracePath], ReadOptions], EventTrace]:
    """The reader of a log with these columns; files of one directory are parts of one trace.

    rows_of: makes rows of a batch's columns, in the order of ``kinds``; it numbers functions and counts what is odd.
    settle: makes rows by trace time of all of them.
    """

    def read(paths: Sequence[TracePath], options: ReadOptions) -> EventTrace:
        anomalies: Counter[str] = Counter()
        _count_files(paths, anomalies)
        functions = Functions()
        parts = [
            rows_of(batch, functions, anomalies) for file in csv_files(paths) for batch in file.stream(kinds, *rules)
        ]
        return log_trace(name, paths, settle(parts), functions, options, anomalies)

    return read


def _count_files(paths: Sequence[TracePath], anomalies: Counter[str]) -> None:
    """Count the files that are parts of one trace because they lie in one directory."""
    for path in paths:
        if path.is_directory and len(path.files) > 1:  # excerpts that overlap would count twice: say so
            anomalies["files_of_one_directory"] += len(path.files)


def floored(duration_s: Floats, anomalies: Counter[str]) -> Floats:
    """Durations of at least a millisecond; counts those of 0, which published logs round to."""
    anomalies["zero_duration"] += int(np.count_nonzero(duration_s == 0))
    return np.maximum(duration_s, FLOOR_S)


def since_midnight(parts: Sequence[DatedRows]) -> list[Rows]:
    """The rows by trace time, seconds from the midnight, UTC, before the earliest of all."""
    ns = [at.cast("int64").to_numpy() for at, _, _ in parts]
    midnight_ns = min(int(column.min()) for column in ns) // _DAY_NS * _DAY_NS
    return [
        Rows((at_ns - midnight_ns) / 1e9, function, duration_s)
        for at_ns, (_, function, duration_s) in zip(ns, parts, strict=True)
    ]


def log_trace(
    name: str,
    paths: Sequence[TracePath],
    parts: Sequence[Rows],
    functions: Functions,
    options: ReadOptions,
    anomalies: Counter[str],
) -> EventTrace:
    """The trace of these rows. Without a window it covers the whole minutes from its first to its last arrival.

    A window may begin at the trace's 00:00, before the first arrival, but not reach beyond the last minute.
    Raises TraceError for a window without data.
    """
    rows = Rows.concatenate(parts)
    if not len(rows.at_s):
        raise TraceError(f"{names(paths)}: has no row that can be read as an invocation")
    anomalies.update(functions.anomalies())
    count_paths(paths, anomalies)
    first_s, last_s = whole_minutes(rows.at_s)
    check_span((first_s, last_s), names(paths))
    window_s = (first_s, last_s) if options.window_s is None else options.narrow((0.0, last_s), names(paths))
    source = TraceSource(
        name,
        tuple(str(file.path) for path in paths for file in path.files),
        window_s,
        {"rate_scale": options.rate_scale, "seed": options.seed},
        dict(+anomalies),
    )
    return event_trace(source, sorted_blocks(rows), functions, options, names(paths))
