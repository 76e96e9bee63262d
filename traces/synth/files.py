"""Files of a synthetic trace: written under cover, shown all at once, replaced only when asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sim.errors import TraceError

ARRIVALS = "arrivals.parquet"
LOADS = "load_times.csv"

# Files come in this order and go in the opposite one. A directory with invocations of a day and no durations is
# refused by the reader, so at no time is a part of a trace taken for a whole one.
_IN_ORDER = (LOADS, "app_memory_*.csv", "invocations_per_function_*.csv", "function_durations_*.csv", ARRIVALS)


class CsvTable:
    """A CSV file that grows by columns of rows: no quotes, lines end with LF, like the published ones."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._path = path
        self._header = list(header)
        path.write_text(",".join(header) + "\n", newline="\n")

    def append(self, columns: Sequence[Any]) -> None:
        """Add rows: one array a column of the header, all equally long. A null is an empty cell."""
        import pyarrow as pa
        import pyarrow.csv as pacsv

        batch = pa.record_batch([pa.array(column) for column in columns], names=self._header)
        with self._path.open("ab") as file:
            pacsv.write_csv(batch, file, pacsv.WriteOptions(include_header=False, quoting_style="none"))


@contextmanager
def publish(directory: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden directory to write the files of a trace into, which move to ``directory`` at the end.

    With ``overwrite`` they replace the whole trace that is there, of either kind and with all its days; else there must
    be none. Nothing happens to ``directory`` when the body fails. Raises TraceError when a file is in the way or the
    disk refuses.
    """
    old = _trace_files(directory)
    if old and not overwrite:
        raise TraceError(f"{old[0]}: is there already; --force replaces the trace")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=directory, prefix=".partial-") as hidden:
            yield Path(hidden)
            for file in reversed(old):
                file.unlink()
            for file in _trace_files(Path(hidden)):
                os.replace(file, directory / file.name)
    except OSError as error:
        raise TraceError(f"{error.filename or directory}: can't be written ({error.strerror})") from None


def _trace_files(directory: Path) -> list[Path]:
    """The files of a synthetic trace, in the order in which they come."""
    return [file for pattern in _IN_ORDER for file in sorted(directory.glob(pattern))]
