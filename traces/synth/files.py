"""Files of a synthetic trace: they appear together, with a mark by which they may be replaced later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from sim.errors import OutputError
from sim.files.fingerprint import sha256_of
from sim.files.output import as_json, extend, new_directory, write_text

ARRIVALS = "arrivals.parquet"
LOADS = "load_times.csv"
MARK = "SYNTHETIC.json"
"""The SHA-256 of every file that we wrote, by name. A directory is no place for ours without it."""

# Where other files are, these come in this order and go in the opposite one. A directory with invocations of a day and
# no durations is refused by the reader, so at no time is a part of a trace taken for a whole one.
_IN_ORDER = (MARK, LOADS, "app_memory_*.csv", "invocations_per_function_*.csv", "function_durations_*.csv", ARRIVALS)


class CsvTable:
    """A CSV file that grows by columns of rows: no quotes, lines end with LF, like the published ones."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._path = path
        self._header = list(header)
        write_text(path, ",".join(header) + "\n")

    def append(self, columns: Sequence[Any]) -> None:
        """Add rows: one array a column of the header, all equally long. A null is an empty cell."""
        import pyarrow as pa
        import pyarrow.csv as pacsv

        batch = pa.record_batch([pa.array(column) for column in columns], names=self._header)
        with extend(self._path) as file:
            pacsv.write_csv(batch, file, pacsv.WriteOptions(include_header=False, quoting_style="none"))


@contextmanager
def publish(directory: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden directory to write the files of a trace into, which come to ``directory`` at the end.

    With ``overwrite`` they replace the whole trace that is there, of either kind and with all its days, if it is as we
    wrote it; else there must be none. Nothing happens to ``directory`` when the body fails. Raises OutputError when a
    file is in the way or the disk refuses.
    """
    with new_directory(directory, partial(_replaced, overwrite=overwrite), _place) as hidden:
        yield hidden
        hashes = {file.name: sha256_of(file) for file in sorted(hidden.iterdir())}
        write_text(hidden / MARK, as_json({"written by": "traces synth", "sha256": hashes}))


def _replaced(directory: Path, overwrite: bool) -> list[str]:
    """The files of a trace that is there. Raises OutputError unless they may be replaced."""
    old = [file for pattern in reversed(_IN_ORDER[1:]) for file in sorted(directory.glob(pattern))]
    if old and not overwrite:
        raise OutputError(f"{old[0]}: is there already; --force replaces the trace if it is a synthetic one")
    ours = _hashes(directory / MARK)
    for file in old:
        if file.is_symlink() or ours.get(file.name) != sha256_of(file):
            raise OutputError(f"{file}: is not as 'traces synth' wrote it, so --force does not replace it")
    return [*(file.name for file in old), *([MARK] if ours else [])]


def _place(name: str) -> tuple[int, str]:
    return next(place for place, pattern in enumerate(_IN_ORDER) if fnmatchcase(name, pattern)), name


def _hashes(mark: Path) -> dict[str, str]:
    """What a mark says; nothing where there is none."""
    try:
        found = json.loads(mark.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
