"""One page of what a session with a GPU measured: latencies of its replays beside those of their simulations."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.axes import duration_axis
from analysis.figures.notes import say_empty
from analysis.figures.style import add_legend, line_of, new_figure, save
from analysis.metrics import Floats, cdf
from analysis.runs import fault
from analysis.series.widths import TEXT_WIDTH_IN
from sim.errors import RunError
from sim.records.results import Run, open_run

FOLDERS = ("calibration", "validation", "simulated")  # of a session's runs
COLUMNS = 3
PANEL_IN = 1.6  # height


def main() -> None:
    """Draw the page of the session in the working directory into the file that is named on the command line."""
    save(lambda: page(Path()), Path(sys.argv[1]))


def page(folder: Path) -> Figure:
    """A panel for each policy and load, with a line for each of FOLDERS that has it. Raises RunError without any."""
    names = sorted({file.parent.name for part in FOLDERS for file in (folder / part).glob("*/manifest.json")})
    if not names:
        raise RunError(f"{folder}: has no runs of a session")
    n_rows = -(-len(names) // COLUMNS)
    figure = new_figure(PANEL_IN * n_rows + 0.3, TEXT_WIDTH_IN)
    for number, name in enumerate(names):
        axes = figure.add_subplot(n_rows, COLUMNS, number + 1)
        found = {place: _open(folder / part / name) for place, part in enumerate(FOLDERS)}
        runs = {place: run for place, run in found.items() if run is not None}
        lines = {place: _latency_s(run) for place, run in runs.items()}
        duration_axis(axes, "x", [x for x, _ in lines.values()], "Latency")
        for place, (x, share) in lines.items():
            axes.plot(x, share, drawstyle="steps-post", **line_of(place))
        if not any(len(x) for x, _ in lines.values()):
            say_empty(axes)
        is_valid = not any(fault(run) for run in runs.values())
        axes.set(ylim=(0, 1.02), title=name if is_valid else f"{name} (INVALID)")
        if number % COLUMNS == 0:
            axes.set_ylabel("Share of invocations")
    add_legend(figure, FOLDERS)
    return figure


def _open(directory: Path) -> Run | None:
    return open_run(directory) if (directory / "manifest.json").exists() else None


def _latency_s(run: Run) -> tuple[Floats, Floats]:
    rows = run.table("invocations", ("status", "arrival_at_s", "completed_at_s"))
    done = rows[rows["status"] == "completed"]
    return cdf((done["completed_at_s"] - done["arrival_at_s"]).to_numpy())
