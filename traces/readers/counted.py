"""From counts per minute and function, of any number of days, to a trace: what the simpler count formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.domain import TraceSource
from sim.errors import TraceError
from sim.streams import Stream
from traces.arrivals.durations import DurationTable, no_durations
from traces.arrivals.functions import Functions
from traces.arrivals.minutes import DayCounts, MinuteTrace
from traces.arrivals.placement import scale_counts
from traces.files.directory import TracePath
from traces.formats import count_paths, names
from traces.options import ReadOptions
from traces.units import DAY_S, MINUTE_S, MINUTES_A_DAY, Ints
from traces.window import format_window

_MINUTE_MAX = 1 << 25  # 50 times the mean of Azure 2019's whole platform; drawing them takes 2 GiB


@dataclass(frozen=True)
class Cells:
    """Counts as equally long columns. minute: from the trace's midnight; function: number; count: >= 0."""

    minute: Ints
    function: npt.NDArray[np.int32]
    count: Ints

    def take(self, which: slice | npt.NDArray[Any]) -> Cells:
        """Some of the cells."""
        return Cells(self.minute[which], self.function[which], self.count[which])

    def filled(self) -> Cells:
        """The cells that aren't 0."""
        return self.take(self.count > 0)

    @staticmethod
    def concatenate(parts: Sequence[Cells]) -> Cells:
        """The cells of all parts, one after the other."""
        return Cells(
            np.concatenate([p.minute for p in parts]),
            np.concatenate([p.function for p in parts]),
            np.concatenate([p.count for p in parts]),
        )


def counted_trace(
    name: str,
    paths: Sequence[TracePath],
    cells: Cells,
    span: tuple[int, int],
    functions: Functions,
    options: ReadOptions,
    anomalies: Counter[str],
    durations_of_day: Callable[[int], DurationTable] | None = None,
) -> MinuteTrace:
    """The trace of these cells, none of them 0. span: the minutes that the files cover, first and end.

    Cells of the same minute and function are summed, and counted as duplicates. durations_of_day: of a day from 0,
    one row a function; by default the published median, which is counted. Functions without a count in the window
    are left out, whatever the rate. Raises TraceError for a window without invocations.
    """
    window_s = options.narrow((span[0] * MINUTE_S, span[1] * MINUTE_S), names(paths))
    cells = _summed(cells, anomalies)
    anomalies.update(functions.anomalies())
    count_paths(paths, anomalies)
    inside = ((cells.minute + 1) * MINUTE_S > window_s[0]) & (cells.minute * MINUTE_S < window_s[1])
    cells = cells.take(inside)
    day_of_cell, n_all = cells.minute // MINUTES_A_DAY, len(functions)
    numbers = np.unique(day_of_cell).tolist()
    days = [
        _day(cells, number, _tables(durations_of_day, number, len(functions)), options, names(paths))
        for number in numbers
    ]
    of_days = (cells.take(day_of_cell == number) for number in numbers)
    totals = np.array([np.bincount(day.function, day.count, n_all) for day in of_days])
    kept = np.flatnonzero(totals.any(axis=0)) if days else np.empty(0, np.int64)
    if not any(len(day.count) for day in days):
        raise TraceError(f"{names(paths)}: no invocation in the window {format_window(window_s)}")
    if durations_of_day is None:
        anomalies["function_without_durations"] += len(kept)
    mean_s = np.average([day.durations.mean_s[kept] for day in days], axis=0, weights=totals[:, kept])
    renumber = np.full(len(functions), -1, np.int32)
    renumber[kept] = np.arange(len(kept))
    files = tuple(str(file.path) for path in paths for file in path.files)
    return MinuteTrace(
        TraceSource(name, files, window_s, options.as_dict(), dict(+anomalies)),
        functions.describe(kept, mean_s, totals[:, kept].sum(axis=0)),
        [replace(day, function=renumber[day.function], durations=day.durations.take(kept)) for day in days],
        options,
    )


def scale_cells(
    indptr: Ints,
    function: npt.NDArray[np.int32],
    count: npt.NDArray[np.integer[Any]],
    day: int,
    minutes: Sequence[int],
    options: ReadOptions,
    named: str,
) -> tuple[Ints, npt.NDArray[np.int32], npt.NDArray[np.integer[Any]]]:
    """A day's cells at ``rate_scale``, without those that it emptied; cells of the i-th minute are indptr[i:i + 2].

    Raises TraceError for a minute with more invocations than can be drawn at once: a wrong number, most likely.
    """
    sums = np.diff(np.concatenate([[0], np.cumsum(count, dtype=np.float64)])[indptr]) * options.rate_scale
    if (sums > _MINUTE_MAX).any():
        i = int(sums.argmax())
        raise TraceError(
            f"{named}: has {sums[i]:,.0f} invocations in minute {minutes[i] + 1} of day {day}; "
            f"up to {_MINUTE_MAX:,} a minute are read"
        )
    if options.rate_scale == 1.0:
        return indptr, function, count
    scaled = count.astype(np.int64)
    for i, minute in enumerate(minutes):
        cells = slice(indptr[i], indptr[i + 1])
        rng = options.rng(Stream.THINNING, day, minute)
        scaled[cells] = scale_counts(scaled[cells], options.rate_scale, rng)
    filled = scaled > 0
    return np.concatenate([[0], np.cumsum(filled)])[indptr], function[filled], scaled[filled]


def _summed(cells: Cells, anomalies: Counter[str]) -> Cells:
    """The cells by minute and then function, one for each; counts those that repeat another."""
    cells = cells.take(np.lexsort((cells.function, cells.minute)))
    is_new = np.ones(len(cells.minute), bool)
    is_new[1:] = (np.diff(cells.minute) > 0) | (np.diff(cells.function) > 0)
    starts = np.flatnonzero(is_new)
    anomalies["duplicate_minute"] += len(is_new) - len(starts)
    return Cells(cells.minute[starts], cells.function[starts], np.add.reduceat(cells.count, starts))


def _tables(durations_of_day: Callable[[int], DurationTable] | None, day: int, n_functions: int) -> DurationTable:
    return durations_of_day(day) if durations_of_day else no_durations().take(np.full(n_functions, -1))


def _day(cells: Cells, number: int, durations: DurationTable, options: ReadOptions, named: str) -> DayCounts:
    first, end = np.searchsorted(cells.minute, [number * MINUTES_A_DAY, (number + 1) * MINUTES_A_DAY])
    cells = cells.take(slice(first, end))
    minutes, starts = np.unique(cells.minute, return_index=True)
    minutes -= number * MINUTES_A_DAY
    indptr, function, count = scale_cells(
        np.append(starts, len(cells.minute)), cells.function, cells.count, number, minutes.tolist(), options, named
    )
    return DayCounts(number, number * DAY_S, minutes, indptr, function, count, durations)
