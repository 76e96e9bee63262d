"""Which file is which table of which day, for traces laid out like Azure Functions 2019."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from pathlib import Path

from sim.errors import TraceError
from traces.files.csvfile import CsvFile
from traces.files.directory import TracePath
from traces.formats import csv_files, names
from traces.units import MINUTES_A_DAY

_MINUTE = re.compile(r"(?:minute_)?(\d{1,4})(?:_minute)?", re.ASCII)
_DAY = re.compile(r"(?:.*[._-])?d(\d{1,4})(?:\.(?:csv|txt|gz|xz|bz2))*", re.ASCII)
_NAMES = ("HashApp", "HashFunction")
_SIDE_TABLE = re.compile(r"(iterations|batch|deadline)(\..*)?", re.ASCII)
_LAST_DAY_WITH_MEMORY = 12  # the publisher has no memory table for d13 and d14


class Role(Enum):
    """The three tables; the value holds the published file name and the one that InVitro uses."""

    INVOCATIONS = ("invocations_per_function_md.anon.d{:02d}.csv", "invocations.csv")
    DURATIONS = ("function_durations_percentiles.anon.d{:02d}.csv", "durations.csv")
    MEMORY = ("app_memory_percentiles.anon.d{:02d}.csv", "memory.csv")

    def published_name(self, day: int) -> str:
        """The file name that the publisher gives to the table of a day."""
        return self.value[0].format(day)

    def names(self, day: int) -> str:
        """The usual file names, for messages."""
        return f"{self.published_name(day)} or {self.value[1]}"


@dataclass(frozen=True)
class Day:
    """The tables of one day. memory: the latest one up to that day. minutes: column of each minute, from 0.

    name_columns: which columns tell a function apart in its tables, the app first if the invocations have one.
    """

    number: int
    minutes: dict[int, str]
    name_columns: tuple[str, ...]
    invocations: CsvFile
    durations: CsvFile | None
    memory: CsvFile | None


def role_of(header: Sequence[str]) -> Role | None:
    """The table that has this header, by the columns it can't do without."""
    if "percentile_Average_50" in header:
        return Role.DURATIONS
    if "AverageAllocatedMb" in header:
        return Role.MEMORY
    if "HashFunction" in header and any(_MINUTE.fullmatch(name) for name in header):
        return Role.INVOCATIONS
    return None


def without_side_tables(path: TracePath) -> TracePath:
    """Pass over the tables of InVitro's GPU trainings, ``iterations``, ``batch`` and ``deadline.csv``, in a directory.

    They have the header of an invocations table, but a column is an invocation and a cell something else, so that
    nothing but the name tells them apart. Raises TraceError when one is named on its own.
    """
    files = tuple(file for file in path.files if not _SIDE_TABLE.fullmatch(file.path.name))
    if not path.is_directory and not files:
        raise TraceError(
            f"{path.path}: has this name in InVitro's GPU trainings, where a column is an invocation and not a minute; "
            "name its invocations.csv, or rename the file if it holds invocations a minute"
        )
    return replace(path, files=files, n_passed_over=path.n_passed_over + len(path.files) - len(files))


def find_days(paths: Sequence[TracePath]) -> list[Day]:
    """Sort files into days by the number in their names (``.d01.csv``; without one it is day 1).

    Raises TraceError when a table of a day stands there twice, when there are no invocations, when some name functions
    with their app and some without, or when a directory holds the invocations of a day without its other tables. A file
    that is named on its own may stand alone.
    """
    tables: dict[tuple[Role, int], CsvFile] = {}
    for path in paths:
        for file in csv_files([path]):
            role, day = role_of(file.header), _day_number(file.path)
            if role is None:
                continue
            if other := tables.get((role, day)):
                raise TraceError(
                    f"{file.path}: is a second {role.name.lower()} table of day {day} beside {other.path}; "
                    "days are told apart by the number at the end of the name, as in .d01.csv"
                )
            tables[role, day] = file
    numbers = sorted(day for role, day in tables if role is Role.INVOCATIONS)
    if not numbers:
        raise TraceError(f"{names(paths)}: no invocations table; expected {Role.INVOCATIONS.names(1)}")
    days = [_day(tables, number) for number in numbers]
    _check_names(days)
    for path in paths:
        if path.is_directory:
            _check_complete(path, days)
    return days


def _day(tables: dict[tuple[Role, int], CsvFile], number: int) -> Day:
    invocations = tables[Role.INVOCATIONS, number]
    memory = max((day for role, day in tables if role is Role.MEMORY and day <= number), default=None)
    return Day(
        number,
        _minute_columns(invocations),
        tuple(name for name in _NAMES if name in invocations.header),
        invocations,
        tables.get((Role.DURATIONS, number)),
        None if memory is None else tables[Role.MEMORY, memory],
    )


def _check_names(days: Sequence[Day]) -> None:
    for before, day in pairwise(days):
        if before.name_columns != day.name_columns:
            raise TraceError(
                f"{day.invocations.path}: tells functions apart by {' and '.join(day.name_columns)}, but "
                f"{before.invocations.path} by {' and '.join(before.name_columns)}"
            )


def _check_complete(path: TracePath, days: Sequence[Day]) -> None:
    for day in days:
        if day.invocations not in path.files:
            continue
        for role, table in ((Role.DURATIONS, day.durations), (Role.MEMORY, day.memory)):
            if table or (role is Role.MEMORY and day.number > _LAST_DAY_WITH_MEMORY):
                continue
            raise TraceError(
                f"{path.path}: lacks the {role.name.lower()} table beside {day.invocations.path.name}; "
                f"expected {role.names(day.number)}; name files one by one to read them without"
            )


def _day_number(path: Path) -> int:
    match = _DAY.fullmatch(path.name)
    return int(match[1]) if match else 1


def _minute_columns(file: CsvFile) -> dict[int, str]:
    """Column names by minute of the day, from 0: the column named k (1 to 1440) covers [(k - 1) * 60, k * 60) s."""
    columns: dict[int, str] = {}
    for name in file.header:
        if not (match := _MINUTE.fullmatch(name)):
            continue
        minute = int(match[1]) - 1
        if not 0 <= minute < MINUTES_A_DAY:
            raise TraceError(f"{file.path}, row 1: the minute column {name!r} must be numbered 1 to {MINUTES_A_DAY}")
        if minute in columns:
            raise TraceError(f"{file.path}, row 1: the columns {columns[minute]!r} and {name!r} are the same minute")
        columns[minute] = name
    first, last = min(columns), max(columns)
    for minute in range(first, last):
        if minute not in columns:
            raise TraceError(f"{file.path}, row 1: lacks the column of minute {minute + 1}, between others")
    return dict(sorted(columns.items()))
