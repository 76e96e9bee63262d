"""Bare counts per minute of one function, such as the loads of StreamBox: whole numbers between blanks or lines.

Wu et al., "StreamBox: A Lightweight GPU SandBox for Serverless Inference Workflow", USENIX ATC 2024; files
``serverless/workload/*-load.txt`` of CGCL-codes/streambox, Apache-2.0. INFless publishes its loads in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from sim.errors import TraceError
from traces.arrivals.functions import Functions
from traces.arrivals.minutes import MinuteTrace
from traces.files.content import NumbersFile, TraceFile
from traces.files.culprit import LONGEST
from traces.files.directory import TracePath
from traces.files.plainbytes import open_bytes
from traces.formats import Format
from traces.options import ReadOptions
from traces.readers.counted import Cells, counted_trace

_NAME = "plain-counts"
_READ_BYTES = 1 << 20
_LARGEST = 2**32


def _read(paths: Sequence[TracePath], options: ReadOptions) -> MinuteTrace:
    """Each file is a function, named like the file; its n-th number is the count of the minute n - 1.

    Durations aren't known: the published median of Azure 2019. Raises TraceError for anything but whole numbers.
    """
    files = [file for path in paths for file in path.files]
    functions = Functions()
    parts: list[Cells] = []
    for file in files:
        number = functions.number_of_file(file.path)
        count = np.fromiter(_numbers(file), np.int64)
        parts.append(Cells(np.arange(len(count)), np.full(len(count), number, np.int32), count))
    cells = Cells.concatenate(parts)
    span = (0, int(cells.minute.max()) + 1)
    return counted_trace(_NAME, paths, cells.filled(), span, functions, options, Counter())


def _numbers(file: TraceFile) -> Iterator[int]:
    for nth, word in enumerate(_words(file), 1):
        if not (word.isdigit() and len(word) <= 10 and int(word) < _LARGEST):
            value = word[:LONGEST].decode("ascii", "replace")
            raise TraceError(f"{file.path}, number {nth}: {value!r} must be a whole number from 0 to {_LARGEST - 1}")
        yield int(word)


def _words(file: TraceFile) -> Iterator[bytes]:
    with open_bytes(file.content, file.path) as content:
        rest = b""
        while (block := content.read(_READ_BYTES)) and len(rest) <= _READ_BYTES:
            words = (rest + block).split()
            rest = b"" if block[-1:].isspace() or not words else words.pop()
            yield from words
        if rest:
            yield rest


FORMAT = Format(
    name=_NAME,
    summary="bare counts a minute, one file a function: the loads of StreamBox and INFless",
    tables=("counts: whole numbers between blanks, tabs or line ends, without a header",),
    recognises=lambda file: isinstance(file, NumbersFile),
    read=_read,
)
