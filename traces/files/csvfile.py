"""CSV tables of traces: strict, streamed in bounded memory, with errors that point at the cell.

The fast path is Arrow's parser. Only when it refuses a file is the file read again, slowly, to find the culprit.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import TraceError
from traces.files.culprit import BLOCK_BYTES, find_culprit
from traces.files.kinds import EMPTY, Kind, holds, with_instants
from traces.files.plainbytes import is_compressed, open_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_HEADER_BYTES = 1 << 20  # the widest known header, of 5,093 functions, has 65 kB
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Rule:
    """A rule of a data set for a column, beyond its kind. breaks: which cells break it; text: what they must be."""

    column: str
    breaks: Callable[[pa.Array], npt.NDArray[np.bool_]]
    text: str


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of which the header is known. path: as the user knows it; content: where it lies.

    Columns may repeat, as they do in tables of other things: only a file that is read must have each once.
    """

    path: Path
    content: Path
    header: tuple[str, ...]

    def check_columns(self) -> None:
        """Raise TraceError when a column stands in the header twice."""
        name, n = Counter(self.header).most_common(1)[0]
        if n > 1:
            raise TraceError(f"{self.path}, row 1: the column {name!r} stands there twice")

    def require(self, *columns: str) -> None:
        """Raise TraceError when the header lacks one of the columns."""
        for column in columns:
            if column not in self.header:
                raise TraceError(f"{self.path}, row 1: lacks the column {column!r}")

    def stream(self, kinds: Mapping[str, Kind], *rules: Rule) -> Iterator[pa.RecordBatch]:
        """Read some columns, batch by batch, in the order of ``kinds``, each cell checked against its kind.

        TEXT comes as string, COUNT as uint32, INSTANT as timestamp[ns, UTC], the others as float64; an empty cell
        of the optional kinds is null. Raises TraceError that names file, row, column, value and rule.
        """
        import pyarrow as pa
        import pyarrow.csv as pacsv

        types = {Kind.TEXT: pa.string(), Kind.INSTANT: pa.string(), Kind.COUNT: pa.uint32()}
        convert = pacsv.ConvertOptions(
            include_columns=list(kinds),
            column_types={column: types.get(kind, pa.float64()) for column, kind in kinds.items()},
            null_values=list(EMPTY) if any(kind.may_be_empty for kind in kinds.values()) else [],
        )
        read = pacsv.ReadOptions(column_names=list(self.header), skip_rows=1, block_size=BLOCK_BYTES)
        n_rows = 0
        pa.enable_signal_handlers(False)  # or Ctrl-C would be an error of the file
        try:
            source = open_bytes(self.content, self.path) if is_compressed(self.content) else self.content
            with pacsv.open_csv(source, read_options=read, convert_options=convert) as reader:
                for raw in reader:
                    batch = with_instants(raw, kinds)
                    if not holds(batch, kinds):
                        raise self._culprit(kinds, "a cell breaks the rule of its column")
                    self._check(batch, rules, n_rows)
                    n_rows += batch.num_rows
                    yield batch
        except MemoryError:  # some of Arrow's errors are of both kinds
            raise
        except (pa.ArrowException, OSError) as error:
            raise self._culprit(kinds, str(error).partition("\n")[0]) from None
        if not n_rows:
            raise self._culprit(kinds, "no rows")

    def _check(self, batch: pa.RecordBatch, rules: Sequence[Rule], n_before: int) -> None:
        for rule in rules:
            column = batch.column(rule.column)
            if len(broken := rule.breaks(column).nonzero()[0]):
                row = int(broken[0])
                raise TraceError(
                    f"{self.path}, data row {n_before + row + 1}, column {rule.column!r}: {column[row].as_py()!r} must "
                    f"be {rule.text}"
                )

    def _culprit(self, kinds: Mapping[str, Kind], reason: str) -> TraceError:
        return find_culprit(self.path, self.content, self.header, kinds, reason)

    def read(self, kinds: Mapping[str, Kind]) -> pa.Table:
        """``stream`` as one table, for the small files."""
        import pyarrow as pa

        return pa.Table.from_batches(self.stream(kinds))


def open_csv(path: Path, content: Path) -> CsvFile:
    """Read the header of a file that lies at ``content``.

    Raises TraceError when the file can't be read, is empty, binary, a Git LFS pointer, or not UTF-8.
    """
    with open_bytes(content, path) as file:
        line = file.readline(_HEADER_BYTES)
    if line.startswith(_LFS_POINTER):
        raise TraceError(f"{path}: is a Git LFS pointer, not the data; fetch it with 'git lfs pull'")
    try:
        header = next(csv.reader(io.StringIO(line.decode("utf-8-sig")), strict=True), [])
    except UnicodeDecodeError:
        raise TraceError(f"{path}, row 1: isn't UTF-8 text") from None
    except csv.Error as error:
        raise TraceError(f"{path}, row 1: isn't a CSV header ({error})") from None
    names = tuple(name.strip() for name in header)
    if not any(names):
        raise TraceError(f"{path}, row 1: is empty, where the names of the columns must stand")
    return CsvFile(path, content, names)
