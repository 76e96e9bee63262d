"""Open a trace of any known format: the entrance of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from os.path import realpath
from pathlib import Path

from sim.domain import Trace
from sim.errors import TraceError
from sim.files.fingerprint import unchanged
from sim.settings import unknown
from traces.files.content import TraceFile, found
from traces.files.csvfile import CsvFile
from traces.files.directory import TracePath, open_path
from traces.formats import Format
from traces.options import read_options
from traces.readers import (
    azure2019,
    azure2021,
    genai,
    gpupods,
    huawei_minutes,
    huawei_requests,
    invitro,
    llm,
    native,
    opendc,
    plaincounts,
)

# In order of strictness: the first that recognises all files is the format.
FORMATS = {
    f.name: f
    for f in (
        azure2019.FORMAT,
        invitro.FORMAT,
        azure2021.FORMAT,
        llm.FORMAT,
        genai.FORMAT,
        gpupods.FORMAT,
        huawei_minutes.FORMAT,
        huawei_requests.FORMAT,
        opendc.FORMAT,
        plaincounts.FORMAT,
        native.FORMAT,
    )
}

_LISTED = 4  # files that a message names


def open_trace(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    format: str | None = None,
    placement: str = "uniform",
    window: str | None = None,
    rate_scale: float = 1.0,
    seed: int = 0,
) -> Trace:
    """Open a trace. Several paths are the tables or days of one trace; a path is a file, or a directory
    or tar archive of them.

    format: a name in ``FORMATS``; by default it is told from the content. placement: where in its minute a counted
    invocation arrives, see ``traces.arrivals.placement``; traces with an instant for every invocation don't use it.
    window: ``08:00-09:00`` in trace time, see ``traces.window``; arrivals are rebased to its start.
    rate_scale: factor on the rate of every function; below 1 invocations are dropped at random.
    seed: of all that is drawn: the same arguments give the same arrivals, and any window those of the whole trace.

    Raises TraceError for files that can't be read as the format, change meanwhile or are named twice, unknown formats,
    bad options and empty windows.
    """
    options = read_options(placement, window, rate_scale, seed)
    named = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    if not named:
        raise TraceError("no trace given: name a file or a directory")
    if format is not None and format not in FORMATS:
        raise TraceError(unknown("format", format, FORMATS))
    opened = [open_path(Path(path)) for path in named]
    chosen = FORMATS[format] if format else _detect(opened)
    with unchanged(file.path for path in opened for file in path.files):
        recognised = [_recognised(path, chosen) for path in opened]
        _check_once(recognised)
        return chosen.read(recognised, options)


def _detect(paths: Sequence[TracePath]) -> Format:
    """The first format that recognises all files that any format does."""
    files = [file for path in paths for file in path.files]
    known = [file for file in files if any(f.recognises(file) for f in FORMATS.values())]
    for format in FORMATS.values():
        if known and all(map(format.recognises, known)):
            return format
    listed = "; ".join(f"{file.path}: {found(file)}" for file in _examples(known or files))
    rule = (
        "they are of different data sets, choose with --format" if known else "'traces formats' lists the known columns"
    )
    raise TraceError(f"{listed}: the format can't be told; {rule}")


def _examples(files: Sequence[TraceFile]) -> list[TraceFile]:
    """One file of every format, or a few that are of none."""
    if not any(f.recognises(file) for f in FORMATS.values() for file in files):
        return list(files[:_LISTED])
    return list({next(f.name for f in FORMATS.values() if f.recognises(file)): file for file in files}.values())


def _recognised(path: TracePath, format: Format) -> TracePath:
    """The path with the files that are of the format; a file that was named on its own must be."""
    files = tuple(filter(format.recognises, path.files))
    if not files:
        raise TraceError(
            f"{path.path}: not in the format {format.name}, which has {'; '.join(format.tables)}; "
            f"found {found(path.files[0])}"
        )
    for file in files:
        if isinstance(file, CsvFile):
            file.check_columns()
    return replace(path, files=files, n_passed_over=path.n_passed_over + len(path.files) - len(files))


def _check_once(paths: Sequence[TracePath]) -> None:
    """Raise TraceError for a file that is there twice, by two names or links or as a part of a directory."""
    seen: dict[str | tuple[int, int], TraceFile] = {}
    for file in (file for path in paths for file in path.files):
        found = file.content.stat()
        for identity in (realpath(file.path), (found.st_dev, found.st_ino)):  # members of archives, links
            other = seen.setdefault(identity, file)
            if other is not file:
                what = "is named twice" if other.path == file.path else f"is the same file as {other.path}"
                raise TraceError(f"{file.path}: {what}, and would count twice")
