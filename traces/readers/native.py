"""The project's own layout: one row an invocation, in order of time, in Parquet or CSV; read lazily.

Times are seconds from the start of the trace, so 0 is 00:00 of trace time. ``traces.writer`` writes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sim.domain import TraceSource
from sim.errors import TraceError
from traces.arrivals.durations import DEFAULT_S, FLOOR_S
from traces.arrivals.events import EventTrace, Rows, event_trace, whole_minutes
from traces.arrivals.functions import Functions
from traces.files.content import TraceFile
from traces.files.csvfile import CsvFile
from traces.files.directory import TracePath
from traces.files.kinds import Kind
from traces.files.parquetfile import ParquetFile
from traces.formats import Format, count_paths, names
from traces.options import ReadOptions
from traces.window import check_span
from traces.writer import METADATA

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "native"
_REQUIRED = {"arrival_s": Kind.SPAN, "function": Kind.TEXT}
_OPTIONAL = {"duration_s": Kind.SPAN, "memory_bytes": Kind.OPTIONAL_COUNT, "input_bytes": Kind.OPTIONAL_COUNT}

_Table: TypeAlias = CsvFile | ParquetFile


@dataclass
class _Survey:
    """What one pass over all rows tells."""

    functions: Functions = field(default_factory=Functions)
    anomalies: Counter[str] = field(default_factory=Counter)
    last_s: float = 0.0

    def add(self, batch: pa.RecordBatch) -> None:
        """Enter the functions, their memory and the odd rows of a batch."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        numbers = self.functions.numbers_of(columns["function"])
        self.last_s = columns["arrival_s"][-1].as_py()
        if "duration_s" in columns:
            self.anomalies["zero_duration"] += int(np.count_nonzero(columns["duration_s"].to_numpy() == 0))
        if "input_bytes" in columns:
            self.anomalies["input_bytes_unused"] += len(batch) - columns["input_bytes"].null_count
        if "memory_bytes" in columns:
            self.functions.add_memory(numbers, columns["memory_bytes"].to_numpy(zero_copy_only=False))


def _read(paths: Sequence[TracePath], options: ReadOptions) -> EventTrace:
    """Read all files as one trace: rows ascend, also from one file to the next, in order of name in a directory.

    The trace begins at 0 s. It ends where its writer says, else with the minute of the last arrival. Equal instants
    keep the order of the rows. Raises TraceError for rows out of order and for what breaks the rule of a column.
    """
    files = [file for path in paths for file in path.files if isinstance(file, _Table)]
    survey = _Survey()
    for batch in _batches(files):
        survey.add(batch)
    survey.anomalies.update(survey.functions.anomalies())
    count_paths(paths, survey.anomalies)
    if not all("duration_s" in file.header for file in files):
        survey.anomalies["function_without_durations"] += len(survey.functions)
    said = _said(files[-1])
    end_s = said.pop("duration_s", whole_minutes(np.array([survey.last_s]))[1])
    check_span((0.0, end_s), str(files[-1].path))
    if survey.last_s >= end_s:
        raise TraceError(f"{files[-1].path}: has an arrival at {survey.last_s} s, after its duration_s of {end_s}")
    source = TraceSource(
        _NAME,
        tuple(str(file.path) for file in files),
        options.narrow((0.0, end_s), names(paths)),
        {"rate_scale": options.rate_scale, "seed": options.seed} | ({"converted_from": said} if said else {}),
        dict(+survey.anomalies),
        str(said.get("durations_of", "")),
    )
    return event_trace(source, partial(_rows, files, survey.functions), survey.functions, options, names(paths))


def _said(file: _Table) -> dict[str, Any]:
    """What the writer of a Parquet file told of the trace: ``duration_s`` and its source; empty for other files."""
    if isinstance(file, CsvFile) or METADATA not in file.metadata:
        return {}
    try:
        said = json.loads(file.metadata[METADATA])
        return {**said, "duration_s": float(said["duration_s"])}
    except (ValueError, TypeError, KeyError):
        raise TraceError(f"{file.path}: its metadata {METADATA.decode()!r} must be JSON with duration_s") from None


def _rows(files: Sequence[_Table], functions: Functions) -> Iterator[Rows]:
    for batch in _batches(files):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if "duration_s" in columns:
            duration_s = np.maximum(columns["duration_s"].to_numpy(), FLOOR_S)
        else:
            duration_s = np.full(len(batch), DEFAULT_S)
        yield Rows(columns["arrival_s"].to_numpy(), functions.numbers_of(columns["function"]), duration_s)


def _batches(files: Sequence[_Table]) -> Iterator[pa.RecordBatch]:
    """The columns that a trace has, batch by batch, checked to be in order."""
    last_s = 0.0
    for file in files:
        n_rows = 0
        for batch in file.stream(_REQUIRED | {name: kind for name, kind in _OPTIONAL.items() if name in file.header}):
            at_s = batch.column("arrival_s").to_numpy()
            before_s = np.concatenate([[last_s], at_s[:-1]])
            if (at_s < before_s).any():
                row = int(np.flatnonzero(at_s < before_s)[0])
                raise TraceError(
                    f"{file.path}, data row {n_rows + row + 1}, column 'arrival_s': {at_s[row]} is before "
                    f"{before_s[row]} of the row above; the rows must be in order of time"
                )
            n_rows += len(at_s)
            last_s = at_s[-1]
            yield batch


def _recognises(file: TraceFile) -> bool:
    return isinstance(file, _Table) and set(_REQUIRED) <= set(file.header)


FORMAT = Format(
    name=_NAME,
    summary="one row an invocation, in order of time: Parquet, as 'traces convert' writes it, or CSV",
    tables=(
        "invocations: arrival_s (from 0), function (app/function); "
        "optionally duration_s, memory_bytes, input_bytes (checked, not used)",
    ),
    recognises=_recognises,
    read=_read,
)
