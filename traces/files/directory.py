"""What a path leads to that a user named: a file, or those of a directory or tar archive that may be of a trace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sim.errors import TraceError
from traces.files.archives import is_archive, unpack
from traces.files.content import LOAD_TIMES, TraceFile, open_file

_TABLES = ("*.csv", "*.csv.gz", "*.txt", "*.parquet")  # beside names without a suffix
_ARCHIVES = ("*.tar", "*.tar.gz", "*.tar.xz", "*.tar.bz2", "*.tgz")
_NOTES = ("SOURCE*", "README*", "LICEN[CS]E*", "NOTICE*")  # stand beside many traces


@dataclass(frozen=True)
class TracePath:
    """A path that the user named: a file, or a directory or archive with its trace files in order of name.

    n_passed_over: files of a directory that aren't of the format.
    """

    path: Path
    is_directory: bool
    files: tuple[TraceFile, ...]
    n_passed_over: int = 0


def open_path(path: Path) -> TracePath:
    """Look into the files behind a path. Raises TraceError for one that can't be read, and when there is none."""
    if os.path.isdir(path):
        directory, what = path, "directory"
    elif os.path.exists(path) and is_archive(path):
        directory, what = unpack(path, _may_be_table), "archive"
    else:
        return TracePath(path, False, (open_file(path, path),))
    files, n_others = _look_into(directory, path)
    if not files:
        others = f", but {n_others} that can't be read as one" if n_others else ""
        looked = ", ".join((*_TABLES, *_ARCHIVES))
        raise TraceError(
            f"{path}: no trace file in this {what}{others}; looked for {looked} and names without a suffix"
        )
    return TracePath(path, True, tuple(files), n_others)


def _look_into(directory: Path, path: Path) -> tuple[list[TraceFile], int]:
    """The tables of a directory that the user knows as ``path``, and the number of texts that are none."""
    files: list[TraceFile] = []
    n_others = 0
    try:
        entries = sorted(entry for entry in directory.iterdir() if not entry.is_dir())
    except OSError as error:
        raise TraceError(f"{path}: can't be read ({error.strerror})") from None
    for entry in entries:
        if _fits(entry.name, _ARCHIVES):
            members, n_texts = _look_into(unpack(entry, _may_be_table), path / entry.name)
            files += members
            n_others += n_texts
        elif _may_be_table(entry.name):
            try:
                file = open_file(path / entry.name, entry)
            except TraceError:
                if entry.suffix not in ("", ".txt"):
                    raise
                n_others += 1
            else:
                files += [file] if file.header != LOAD_TIMES else []
    return files, n_others


def _may_be_table(name: str) -> bool:
    return (_fits(name, _TABLES) or "." not in name) and not name.startswith(".") and not _fits(name, _NOTES)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
