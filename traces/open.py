"""Open a trace of any known format: the entrance of this package."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from sim.domain import Trace
from sim.errors import TraceError
from traces.csvfile import CsvFile, open_csv
from traces.formats import Format, TracePath
from traces.options import read_options
from traces.readers import azure2019, azure2021, invitro

# In order of strictness: the first that recognises all files is the format.
FORMATS = {f.name: f for f in (azure2019.FORMAT, invitro.FORMAT, azure2021.FORMAT)}

_NAMES = ("*.csv", "AzureFunctionsInvocationTrace*.txt")  # the 2021 data are CSV text in a .txt file


def open_trace(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    format: str | None = None,
    placement: str = "uniform",
    window: str | None = None,
    rate_scale: float = 1.0,
    seed: int = 0,
) -> Trace:
    """Open a trace. Several paths are the tables or days of one trace; a path is a file, or a directory of them.

    format: a name in ``FORMATS``; by default it is told from the headers. placement: where in its minute a counted
    invocation arrives, see ``traces.placement``; traces with an instant for every invocation don't use it.
    window: ``08:00-09:00`` in trace time, see ``traces.window``; arrivals are rebased to its start.
    rate_scale: factor on the rate of every function; below 1 invocations are dropped at random.
    seed: of all that is drawn: the same arguments give the same arrivals, and any window those of the whole trace.

    Raises TraceError for files that can't be read as the format, unknown formats, bad options and empty windows.
    """
    options = read_options(placement, window, rate_scale, seed)
    named = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    if not named:
        raise TraceError("no trace given: name a file or a directory")
    if format is not None and format not in FORMATS:
        raise TraceError(f"format {format!r}: must be one of {', '.join(FORMATS)}")
    opened = [_open_path(Path(path)) for path in named]
    chosen = FORMATS[format] if format else _detect(opened)
    return chosen.read([_recognised(path, chosen) for path in opened], options)


def _open_path(path: Path) -> TracePath:
    if not path.is_dir():
        return TracePath(path, False, (open_csv(path),))
    files = sorted({f for pattern in _NAMES for f in path.glob(pattern) if not f.name.startswith(".")})
    if not files:
        raise TraceError(f"{path}: no trace file in this directory; looked for {' and '.join(_NAMES)}")
    return TracePath(path, True, tuple(map(open_csv, files)))


def _detect(paths: Sequence[TracePath]) -> Format:
    """The first format that recognises all files that any format does."""
    files = [file for path in paths for file in path.files]
    known = [file for file in files if any(f.recognises(file.header) for f in FORMATS.values())]
    for format in FORMATS.values():
        if known and all(format.recognises(file.header) for file in known):
            return format
    raise TraceError(
        f"{files[0].path}: the format can't be told from its columns {_columns(known[0] if known else files[0])}"
        f"{' and those of other files' if len(files) > 1 else ''}; known are {', '.join(FORMATS)}"
    )


def _recognised(path: TracePath, format: Format) -> TracePath:
    """The path with the files that are of the format; a file that was named on its own must be."""
    files = tuple(file for file in path.files if format.recognises(file.header))
    if not files:
        raise TraceError(
            f"{path.path}: not in the format {format.name}, which has {'; '.join(format.tables)}; "
            f"found the columns {_columns(path.files[0])}"
        )
    return TracePath(path.path, path.is_directory, files)


def _columns(file: CsvFile) -> str:
    return ", ".join(file.header[:6]) + (" ..." if len(file.header) > 6 else "")
