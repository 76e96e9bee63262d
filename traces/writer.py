"""Write a trace in the project's own layout, Parquet with one row an invocation: ``traces.readers.native`` reads it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from sim.domain import Trace
from sim.files.fingerprint import unchanged
from sim.files.output import new_file
from traces.arrivals.chunks import merged

METADATA = b"gpu_faas_trace"
"""Key of the file's metadata: JSON with ``duration_s``, and the TraceSource that the arrivals came from."""

_GROUP_ROWS = 1 << 20
_DICTIONARY_BYTES = 1 << 30  # a row group keeps one dictionary of all functions, in the trace's order


def write_native(trace: Trace, file: Path, *, force: bool = False) -> int:
    """Write all arrivals of a trace, row group by row group; returns their number.

    ``arrival_s`` runs from the start of the trace's window. Reading the file gives the same arrivals and functions in
    the same order; their triggers aren't kept, and their mean durations become those of the arrivals. Memory: a row
    group and the functions. The file appears when it is whole; with ``force`` it replaces one of this kind. Raises
    OutputError when it can't be written, and TraceError when the trace can't be read or changes meanwhile.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = pa.array([f.key for f in trace.functions], pa.string())
    memory = pa.array([f.memory_bytes for f in trace.functions], pa.int64())
    said = {"duration_s": trace.duration_s, **asdict(trace.source)}
    schema = pa.schema(
        [
            pa.field("arrival_s", pa.float64(), nullable=False),
            pa.field("function", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("duration_s", pa.float64(), nullable=False),
            pa.field("memory_bytes", pa.int64()),
        ],
        {METADATA: json.dumps(said).encode()},
    )
    n_rows = 0
    with (
        new_file(file, is_native if force else None) as part,
        unchanged(trace.source.files),
        pq.ParquetWriter(
            part,
            schema,
            compression="zstd",
            use_dictionary=["function", "memory_bytes"],
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_page_checksum=True,
        ) as writer,
    ):
        for group in merged(trace.chunks(), _GROUP_ROWS):
            columns = [
                pa.array(group.at_s),
                pa.DictionaryArray.from_arrays(pa.array(group.function), keys),
                pa.array(group.duration_s),
                memory.take(pa.array(group.function)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=_GROUP_ROWS)
            n_rows += len(group.at_s)
    return n_rows


def is_native(file: Path) -> bool:
    """Whether ``write_native`` wrote a file, which may thus be replaced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return METADATA in (pq.read_schema(file).metadata or {})
    except (OSError, pa.ArrowException):
        return False
