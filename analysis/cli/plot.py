"""``analyze plot``: figures of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.cli.options import label_option, runs_argument, verify_option, width_option
from sim.terminal.console import ProjectCommand, echo, quiet_option, shows_progress

if TYPE_CHECKING:
    from sim.records.results import Run


@click.command(cls=ProjectCommand)
@runs_argument
@label_option
@width_option
@click.option(
    "--out",
    "-o",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the figures; made if need be. Those of an earlier call are replaced, all at once.",
)
@verify_option
@quiet_option
def plot(paths: tuple[Path, ...], names: tuple[str, ...], wide_in: float, folder: Path, verify: bool) -> None:
    """Draw figures for a paper, as PDF and PNG.

    Their paths are printed: latency_cdf, latency_ccdf, latency_over_time, queue_length, gpu_utilisation,
    cold_starts_evictions and slowdown. A run has the same colour and line style in all of them. Latency and slowdown
    are those of completed invocations; the time axis runs over arrivals, and ends with the shortest of the valid
    runs. docs/metrics.md says what is drawn.

    \b
    Example:
      analyze plot runs/demo -o figures
      analyze plot runs/demo/affinity runs/demo/exclusive --label shared --label own --width text -o figures
    """
    from analysis import api
    from analysis.runs import open_runs

    def tell(run: Run) -> None:
        if shows_progress():
            echo(f"Reading {run.path}", err=True)

    for file in api.plot(open_runs(paths, verify=verify), folder, names, width_in=wide_in, tell=tell):
        echo(file)
