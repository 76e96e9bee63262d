"""What kind of file a path leads to, told from its content: a table in CSV or Parquet, or bare numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sim.errors import TraceError
from traces.csvfile import CsvFile, open_csv
from traces.parquetfile import MAGIC, ParquetFile, open_parquet
from traces.plainbytes import open_bytes

_HEAD_BYTES = 4096
_NUMBERS = frozenset(b"0123456789 \t\r\n")
_UNREAD = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"PK\x03\x04": "a ZIP archive"}


@dataclass(frozen=True)
class NumbersFile:
    """A text file of whole numbers between blanks, tabs or line ends, without a header."""

    path: Path
    header: tuple[str, ...] = ()


TraceFile: TypeAlias = CsvFile | ParquetFile | NumbersFile


def open_file(path: Path) -> TraceFile:
    """Look into a file, whatever its name. Compressed text is decompressed.

    Raises TraceError when it can't be read, or isn't a table or numbers: see ``open_csv`` and ``open_parquet``.
    """
    with open_bytes(path) as file:
        head = file.read(_HEAD_BYTES)
    for magic, name in _UNREAD.items():
        if head.startswith(magic):
            raise TraceError(f"{path}: is {name}, which isn't read; unpack it and name the directory")
    if head.startswith(MAGIC):
        return open_parquet(path)
    if head.strip() and _NUMBERS.issuperset(head):
        return NumbersFile(path)
    return open_csv(path)


def found(file: TraceFile) -> str:
    """What a file turned out to be, for messages: the first of its columns, or numbers."""
    if isinstance(file, NumbersFile):
        return "numbers without a header"
    kind = "columns" if isinstance(file, CsvFile) else "Parquet columns"
    return f"{kind} {', '.join(file.header[:6])}{' ...' if len(file.header) > 6 else ''}"
