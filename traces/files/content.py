"""What kind of file a path leads to, told from its content: a table in CSV or Parquet, or bare numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sim.errors import TraceError
from traces.files.csvfile import CsvFile, open_csv
from traces.files.parquetfile import MAGIC, ParquetFile, open_parquet
from traces.files.plainbytes import open_bytes

_HEAD_BYTES = 4096
_SEPARATORS = frozenset(";\t|")
_NUMBERS = frozenset(b"0123456789 \t\r\n")
_UNREAD = {
    b"Rar!": "a RAR archive, which isn't read; unpack it and name the directory",
    b"7z\xbc\xaf": "a 7z archive, which isn't read; unpack it and name the directory",
    b"PK\x03\x04": "a ZIP archive, which isn't read; unpack it and name the directory",
    b"{": "JSON, which isn't read",
}

LOAD_TIMES = ("function", "load_s")
"""Columns of the table that ``traces synth --service llm`` writes beside a trace, of which it is no part."""


@dataclass(frozen=True)
class NumbersFile:
    """A text file of whole numbers between blanks, tabs or line ends, without a header.

    path: as the user knows it; content: where it lies.
    """

    path: Path
    content: Path
    header: tuple[str, ...] = ()


TraceFile: TypeAlias = CsvFile | ParquetFile | NumbersFile


def open_file(path: Path, content: Path) -> TraceFile:
    """Look into a file, whatever its name, that the user knows as ``path`` and that lies at ``content``.

    Raises TraceError when it can't be read, or isn't a table or numbers: see ``open_csv`` and ``open_parquet``.
    """
    with open_bytes(content, path) as file:
        head = file.read(_HEAD_BYTES)
    for magic, name in _UNREAD.items():
        if head.startswith(magic):
            raise TraceError(f"{path}: is {name}")
    if head.startswith(MAGIC):
        return open_parquet(path, content)
    if head.strip() and _NUMBERS.issuperset(head):
        return NumbersFile(path, content)
    return open_csv(path, content)


def found(file: TraceFile) -> str:
    """What a file turned out to be, for messages: the first of its columns, or numbers."""
    if isinstance(file, NumbersFile):
        return "numbers without a header"
    if len(file.header) == 1 and (wrong := _SEPARATORS.intersection(file.header[0])):
        return f"columns separated by {' and '.join(sorted(map(repr, wrong)))}, not by commas"
    kind = "columns" if isinstance(file, CsvFile) else "Parquet columns"
    return f"{kind} {', '.join(file.header[:6])}{' ...' if len(file.header) > 6 else ''}"
