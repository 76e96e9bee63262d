"""Measured points of models on MIG instances: CSV files in the form of ParvaGPU's ``prof_data``, one a model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sim.errors import ScenarioError
from sim.models.mig.profiles import Profile, profiles_of
from sim.studies.tables import check_cells, read_lines
from sim.text import shown

SLICES, BATCH, PROCESSES, THROUGHPUT, LATENCY = COLUMNS = (
    "Mig instance", "Batch size", "Workload Number", "Throughput", "Latency",
)  # fmt: skip
PROFILES = {
    slices: profiles_of("a100-80")[name]
    for slices, name in {1: "1g.10gb", 2: "2g.20gb", 3: "3g.40gb", 4: "4g.40gb", 7: "7g.80gb"}.items()
}
SEEN_SLICES = (1, 7)
MOST = {BATCH: 1_000_000, PROCESSES: 48}  # MPS has at most 48 clients on one instance
MOST_VALUE = 1e12  # inputs/s and seconds


class Point(NamedTuple):
    """slices: of 7. batch: inputs of a batch. processes: that share the instance."""

    slices: int
    batch: int
    processes: int

    @property
    def profile(self) -> Profile:
        """The instance."""
        return PROFILES[self.slices]

    @property
    def is_seen(self) -> bool:
        """Whether the law may see what was measured here."""
        return self.processes == 1 and self.slices in SEEN_SLICES


class Measured(NamedTuple):
    """throughput_per_s: inputs/s of one of the processes. latency_s: of a batch, rounded to 1 ms by the authors, and so
    perhaps 0."""

    throughput_per_s: float
    latency_s: float


@dataclass(frozen=True)
class Model:
    """What was measured of a model, in the order of its file. n_empty: points that have 0, for want of memory."""

    name: str
    points: dict[Point, Measured]
    n_empty: int

    @property
    def seen_s(self) -> dict[tuple[Profile, int], float]:
        """Seconds of a batch of a process that is alone, by instance and batch size, of the points that are seen."""
        return {
            (point.profile, point.batch): point.batch / measured.throughput_per_s
            for point, measured in self.points.items()
            if point.is_seen
        }


def read_models(files: Iterable[Path]) -> list[Model]:
    """The models of CSV files; a file's name without its ending is the model.

    Raises ScenarioError with file, row (the header is row 1), column and value; for two files of one model; and for a
    model without a point that the law may see.
    """
    models: dict[str, Model] = {}
    for file in files:
        if file.stem in models:
            raise ScenarioError(f"{file}: is a second file of the model {shown(file.stem)}, must be the only one")
        models[file.stem] = model = _read(file)
        if not model.seen_s:
            wanted = " or ".join(map(str, SEEN_SLICES))
            raise ScenarioError(f"{file}: has no measured point with 1 process on {wanted} slices, must have some")
    return list(models.values())


def _read(file: Path) -> Model:
    columns, lines = read_lines(file, COLUMNS)
    rows: dict[Point, int] = {}
    points: dict[Point, Measured] = {}
    for number, line in lines:
        where = f"{file}: row {number}"
        check_cells(line, columns, where)
        point = Point(_slices(line[SLICES], where), *(_count(line[name], name, where) for name in (BATCH, PROCESSES)))
        if (first := rows.setdefault(point, number)) != number:
            raise ScenarioError(f"{where}: is the same point as row {first}, must be the only one")
        measured = Measured(*(_value(line[name], name, where) for name in (THROUGHPUT, LATENCY)))
        if measured.latency_s and not measured.throughput_per_s:
            raise ScenarioError(
                f"{where}: {LATENCY}: is {shown(line[LATENCY])}, must be 0 as {THROUGHPUT} is, which wasn't measured"
            )
        if measured.throughput_per_s:
            points[point] = measured
    return Model(file.stem, points, len(rows) - len(points))


def _slices(text: str, where: str) -> int:
    known = [str(slices) for slices in PROFILES]
    if text not in known:
        raise ScenarioError(f"{where}: {SLICES}: is {shown(text)}, must be one of {', '.join(known)}")
    return int(text)


def _count(text: str, column: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST[column]):
        raise ScenarioError(f"{where}: {column}: is {shown(text)}, must be a whole number from 1 to {MOST[column]:,}")
    return int(text)


def _value(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_VALUE or 0 < value < 1 / MOST_VALUE:
        raise ScenarioError(
            f"{where}: {column}: is {shown(text)}, must be 0, where nothing was measured, or a number from "
            f"{1 / MOST_VALUE:g} to {MOST_VALUE:g}"
        )
    return value
