"""Parquet tables of traces: strict like ``traces.files.csvfile``, streamed in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import TraceError
from traces.files.kinds import Kind, holds
from traces.files.plainbytes import largest_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
_LEAST_ROW_BYTES = 12  # an instant and the number of a function
_BATCH_ROWS = 1 << 15  # of which each may hold a long text


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file of which the columns are known. path: as the user knows it; content: where it lies.

    metadata: the file's own key-value pairs.
    """

    path: Path
    content: Path
    header: tuple[str, ...]
    metadata: Mapping[bytes, bytes]

    def stream(self, kinds: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
        """Read some columns, batch by batch, in the order of ``kinds``, each value checked against its kind.

        TEXT comes as a dictionary of strings, the same within a row group; numbers come as float64. Batches don't
        cross row groups. Raises TraceError that names file, row (from 1), column and rule.
        """
        import pyarrow as pa

        if twice := [name for name in kinds if self.header.count(name) > 1]:
            raise TraceError(f"{self.path}: has the column {twice[0]!r} twice")
        n_rows = 0
        try:
            file = _open(self.content, [name for name, kind in kinds.items() if kind is Kind.TEXT])
            for group in range(file.num_row_groups):
                for raw in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(kinds)):
                    batch = self._typed(raw, kinds)
                    if not holds(batch, kinds):
                        raise self._culprit(batch, kinds, n_rows)
                    n_rows += batch.num_rows
                    yield batch
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(self.path, error) from None
        if n_rows != file.metadata.num_rows:
            raise TraceError(f"{self.path}: has {n_rows} rows, where its footer tells {file.metadata.num_rows}")
        if not n_rows:
            raise TraceError(f"{self.path}: has columns but no rows")

    def _typed(self, batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> pa.RecordBatch:
        import pyarrow as pa

        columns = []
        for name, kind in kinds.items():
            column = batch.column(name)
            said = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            if kind is Kind.TEXT:
                expected, type = "text", pa.dictionary(pa.int32(), pa.string())
                fits = pa.types.is_string(said) or pa.types.is_large_string(said)
            else:
                expected, type = "numbers", pa.float64()
                fits = pa.types.is_integer(said) or pa.types.is_floating(said)
            if not fits:
                raise TraceError(f"{self.path}, column {name!r}: has the type {said}, where {expected} must stand")
            if kind is Kind.TEXT and said is column.type:
                column = column.dictionary_encode()
            columns.append(column.cast(type))
        return pa.RecordBatch.from_arrays(columns, list(kinds))

    def _culprit(self, batch: pa.RecordBatch, kinds: Mapping[str, Kind], n_before: int) -> TraceError:
        row = bisect_left(range(batch.num_rows), True, key=lambda i: not holds(batch.slice(0, i + 1), kinds))
        bad = batch.slice(row, 1)
        name = next(name for name, kind in kinds.items() if not holds(bad.select([name]), {name: kind}))
        value = bad.column(name)[0].as_py()
        return TraceError(
            f"{self.path}, row {n_before + row + 1}, column {name!r}: {value!r} must be {kinds[name].value}"
        )


def open_parquet(path: Path, content: Path) -> ParquetFile:
    """Read the columns of a file that lies at ``content``.

    Raises TraceError when it isn't Parquet, or a decompression bomb.
    """
    import pyarrow as pa

    try:
        file = _open(content)
        facts, limit = file.metadata, largest_bytes(content.stat().st_size)
        groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
        n_bytes = sum(g.column(j).total_uncompressed_size for g in groups for j in range(facts.num_columns))
        for count, most, what in ((facts.num_rows, limit // _LEAST_ROW_BYTES, "rows"), (n_bytes, limit, "bytes")):
            if count > most:
                raise TraceError(
                    f"{path}: has {count:,} {what}, more than the {most:,} that a file of its size may have; "
                    "a decompression bomb has"
                )
        return ParquetFile(path, content, tuple(file.schema_arrow.names), facts.metadata or {})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _open(content: Path, text: Sequence[str] = ()) -> pq.ParquetFile:
    """text: columns that are read as numbers into a dictionary: one long string may stand in millions of rows."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(content, page_checksum_verification=True)
    if not (strings := [name for name in text if file.schema_arrow.field(name).type in ("string", "large_string")]):
        return file
    return pq.ParquetFile(content, page_checksum_verification=True, read_dictionary=strings)


def _unreadable(path: Path, error: Exception) -> TraceError:
    return TraceError(f"{path}: isn't a readable Parquet file ({str(error).partition(chr(10))[0]})")
