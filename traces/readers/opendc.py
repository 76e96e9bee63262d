"""Traces of OpenDC's serverless experiments: one file a function, one row a minute.

Files of ``opendc-experiments-faas`` of atlarge-research/opendc (until 2024-10-25), MIT; derived from Azure Functions
2019, CC-BY 4.0. Timestamps are the ends of minutes. Names in the header have leading blanks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from traces.arrivals.durations import POINTS, DurationTable, duration_table
from traces.arrivals.functions import Functions
from traces.arrivals.minutes import MinuteTrace
from traces.files.csvfile import Rule
from traces.files.directory import TracePath
from traces.files.kinds import Kind
from traces.formats import Format, csv_files, has_columns
from traces.options import ReadOptions
from traces.readers.counted import Cells, counted_trace
from traces.units import MIB, MINUTES_A_DAY, Floats

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "opendc"
_KINDS = {
    "Timestamp [ms]": Kind.COUNT,
    "Invocations": Kind.COUNT,
    "Avg Exec time per Invocation": Kind.NUMBER,
    "Provisioned Memory [mb]": Kind.SPAN,
    "name": Kind.TEXT,
}
_MINUTE_MS = 60_000


def _not_an_end(end_ms: pa.Array) -> npt.NDArray[np.bool_]:
    values = end_ms.to_numpy()
    return np.asarray((values == 0) | (values % _MINUTE_MS != 0))


_ENDS_A_MINUTE = Rule("Timestamp [ms]", _not_an_end, "the end of a minute: 60000, 120000 and so on")


def _read(paths: Sequence[TracePath], options: ReadOptions) -> MinuteTrace:
    """A row that ends at 60000 ms is the trace's first minute. Durations of a day are the averages of its minutes.

    Raises TraceError for a timestamp that isn't the end of a minute.
    """
    anomalies: Counter[str] = Counter()
    functions = Functions()
    parts: list[Cells] = []
    averages: list[Floats] = []
    for file in csv_files(paths):
        for batch in file.stream(_KINDS, _ENDS_A_MINUTE):
            end_ms, count, average_ms, memory_mib, key = batch.columns
            minute = end_ms.to_numpy().astype(np.int64) // _MINUTE_MS - 1
            numbers = functions.numbers_of(key)
            parts.append(Cells(minute, numbers, count.to_numpy().astype(np.int64)))
            averages.append(average_ms.to_numpy())
            functions.add_memory(numbers, memory_mib.to_numpy() * MIB)
    cells, average_ms = Cells.concatenate(parts), np.concatenate(averages)
    span = int(cells.minute.min()), int(cells.minute.max()) + 1
    average_ms, cells = average_ms[cells.count > 0], cells.filled()
    anomalies["average_not_positive"] += int(np.count_nonzero(average_ms <= 0))

    def durations_of_day(day: int) -> DurationTable:
        return _durations(cells, average_ms, day, len(functions))

    return counted_trace(_NAME, paths, cells, span, functions, options, anomalies, durations_of_day)


def _durations(cells: Cells, average_ms: Floats, day: int, n_functions: int) -> DurationTable:
    """One row a function: the mean and the percentiles of the averages of its minutes, weighted by invocations."""
    today = np.flatnonzero(cells.minute // MINUTES_A_DAY == day)
    today = today[np.lexsort((average_ms[today], cells.function[today]))]
    invoked, starts = np.unique(cells.function[today], return_index=True)
    means, percentiles = [], []
    for rows in np.split(today, starts[1:]):
        up_to = np.cumsum(cells.count[rows])
        at = np.searchsorted(up_to, np.array(POINTS) / 100 * up_to[-1])
        means.append(np.average(average_ms[rows], weights=cells.count[rows]))
        percentiles.append(average_ms[rows][at])
    table, _ = duration_table(np.array(means), np.array(percentiles))
    row_of = np.full(n_functions, -1)
    row_of[invoked] = np.arange(len(invoked))
    return table.take(row_of)


FORMAT = Format(
    name=_NAME,
    summary="OpenDC's serverless traces: invocations a minute, one file a function",
    tables=(f"minutes: {', '.join(_KINDS)}",),
    recognises=has_columns(*_KINDS),
    read=_read,
)
