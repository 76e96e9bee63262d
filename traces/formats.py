"""What a trace format is: how its files are recognised and read. ``traces.open`` lists the known ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sim.domain import Trace
from traces.files.content import TraceFile
from traces.files.csvfile import CsvFile
from traces.files.directory import TracePath
from traces.options import ReadOptions

UNKNOWN_TRIGGER = "unknown"  # of functions in traces that don't tell it


@dataclass(frozen=True)
class Format:
    """A data set's file layout. ``recognises`` one of its files by the content; ``read`` gets recognised files only."""

    name: str
    summary: str
    tables: tuple[str, ...]  # the tables and their columns, for people
    recognises: Callable[[TraceFile], bool]
    read: Callable[[Sequence[TracePath], ReadOptions], Trace]


def has_columns(*columns: str) -> Callable[[TraceFile], bool]:
    """Recognises CSV files with these columns, in any order and among others."""
    return lambda file: isinstance(file, CsvFile) and set(columns) <= set(file.header)


def csv_files(paths: Sequence[TracePath]) -> list[CsvFile]:
    """All files of a format that has nothing but CSV files."""
    return [file for path in paths for file in path.files if isinstance(file, CsvFile)]


def count_paths(paths: Sequence[TracePath], anomalies: Counter[str]) -> None:
    """Count the files of directories that are left out."""
    anomalies["file_passed_over"] += sum(path.n_passed_over for path in paths)


def names(paths: Sequence[TracePath]) -> str:
    """The paths as the user named them, for messages."""
    return ", ".join(str(path.path) for path in paths)
