"""What a trace format is: how its files are recognised and read. ``traces.open`` lists the known ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.domain import Trace
from traces.csvfile import CsvFile
from traces.options import ReadOptions

UNKNOWN_TRIGGER = "unknown"  # of functions in traces that don't tell it


@dataclass(frozen=True)
class TracePath:
    """A path that the user named: a file, or a directory with its CSV files in order of name."""

    path: Path
    is_directory: bool
    files: tuple[CsvFile, ...]


@dataclass(frozen=True)
class Format:
    """A data set's file layout. ``recognises`` a header of one of its tables; ``read`` gets recognised files only."""

    name: str
    summary: str
    tables: tuple[str, ...]  # the tables and their columns, for people
    recognises: Callable[[Sequence[str]], bool]
    read: Callable[[Sequence[TracePath], ReadOptions], Trace]
