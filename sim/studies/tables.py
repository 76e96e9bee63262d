"""Tables of studies: a user's CSV in, columns of text out."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.files.inputs import read_text


def read_lines(
    file: Path, needed: Sequence[str], written: Container[str] = ()
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file of points, and each line with its number (the header is row 1).

    needed: columns that it must have. written: columns that would be written over. Raises ScenarioError with file, row
    and column. Lines of another length than the header are left to ``check_cells``.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(file), newline=""), strict=True)
        columns = list(reader.fieldnames or ())
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise ScenarioError(f"{file}: not a CSV file ({error})") from None
    if lost := [key for key in needed if key not in columns]:
        raise ScenarioError(f"{file}: row 1: lacks the column {lost[0]!r}; points have {', '.join(needed)}")
    if taken := [name for name in columns if columns.count(name) > 1 or name in written]:
        raise ScenarioError(f"{file}: row 1: column {taken[0]!r} is there twice or would be written over")
    if not lines:
        raise ScenarioError(f"{file}: has no points, only a header")
    return columns, lines


def check_cells(line: Mapping[str, str], columns: Sequence[str], where: str) -> None:
    """Raise ScenarioError for a line that hasn't a cell for every column."""
    if None in line or None in line.values():
        raise ScenarioError(f"{where}: must have {len(columns)} cells, like the header")


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as columns of text, numbers to three digits, without the columns that are empty in all rows."""
    if not rows:
        return ""
    columns = [name for name in rows[0] if any(row.get(name) not in (None, "") for row in rows)]
    cells = [columns, *([_cell(name, row.get(name)) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    if name.endswith("error_frac"):
        return f"{value:+.1%}"
    return f"{value:.1%}" if name.endswith("_frac") else f"{value:.3g}"
