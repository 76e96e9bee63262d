"""The ``analyze`` command: tables and figures from run directories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from analysis.comparing import compare, interval
from analysis.drawing import figure, paper, width_option
from sim import __version__
from sim.terminal.console import SETTINGS, ProjectGroup, echo, quiet_option, shows_progress

if TYPE_CHECKING:
    from sim.records.results import Run


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


main.add_command(compare)
main.add_command(interval)
main.add_command(figure)
main.add_command(paper)

_RUNS = click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
_VERIFY = click.option("--no-verify", "verify", flag_value=False, default=True,
                       help="Read runs even if their files are not those that the run wrote.")  # fmt: skip
_LABELS = click.option(
    "--label",
    "names",
    metavar="NAME",
    multiple=True,
    help="What to call a run; once for each, in their order.  [default: its policy, and in what the runs differ]",
)


@main.command()
@_RUNS
@_LABELS
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="csv has every number of the summaries, unrounded; the others are for people.",
)
@click.option("--json", "as_json", is_flag=True, help="The summaries as JSON, for machines.")
@click.option("--exact", is_flag=True, help="Percentiles from the tables of the runs.")
@_VERIFY
def table(paths: tuple[Path, ...], names: tuple[str, ...], form: str, as_json: bool, exact: bool, verify: bool) -> None:
    """Print a table of the runs, one row each.

    Latency runs from scheduled arrival to completion, and queue from arrival until a GPU begins, over completed
    invocations; of more than 65,536 of them the percentiles are within 0.4 %, unless --exact is given. Cache hits are
    the share of those that neither loaded constants nor waited for the start of their worker. A GPU is occupied while
    it does not idle: by kernels, loads and dispatch. Copied in are the bytes from host to device, and fairness is
    Jain's index: docs/metrics.md has the formulas. Settings in which the runs differ are columns, too. Invalid runs
    have a star, and their reasons and all warnings stand below.

    \b
    Example:
      analyze table runs/demo
      analyze table runs/demo/runs/balance runs/demo/runs/affinity --format latex
    """
    from analysis import compare as tables
    from analysis.runs import open_runs, with_exact_quantiles

    runs = open_runs(paths, verify=verify)
    if exact:
        runs = [with_exact_quantiles(run) for run in runs]
    if as_json:
        click.echo(tables.as_json(runs, names))
    elif form == "csv":
        echo(tables.as_csv(runs, names))
    else:
        write = {"text": tables.as_text, "markdown": tables.as_markdown, "latex": tables.as_latex}[form]
        echo(write(tables.compare(runs, names)))


@main.command()
@_RUNS
@_LABELS
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
@_VERIFY
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
