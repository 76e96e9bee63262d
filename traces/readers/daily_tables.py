"""The three tables of a day, read into arrays: counts, durations, memory (Azure Functions 2019 and relatives)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from traces.arrivals.durations import POINTS, DurationTable, duration_table
from traces.arrivals.keys import keys_of
from traces.files.csvfile import CsvFile
from traces.files.kinds import Kind
from traces.formats import UNKNOWN_TRIGGER

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Counts:
    """One day's counts, sparse. Rows of the same function are one, at the place of the first.

    key, trigger: one a function. Cells of the i-th minute read are indptr[i]:indptr[i + 1], in file order;
    row: index into key; count: > 0.
    """

    key: Sequence[str]
    trigger: Sequence[str]
    indptr: npt.NDArray[np.int64]
    row: npt.NDArray[np.int32]
    count: npt.NDArray[np.integer[Any]]


def read_counts(
    file: CsvFile, name_columns: Sequence[str], minute_columns: Sequence[str], anomalies: Counter[str]
) -> Counts:
    """Read these minute columns of an invocations table; counts of duplicate rows are summed.

    name_columns: which columns make the key of a function, as in ``Day``.
    """
    texts = [*name_columns] + (["Trigger"] if "Trigger" in file.header else [])
    kinds = dict.fromkeys(texts, Kind.TEXT) | dict.fromkeys(minute_columns, Kind.COUNT)
    index: dict[str, int] = {}
    triggers: list[str] = []
    blocks: list[_Block] = []
    for batch in file.stream(kinds):
        trigger = [column.to_pylist() for column in batch.columns[len(name_columns) : len(texts)]]
        of_row = np.empty(batch.num_rows, np.int32)
        for i, key in enumerate(_keys([batch], name_columns)):
            of_row[i] = index.setdefault(key, len(index))
            if of_row[i] == len(triggers):
                triggers.append(trigger[0][i] if trigger else UNKNOWN_TRIGGER)
            else:
                anomalies["duplicate_invocations_row"] += 1
        cells = [batch.column(i).to_numpy() for i in range(len(texts), len(kinds))]
        filled = [np.flatnonzero(column) for column in cells]
        blocks.append(
            _Block(
                np.cumsum([0] + [len(f) for f in filled]),
                np.concatenate([of_row[f] for f in filled]),
                np.concatenate([column[f] for column, f in zip(cells, filled, strict=True)]),
            )
        )
    minutes = []
    for i in range(len(minute_columns)):
        parts = [slice(*block.indptr[i : i + 2]) for block in blocks]
        minutes.append(
            _merge_cells(
                np.concatenate([block.row[p] for block, p in zip(blocks, parts, strict=True)]),
                np.concatenate([block.count[p] for block, p in zip(blocks, parts, strict=True)]),
            )
        )
    del blocks
    return Counts(
        list(index),
        triggers,
        np.cumsum([0] + [len(row) for row, _ in minutes]),
        np.concatenate([row for row, _ in minutes]),
        np.concatenate([count for _, count in minutes]),
    )


@dataclass(frozen=True)
class _Block:
    """The cells of some rows, by minute like ``Counts``. A few large arrays: many small ones stay in memory."""

    indptr: npt.NDArray[np.int64]
    row: npt.NDArray[np.int32]
    count: npt.NDArray[np.uint32]


def _merge_cells(
    row: npt.NDArray[np.int32], count: npt.NDArray[np.integer[Any]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.integer[Any]]]:
    """Sum the cells of duplicate rows, which are the reason when rows don't ascend."""
    if (np.diff(row) > 0).all():
        return row, count
    unique, inverse = np.unique(row, return_inverse=True)
    return unique, np.bincount(inverse, weights=count).astype(np.int64)


def read_durations(
    file: CsvFile, name_columns: Sequence[str], anomalies: Counter[str]
) -> tuple[DurationTable, Mapping[str, int]]:
    """Read a durations table: the durations and the row of each key in them. The first of duplicate rows counts.

    Minimum and Maximum, empty for some runtimes, are checked but not used: they are of single invocations.
    """
    points = [f"percentile_Average_{p}" for p in POINTS]
    extremes = [name for name in ("Minimum", "Maximum") if name in file.header]
    kinds = dict.fromkeys(name_columns, Kind.TEXT) | dict.fromkeys(("Average", *points), Kind.NUMBER)
    file.require(*kinds)
    table = file.read(kinds | dict.fromkeys(extremes, Kind.OPTIONAL))
    anomalies["minimum_or_maximum_empty"] += sum(table[name].null_count for name in extremes)
    first = _first_rows(_keys(table.to_batches(), name_columns), "duplicate_durations_row", anomalies)
    kept = np.fromiter(first.values(), np.int64, len(first))
    percentiles = np.column_stack([table[name].to_numpy() for name in points])
    durations, mended = duration_table(table["Average"].to_numpy()[kept], percentiles[kept])
    anomalies.update(mended)
    return durations, {key: i for i, key in enumerate(first)}


def read_memory(file: CsvFile, name_columns: Sequence[str], anomalies: Counter[str]) -> tuple[dict[str, float], bool]:
    """Read a memory table: MiB by app, or by the key of a function where the table has them (second result: True).

    The first of duplicate rows counts; a row of 0 or less is left out.
    """
    per_function = "HashFunction" in file.header
    named = name_columns if per_function else name_columns[:1]
    file.require(*named)
    table = file.read(dict.fromkeys(named, Kind.TEXT) | {"AverageAllocatedMb": Kind.NUMBER})
    first = _first_rows(_keys(table.to_batches(), named), "duplicate_memory_row", anomalies)
    average = table["AverageAllocatedMb"].to_pylist()
    memory = {key: average[row] for key, row in first.items() if average[row] > 0}
    anomalies["memory_not_positive"] += len(first) - len(memory)
    return memory, per_function


def _keys(batches: Iterable[pa.RecordBatch], name_columns: Sequence[str]) -> Iterator[str]:
    """The key of each row, by the columns of its name: an app and a function, or one of both."""
    for batch in batches:
        *app, function = map(batch.column, name_columns)
        yield from keys_of(function, *app).to_pylist()


def _first_rows(keys: Iterable[str], anomaly: str, anomalies: Counter[str]) -> dict[str, int]:
    """The first row of each key; counts the rows that repeat a key."""
    first: dict[str, int] = {}
    n_rows = 0
    for row, key in enumerate(keys):
        first.setdefault(key, row)
        n_rows += 1
    anomalies[anomaly] += n_rows - len(first)
    return first
