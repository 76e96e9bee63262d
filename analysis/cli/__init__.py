"""The ``analyze`` command: tables and figures from run directories."""

from __future__ import annotations

import click

from analysis.cli.compare import compare, interval
from analysis.cli.figures import figure, paper
from analysis.cli.hit_ratio import hit_ratio
from analysis.cli.plot import plot
from analysis.cli.report import report
from analysis.cli.single import timeline, why
from analysis.cli.table import table
from sim import __version__
from sim.terminal.console import SETTINGS, ProjectGroup


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="analyze")
def main() -> None:
    """Compare runs: tables and figures from what `simulate` and `replay` wrote.

    RUN is a run directory, or a folder, which stands for all runs in and below it, sorted by path.

    \b
    Example:
      analyze table runs/demo
      analyze plot runs/demo -o figures
    """


for command in (table, plot, figure, paper, compare, interval, timeline, why, hit_ratio, report):
    main.add_command(command)
