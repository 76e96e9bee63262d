"""Daily tables into a trace: what Azure Functions 2019 and the samples derived from it have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sim.domain import TraceFunction, TraceSource
from sim.errors import TraceError
from traces.arrivals.durations import DurationTable, no_durations
from traces.arrivals.keys import app_of
from traces.arrivals.minutes import DayCounts, MinuteTrace
from traces.files.directory import TracePath
from traces.formats import UNKNOWN_TRIGGER, count_paths, names
from traces.options import ReadOptions
from traces.readers.counted import scale_cells
from traces.readers.daily_files import Day, find_days, without_side_tables
from traces.readers.daily_tables import Counts, read_counts, read_durations, read_memory
from traces.units import DAY_S, MIB, MINUTE_S, Floats
from traces.window import format_window

_VAGUE_TRIGGERS = ("others", UNKNOWN_TRIGGER)


@dataclass(frozen=True)
class _Part:
    """A day's minutes in the window and their counts. function: index into _Functions of each row of counts.

    counts: at ``rate_scale``. per_row: invocations of each row as counted.
    """

    day: Day
    start_s: float
    minutes: list[int]
    counts: Counts
    function: npt.NDArray[np.int32]
    per_row: Floats


@dataclass
class _Functions:
    """The functions of all days read, in order of first appearance, whether invoked in the window or not."""

    index: dict[str, int] = field(default_factory=dict)
    trigger: list[str] = field(default_factory=list)

    def add(self, counts: Counts, anomalies: Counter[str]) -> npt.NDArray[np.int32]:
        """Enter a day's functions; returns the index of each of its rows. The last telling trigger counts."""
        of_row = np.empty(len(counts.key), np.int32)
        for row, (key, trigger) in enumerate(zip(counts.key, counts.trigger, strict=True)):
            of_row[row] = i = self.index.setdefault(key, len(self.index))
            if i == len(self.trigger):
                self.trigger.append(trigger)
            elif trigger not in (self.trigger[i], *_VAGUE_TRIGGERS):
                self.trigger[i] = trigger
                anomalies["trigger_changed"] += 1
        return of_row


def read_daily(name: str, paths: Sequence[TracePath], options: ReadOptions) -> MinuteTrace:
    """Read the days that the window touches; all that a trace says of a function comes from these days.

    Functions without a count in the window's minutes are left out, whatever the rate; the others are in file order.
    Raises TraceError for files that break the layout and for a window without invocations.
    """
    paths = [without_side_tables(path) for path in paths]
    days = find_days(paths)
    window_s = options.narrow(_span_s(days), names(paths))
    anomalies: Counter[str] = Counter()
    count_paths(paths, anomalies)
    functions = _Functions()
    parts = list(_read_parts(days, window_s, functions, options, anomalies))

    n_all = len(functions.index)
    totals = np.array([np.bincount(part.function, part.per_row, n_all) for part in parts])
    kept = np.flatnonzero(totals.any(axis=0))
    if not any(len(part.counts.count) for part in parts):
        raise TraceError(f"{names(paths)}: no invocation in the window {format_window(window_s)}")
    totals = totals[:, kept]
    all_keys = list(functions.index)
    keys = [all_keys[i] for i in kept]
    tables = [_durations(p.day, keys, total > 0, anomalies) for p, total in zip(parts, totals, strict=True)]
    mean_s = np.average([table.mean_s for table in tables], axis=0, weights=totals)
    memory = _memory_bytes(parts, keys, Counter(map(app_of, functions.index)), anomalies)
    renumber = np.full(n_all, -1, np.int32)
    renumber[kept] = np.arange(len(kept))
    return MinuteTrace(
        TraceSource(name, _files(parts), window_s, options.as_dict(), dict(+anomalies)),
        [
            TraceFunction(key, app_of(key), functions.trigger[i], float(mean), size_bytes, float(n))
            for key, i, mean, size_bytes, n in zip(keys, kept, mean_s, memory, totals.sum(axis=0), strict=True)
        ],
        [_day_counts(part, renumber, table) for part, table in zip(parts, tables, strict=True)],
        options,
    )


def _span_s(days: Sequence[Day]) -> tuple[float, float]:
    """What the minute columns cover, in trace time: seconds from the midnight of the first day."""
    last_s = (days[-1].number - days[0].number) * DAY_S
    return min(days[0].minutes) * MINUTE_S, last_s + (max(days[-1].minutes) + 1) * MINUTE_S


def _read_parts(
    days: Sequence[Day],
    window_s: tuple[float, float],
    functions: _Functions,
    options: ReadOptions,
    anomalies: Counter[str],
) -> Iterator[_Part]:
    for day in days:
        start_s = (day.number - days[0].number) * DAY_S
        edges_s = {minute: start_s + minute * MINUTE_S for minute in day.minutes}
        minutes = [m for m, at_s in edges_s.items() if at_s + MINUTE_S > window_s[0] and at_s < window_s[1]]
        if minutes:
            counts = read_counts(day.invocations, day.name_columns, [day.minutes[m] for m in minutes], anomalies)
            function = functions.add(counts, anomalies)
            yield _Part(day, start_s, minutes, _scaled(counts, day, minutes, options), function, _per_row(counts))


def _per_row(counts: Counts) -> Floats:
    """Invocations of each row, summed by minute: bincount makes floats of all counts that it is given."""
    per_row = np.zeros(len(counts.key))
    for start, end in pairwise(counts.indptr):
        per_row += np.bincount(counts.row[start:end], counts.count[start:end], len(per_row))
    return per_row


def _scaled(counts: Counts, day: Day, minutes: Sequence[int], options: ReadOptions) -> Counts:
    """The counts at ``rate_scale``."""
    named = str(day.invocations.path)
    indptr, row, count = scale_cells(counts.indptr, counts.row, counts.count, day.number, minutes, options, named)
    return replace(counts, indptr=indptr, row=row, count=count)


def _durations(day: Day, keys: Sequence[str], invoked: npt.NDArray[np.bool_], anomalies: Counter[str]) -> DurationTable:
    """The day's durations, one row a function of the trace; counts the invoked functions that have none."""
    table, row_of = (
        read_durations(day.durations, day.name_columns, anomalies) if day.durations else (no_durations(), {})
    )
    rows = np.array([row_of.get(key, -1) for key in keys])
    anomalies["function_without_durations"] += int(np.count_nonzero(invoked & (rows < 0)))
    return table.take(rows)


def _memory_bytes(
    parts: Sequence[_Part], keys: Sequence[str], app_sizes: Counter[str], anomalies: Counter[str]
) -> list[int | None]:
    """Memory of each function: its own where the table has functions, else the app's by its number of functions.

    An app is one container; FaasCache and InVitro divide it in the same way. The first day that knows a key counts.
    """
    by_key: dict[str, float] = {}
    for file in dict.fromkeys(part.day.memory for part in parts if part.day.memory):
        table, per_function = read_memory(file, parts[0].day.name_columns, anomalies)
        for key, mib in table.items():
            by_key.setdefault(key, mib if per_function else mib / app_sizes.get(key, 1))
    memory = [by_key.get(key, by_key.get(app_of(key))) for key in keys]
    anomalies["function_without_memory"] += memory.count(None)
    return [None if mib is None else max(1, round(mib * MIB)) for mib in memory]


def _day_counts(part: _Part, renumber: npt.NDArray[np.int32], durations: DurationTable) -> DayCounts:
    return DayCounts(
        number=part.day.number,
        start_s=part.start_s,
        minutes=np.array(part.minutes),
        indptr=part.counts.indptr,
        function=renumber[part.function][part.counts.row],
        count=part.counts.count,
        durations=durations,
    )


def _files(parts: Sequence[_Part]) -> tuple[str, ...]:
    """The files that were read, each once."""
    files = [f for p in parts for f in (p.day.invocations, p.day.durations, p.day.memory) if f]
    return tuple(dict.fromkeys(str(file.path) for file in files))
