"""All cells of a run, each as a run of its own in a process of its own, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.cells.merge import Part, merge_tables
from sim.cells.split import CellTrace, cell_workload
from sim.domain import FleetSpec
from sim.errors import RunError
from sim.processes.pool import in_processes
from sim.records.backlog import is_steady
from sim.records.results import Run, open_run
from sim.records.sums import Sums, merge, read_sums
from sim.scenario import Scenario
from sim.workload import Workload


@dataclass(frozen=True)
class CellTask:
    """A cell to run: a scenario with one policy and ``cell``. folder: its run directory, to be."""

    scenario: Scenario
    folder: Path


def run_cells(
    scenario: Scenario, folder: Path, jobs: int, work: Callable[[CellTask], str], stopping: Callable[[], bool]
) -> list[Run]:
    """Run the cells of a scenario, in so many processes; with one, in this one. Returns their runs, by cell.

    work: runs a cell, and returns what kept it from being run. Raises RunError for a cell that can't be run, and
    KeyboardInterrupt once ``stopping`` is true: what is whole is made of all cells.
    """
    tasks = [CellTask(replace(scenario, cell=cell), folder / str(cell)) for cell in range(scenario.cells)]
    ended = ((task, work(task)) for task in tasks) if jobs == 1 else in_processes(work, tasks, jobs, stopping)
    n_ended = 0
    for task, error in ended:
        n_ended += 1
        if error:
            raise RunError(f"cell {task.scenario.cell}: {error}")
    if n_ended < len(tasks):
        raise KeyboardInterrupt
    return [open_run(task.folder) for task in tasks]


class MergedRecords:
    """What ``sim.records.manifest.conclude`` asks of a recorder, of the runs of all cells, which are read at once.

    known: warnings of the whole, which cells needn't repeat.
    """

    def __init__(self, cells: Sequence[Run], known: Sequence[str]) -> None:
        self._cells = cells
        self._known = known
        self._sums = merge([read_sums(cell.path) for cell in cells])
        self.interval_s = max(cell.manifest["interval_s"] for cell in cells)

    def sums(self, simulated_s: float) -> Sums:
        """Those of all cells, until the last of them ended."""
        return self._sums

    def faults(self, simulated_s: float) -> list[str]:
        """Those of cells are among their warnings."""
        return []

    def steadiness(self) -> list[str]:
        """What cells warn of beside that: those that aren't steady first."""
        found = [
            f"{text} (cell {number} of {len(self._cells)})"
            for number, cell in enumerate(self._cells)
            for text in cell.warnings
            if text not in self._known
        ]
        return sorted(found, key=lambda text: is_steady([text]))

    @property
    def simulated_s(self) -> float:
        """Until the last cell ended."""
        return max(float(cell.summary["simulated_s"]) for cell in self._cells)

    @property
    def reasons(self) -> list[str]:
        """Why cells are not valid."""
        return [
            f"cell {number}: {reason}" for number, cell in enumerate(self._cells) for reason in cell.summary["reasons"]
        ]


def write_tables(
    cells: Sequence[Run], workload: Workload, cell_of: npt.NDArray[np.int32], fleet: FleetSpec, directory: Path
) -> None:
    """The tables of the whole from those of its cells. fleet: the whole."""
    parts = []
    n_workers = 0
    for number, cell in enumerate(cells):
        trace = cell_workload(workload, cell_of, number).trace
        assert isinstance(trace, CellTrace)
        device, node = number * (fleet.n_gpus // len(cells)), number * max(len(fleet.nodes) // len(cells), 1)
        parts.append(Part(cell.path, trace.invocations, trace.of_whole, device, node, n_workers))
        n_workers += len(cell.table("workers", ["worker"]))  # they are numbered without gaps
    merge_tables(parts, directory, max(cell.manifest["interval_s"] for cell in cells))
