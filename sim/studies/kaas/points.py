"""Tables of points: a user's measurements in, the same rows with what was simulated out."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.files.output import write_text
from sim.studies.kaas.experiments import LOAD_FRAC, Point, Setup
from sim.studies.kaas.run import PointResult
from sim.studies.tables import check_cells, read_lines
from sim.text import shown

KEYS = ("workload", "mode", "clients")
OFFERED = "offered_per_s"
THROUGHPUT, P50, P90 = "throughput_qps", "p50_s", "p90_s"
MEASURED = (THROUGHPUT, P50, P90)
LEAST, MOST = 1e-9, 1e12  # of what is measured, in seconds or requests/s: errors are ratios to it
MOST_CLIENTS = 1_000
ADDED = (
    *(f"simulated_{name}" for name in MEASURED), "error_frac", "p50_error_frac", "p90_error_frac", "note",
)  # fmt: skip

# Values in the authors' file that they didn't measure.
HAND_SET: Mapping[tuple[Point, float], str] = {
    (Point("cGEMM", "kaas", 29), 45.9): "45.9 was set by hand; the authors' own test gave 34.1; not in the errors"
}

# Latencies that the authors may have measured at another rate, which is simulated as well.
AGAIN: Mapping[Point, tuple[float, str]] = {
    Point("cGEMM", "kaas", 28): (
        LOAD_FRAC * 45.9,
        "again at 70 % of 45.9, which belongs to 28 clients rather than to 29",
    )
}


@dataclass(frozen=True)
class PointRow:
    """A point, in a file or built in.

    measured: by name, what was measured there. others: further columns, as they stand. wants: which of MEASURED are
    to be simulated. note: why nothing is simulated, or what to know.
    """

    point: Point
    wants: frozenset[str]
    measured: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    duplicate: bool = False


def built_in(setup: Setup) -> list[PointRow]:
    """The points of a setup, without measurements."""
    return [PointRow(point, frozenset(MEASURED)) for point in setup.points]


def read_points(file: Path, setup: Setup, workloads: Iterable[str]) -> list[PointRow]:
    """Rows of a CSV file with the columns of KEYS, any of OFFERED and MEASURED, and others.

    What the file has columns for is wanted; all of it if there are none. An empty cell wasn't measured, or is the usual
    rate. Of the same point twice the second is a duplicate. Points of AGAIN whose latency was measured come twice.
    Raises ScenarioError with file, row (the header is row 1), column and value.
    """
    columns, lines = read_lines(file, KEYS, {*ADDED} - {"note"})
    wants = frozenset(name for name in MEASURED if name in columns) or frozenset(MEASURED)
    known = {"workload": list(workloads), "mode": list(setup.modes)}
    seen: dict[Point, int] = {}
    rows = []
    for number, line in lines:
        where = f"{file}: row {number}"
        check_cells(line, columns, where)
        for key, values in known.items():
            if line[key] not in values:
                raise ScenarioError(f"{where}: {key}: is {shown(line[key])}, must be one of {', '.join(values)}")
        offered_per_s = _number(line[OFFERED], f"{where}: {OFFERED}") if line.get(OFFERED) else None
        point = Point(line["workload"], line["mode"], _clients(line["clients"], where), offered_per_s)
        measured = {name: _number(line[name], f"{where}: {name}") for name in MEASURED if line.get(name)}
        others = {name: line[name] for name in columns if name not in (*KEYS, OFFERED, *MEASURED, "note")}
        first = seen.setdefault(point, number)
        note = f"the same point as row {first}" if first != number else _note(point, measured)
        rows.append(PointRow(point, wants, measured, others, note, duplicate=first != number))
        rows += _again(rows[-1])
    return rows


def _again(row: PointRow) -> list[PointRow]:
    """The row at the other rate that its latencies may be of."""
    latencies = {name: row.measured[name] for name in (P50, P90) if name in row.measured}
    if row.duplicate or not latencies or row.point not in AGAIN:
        return []
    offered_per_s, note = AGAIN[row.point]
    return [PointRow(row.point._replace(offered_per_s=offered_per_s), row.wants, latencies, row.others, note)]


def complete(row: PointRow, result: PointResult | None) -> dict[str, Any]:
    """The row with what was simulated; None in cells that stay empty.

    ``error_frac`` is simulated / measured - 1, of the throughput, or in a row without it of the median latency.
    """
    simulated: dict[str, float | None] = dict.fromkeys(MEASURED)
    if result is not None:
        simulated = {THROUGHPUT: result.throughput_qps, P50: result.latency(0.5), P90: result.latency(0.9)}
    errors = {name: _error(simulated[name], row.measured.get(name)) for name in MEASURED}
    cells: dict[str, Any] = {**row.point._asdict(), **row.others}
    cells |= {name: row.measured.get(name) for name in MEASURED if name in row.wants}
    cells |= {f"simulated_{name}": simulated[name] for name in MEASURED}
    cells |= {"error_frac": errors[THROUGHPUT if THROUGHPUT in row.measured else P50]}
    cells |= {"p50_error_frac": errors[P50], "p90_error_frac": errors[P90]}
    return cells | {"note": (result and result.note) or row.note}


def write_rows(rows: Sequence[Mapping[str, Any]], stem: Path) -> list[Path]:
    """Write rows as stem.csv and stem.json, new files in a place of ``sim.files.output``; returns the two."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files = [stem.with_suffix(".csv"), stem.with_suffix(".json")]
    write_text(files[0], table.getvalue())
    write_text(files[1], json.dumps(rows, indent=1) + "\n")
    return files


def _note(point: Point, measured: Mapping[str, float]) -> str:
    return next((note for name, value in measured.items() if (note := HAND_SET.get((point, value), ""))), "")


def _clients(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST_CLIENTS):
        raise ScenarioError(f"{where}: clients: is {shown(text)}, must be a whole number from 1 to {MOST_CLIENTS:,}")
    return int(text)


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST <= value <= MOST:
        raise ScenarioError(f"{where}: is {shown(text)}, must be a number from {LEAST:g} to {MOST:g}, or empty")
    return value


def _error(simulated: float | None, measured: float | None) -> float | None:
    return None if simulated is None or measured is None else simulated / measured - 1
