"""``analyze report``: a page about runs."""

from __future__ import annotations

from pathlib import Path

import click

from analysis.cli.options import verify_option
from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
@click.argument("paths", metavar="DATASET|RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    "file",
    metavar="FILE.html",
    required=True,
    type=click.Path(path_type=Path),
    help="The page. One of an earlier call is replaced.",
)
@verify_option
def report(paths: tuple[Path, ...], file: Path, verify: bool) -> None:
    """Write one HTML page about runs, to look at and to pass on.

    It is a single file that needs no network: summary and verdicts, figures to zoom into and to choose policies in,
    tables to sort, where the numbers come from, and how to make them again. Up to 8 runs are drawn together; of a
    data set (the folder that `simulate sweep` made) and of more runs those at chosen values of the factors.

    \b
    Example:
      analyze report runs/demo -o report.html
    """
    from analysis.report.page import write_report

    write_report(paths, file, verify=verify)
    echo(file)
