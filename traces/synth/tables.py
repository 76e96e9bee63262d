"""The three tables of one synthetic day while they grow, in the published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from traces.files.content import LOAD_TIMES
from traces.readers.azure2019 import DURATIONS_HEADER, INVOCATIONS_HEADER, MEMORY_HEADER
from traces.readers.daily_files import Role
from traces.synth import facts
from traces.synth.defects import Defects
from traces.synth.files import LOADS, CsvTable
from traces.synth.ids import Ids
from traces.synth.population import Population
from traces.synth.work import Work
from traces.units import MINUTES_A_DAY, Floats, Ints

_TRIGGERS = np.array(facts.TRIGGERS)


class DayTables:
    """Invocations and durations, block by block of functions, and the memory of the apps that had a row."""

    def __init__(
        self, folder: Path, number: int, population: Population, ids: Ids, work: Work, defects: Defects
    ) -> None:
        self._population, self._ids, self._work, self._defects = population, ids, work, defects
        self._minutes = slice((number - 1) * MINUTES_A_DAY, number * MINUTES_A_DAY)
        self._n_minutes = 0
        self._has_row = np.zeros(len(population), bool)
        self._invocations = CsvTable(folder / Role.INVOCATIONS.published_name(number), INVOCATIONS_HEADER)
        self._durations = CsvTable(folder / Role.DURATIONS.published_name(number), DURATIONS_HEADER)
        self._memory: CsvTable | None = None
        if number <= facts.LAST_MEMORY_DAY:
            self._memory = CsvTable(folder / Role.MEMORY.published_name(number), MEMORY_HEADER)

    def append(self, first: int, counts: Ints) -> None:
        """Add the functions of a block that are invoked this day; ``counts`` are of all minutes of the trace.

        The very first function always has a row, so that no table is empty.
        """
        counts = counts[:, self._minutes]
        self._n_minutes = counts.shape[1]
        seen = counts.max(axis=1) > 0
        seen[0] |= first == 0
        rows = first + np.flatnonzero(seen)
        self._has_row[rows] = True
        if len(rows):
            self._append_invocations(rows, counts[seen])
            self._append_durations(rows, counts[seen].sum(axis=1))

    def finish(self) -> None:
        """Write the memory of the apps."""
        if self._memory is None:
            return
        apps = np.unique(self._population.app[self._has_row])
        apps = np.repeat(apps, 1 + self._defects.memory_twice[apps] - self._defects.without_memory[apps])
        average_mb = self._work.memory_mb[apps]
        points = np.maximum(1, np.rint(average_mb[:, None] * facts.MEMORY_PERCENTILE_RATIOS)).astype(np.int64)
        n_samples = np.full(len(apps), self._n_minutes * facts.MEMORY_SAMPLES_A_MINUTE)
        self._memory.append([*self._ids.of_apps(apps), n_samples, average_mb, *points.T])

    def _append_invocations(self, rows: Ints, counts: Ints) -> None:
        trigger = np.where(self._defects.vague[rows], "others", _TRIGGERS[self._population.trigger[rows]])
        rest = np.zeros(len(rows), np.int64)
        minutes = [*np.ascontiguousarray(counts.T), *[rest] * (MINUTES_A_DAY - self._n_minutes)]
        self._invocations.append([*self._ids.of_functions(rows), trigger, *minutes])

    def _append_durations(self, rows: Ints, counts: Ints) -> None:
        odd = self._defects
        copies = 1 + odd.twice[rows] - odd.without[rows]
        rows, counts = np.repeat(rows, copies), np.repeat(counts, copies)
        average = self._work.average_ms[rows]
        average = np.where(odd.negative[rows], -average, np.where(odd.zero[rows], 0, average))
        points = self._work.points_ms[rows]
        extremes = [
            np.ma.array(np.char.add(points[:, i].astype(str), ".0").astype(object), mask=odd.empty[rows])
            for i in (0, -1)  # published as text of floats
        ]
        self._durations.append([*self._ids.of_functions(rows), average, counts, *extremes, *points.T])


def write_loads(folder: Path, ids: Ids, load_s: Floats) -> None:
    """Write the load times of functions' models."""
    CsvTable(folder / LOADS, LOAD_TIMES).append([ids.keys(), load_s.round(3)])
