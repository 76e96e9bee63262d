"""The slow second look at a CSV file that the parser refused: which cell is to blame."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sim.errors import TraceError
from traces.files.kinds import EMPTY, Kind, holds, with_instants
from traces.files.plainbytes import open_bytes

BLOCK_BYTES = 2 << 20  # of text: the parser holds a few of them, and no row may be longer
LONGEST = 60  # characters of a value that a message quotes


def find_culprit(
    path: Path, content: Path, header: Sequence[str], kinds: Mapping[str, Kind], reason: str
) -> TraceError:
    """The error to raise for the first bad cell; names ``reason`` when no cell stands out.

    path: as the user knows the file; content: where it lies; header, kinds: its columns and those that are read.
    """
    checked = [(index, name, kinds[name]) for index, name in enumerate(header) if name in kinds]
    reader = csv.reader(_decoded(path, content), strict=True)
    try:
        next(reader)
        n_rows = 0
        for row in reader:
            if not row:
                continue
            n_rows += 1
            where = f"{path}, row {reader.line_num}"
            if len(row) != len(header):
                return TraceError(f"{where}: has {len(row)} fields where the header has {len(header)}")
            for index, name, kind in checked:
                if not _fits(row[index], kind):
                    value = row[index][:LONGEST]
                    return TraceError(f"{where}, column {name!r}: {value!r} must be {kind.value}")
        if not n_rows:
            return TraceError(f"{path}: has a header but no rows")
    except TraceError as error:
        return error
    except (csv.Error, OSError) as error:
        reason = f"{error} in row {reader.line_num + 1}"
    return TraceError(f"{path}: isn't a readable CSV table ({reason})")


def _decoded(path: Path, content: Path) -> Iterator[str]:
    with open_bytes(content, path) as lines:
        number = 1
        while line := lines.readline(BLOCK_BYTES + 1):
            if len(line) > BLOCK_BYTES:
                raise TraceError(f"{path}, row {number}: is longer than {BLOCK_BYTES >> 20} MiB")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise TraceError(f"{path}, row {number}: isn't UTF-8 text") from None
            number += 1


def _fits(text: str, kind: Kind) -> bool:
    if kind is Kind.TEXT:
        return True
    if kind is Kind.INSTANT:
        return _is_instant(text)
    if kind.may_be_empty and text.strip() in EMPTY:
        return True
    if kind is Kind.COUNT:
        digits = text.strip()
        return digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) < 2**32
    try:
        value = float(text)
    except ValueError:
        return False
    least, most = kind.limits
    return least <= value <= most and (kind is not Kind.OPTIONAL_COUNT or value.is_integer())


def _is_instant(text: str) -> bool:
    import pyarrow as pa

    kinds = {"at": Kind.INSTANT}
    try:
        return holds(with_instants(pa.RecordBatch.from_pydict({"at": [text]}), kinds), kinds)
    except pa.ArrowInvalid:
        return False
