"""CSV tables of traces: strict, streamed in bounded memory, with errors that point at the cell.

The fast path is Arrow's parser. Only when it refuses a file is the file read again, slowly, to find the culprit.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import TraceError

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 2 << 20  # a few blocks are in memory at once, each as text and as columns
_HEADER_BYTES = 1 << 20  # the widest known header, 1440 minutes, has 7 kB
_LFS_POINTER = b"version https://git-lfs"


class Kind(Enum):
    """What the cells of a column must be."""

    TEXT = "text"
    COUNT = "a whole number from 0 to 4294967295"
    NUMBER = "a finite number"
    SPAN = "a finite number, 0 or more"
    OPTIONAL = "a finite number or empty"


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of which the header is known."""

    path: Path
    header: tuple[str, ...]

    def require(self, *columns: str) -> None:
        """Raise TraceError when the header lacks one of the columns."""
        for column in columns:
            if column not in self.header:
                raise TraceError(f"{self.path}, row 1: lacks the column {column!r}")

    def stream(self, kinds: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
        """Read some columns, batch by batch, in the order of ``kinds``, each cell checked against its kind.

        TEXT comes as string, COUNT as uint32, the others as float64; an empty OPTIONAL cell is null.
        Raises TraceError that names file, row, column, value and rule.
        """
        import pyarrow as pa
        import pyarrow.csv as pacsv

        from traces.culprit import find_culprit

        types = {Kind.TEXT: pa.string(), Kind.COUNT: pa.uint32()}
        convert = pacsv.ConvertOptions(
            include_columns=list(kinds),
            column_types={column: types.get(kind, pa.float64()) for column, kind in kinds.items()},
            null_values=[""] if Kind.OPTIONAL in kinds.values() else [],
        )
        read = pacsv.ReadOptions(column_names=list(self.header), skip_rows=1, block_size=_BLOCK_BYTES)
        n_rows = 0
        try:
            with pacsv.open_csv(self.path, read_options=read, convert_options=convert) as reader:
                for batch in reader:
                    if not _holds(batch, kinds):
                        raise find_culprit(self, kinds, "a cell breaks the rule of its column")
                    n_rows += batch.num_rows
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise find_culprit(self, kinds, str(error).partition("\n")[0]) from None
        if not n_rows:
            raise find_culprit(self, kinds, "no rows")

    def read(self, kinds: Mapping[str, Kind]) -> pa.Table:
        """``stream`` as one table, for the small files."""
        import pyarrow as pa

        return pa.Table.from_batches(self.stream(kinds))


def open_csv(path: Path) -> CsvFile:
    """Read the header of a file.

    Raises TraceError when the file can't be read, is empty, binary, a Git LFS pointer, not UTF-8, or repeats a column.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_HEADER_BYTES)
    except OSError as error:
        raise TraceError(f"{path}: can't be read ({error.strerror})") from None
    if line.startswith(_LFS_POINTER):
        raise TraceError(f"{path}: is a Git LFS pointer, not the data; fetch it with 'git lfs pull'")
    try:
        header = next(csv.reader(io.StringIO(line.decode("utf-8-sig"))), [])
    except UnicodeDecodeError:
        raise TraceError(f"{path}, row 1: isn't UTF-8 text") from None
    except csv.Error as error:
        raise TraceError(f"{path}, row 1: isn't a CSV header ({error})") from None
    names = tuple(name.strip() for name in header)
    if not any(names):
        raise TraceError(f"{path}, row 1: is empty, where the names of the columns must stand")
    if len(set(names)) < len(names):
        repeated = Counter(names).most_common(1)[0][0]
        raise TraceError(f"{path}, row 1: the column {repeated!r} stands there twice")
    return CsvFile(path, names)


def _holds(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> bool:
    """Whether no cell is empty and every number finite, where they must be; Arrow has checked the rest."""
    import pyarrow.compute as pc

    for column, kind in zip(batch.columns, kinds.values(), strict=True):
        if kind is not Kind.OPTIONAL and column.null_count:
            return False
        if kind in (Kind.TEXT, Kind.COUNT):
            continue
        if not pc.all(pc.is_finite(column), min_count=0).as_py():
            return False
        if kind is Kind.SPAN and not pc.all(pc.greater_equal(column, 0.0), min_count=0).as_py():
            return False
    return True
