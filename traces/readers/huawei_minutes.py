"""Huawei's counts per minute: one wide table a day, of the data of 2023 and the time series of 2025.

Joosen et al., "How Does It Function? Characterizing Long-term Trends in Production Serverless Workloads", SoCC 2023,
and "Serverless Cold Starts and Where to Find Them", EuroSys 2025; sir-lab/data-release, CC BY 4.0. An empty cell is a
minute without requests. The tables of other metrics have the same header: only those of requests are counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from traces.arrivals.functions import Functions
from traces.arrivals.minutes import MinuteTrace
from traces.files.content import TraceFile
from traces.files.csvfile import CsvFile, Rule
from traces.files.directory import TracePath
from traces.files.kinds import Kind
from traces.formats import Format, csv_files
from traces.options import ReadOptions
from traces.readers.counted import Cells, counted_trace
from traces.units import MIB, MINUTE_S, Ints
from traces.window import LONGEST_S

_NAME = "huawei-minutes"
_NUMBER = re.compile(r"\d+", re.ASCII)  # 2023
_FUNCTION_ID = re.compile(r"(\w+)---(\w+)---(pool\d+-\d+-\d{1,9})", re.ASCII)  # 2025: name, user, pool
_STARTS_A_MINUTE = Rule(
    "time",
    lambda time_s: np.asarray((time_s.to_numpy() % MINUTE_S != 0) | (time_s.to_numpy() > LONGEST_S)),
    "the start of a minute, in s, within ten years; tables of seconds aren't read, take those of minutes",
)


def _read(paths: Sequence[TracePath], options: ReadOptions) -> MinuteTrace:
    """Trace time is the data's own: 0 is the midnight of its first day. Durations aren't known: the default.

    Raises TraceError for values that aren't counts, and for tables of seconds.
    """
    functions = Functions()
    parts: list[Cells] = []
    minutes: list[Ints] = []
    for file in csv_files(paths):
        columns = file.header[2:]
        numbers = functions.number(list(map(_key, columns)))
        functions.add_memory(numbers, np.array(list(map(_memory_bytes, columns))))
        for batch in file.stream({"time": Kind.SPAN} | dict.fromkeys(columns, Kind.OPTIONAL_COUNT), _STARTS_A_MINUTE):
            time_s, *counts = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
            minutes.append((time_s // MINUTE_S).astype(np.int64))
            table = np.nan_to_num(np.column_stack(counts))
            row, column = np.nonzero(table)
            parts.append(Cells(minutes[-1][row], numbers[column], table[row, column].astype(np.int64)))
    covered = np.concatenate(minutes)
    span = int(covered.min()), int(covered.max()) + 1
    return counted_trace(_NAME, paths, Cells.concatenate(parts), span, functions, options, Counter())


def _key(column: str) -> str:
    """The key of a function: its number in 2023; ``user/name---pool`` in 2025, where names repeat between users."""
    match = _FUNCTION_ID.fullmatch(column)
    return function_key(*match.groups()) if match else column


def _memory_bytes(column: str) -> float:
    """The memory of a function of 2025: that of its pool; NaN for those of 2023."""
    match = _FUNCTION_ID.fullmatch(column)
    return pool_bytes(match[3]) if match else np.nan


def function_key(name: str, user: str, pool: str) -> str:
    """The key of a function of 2025, of which the user is the app."""
    return f"{user}/{name}---{pool}"


def pool_bytes(pool: str) -> float:
    """The memory of the pods of a pool, such as pool22-300-128: cores in thousandths, then MB."""
    return float(pool.rpartition("-")[2]) * MIB


def _recognises(file: TraceFile) -> bool:
    if not isinstance(file, CsvFile) or file.header[:2] != ("day", "time") or len(file.header) < 3:
        return False
    columns = file.header[2:]
    return all(map(_NUMBER.fullmatch, columns)) or all(map(_FUNCTION_ID.fullmatch, columns))


FORMAT = Format(
    name=_NAME,
    summary="Huawei 2023 and 2025, requests per minute: one wide table a day",
    tables=("requests: day, time (s), then a column for each function: 0 to N-1, or name---user---pool",),
    recognises=_recognises,
    read=_read,
)
