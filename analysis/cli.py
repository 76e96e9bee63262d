"""The ``analyze`` command: tables and figures from run directories."""

from __future__ import annotations

from pathlib import Path

import click

from sim import __version__
from sim.console import SETTINGS, ProjectGroup, quiet_option, shows_progress


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="analyze")
def main() -> None:
    """Compare runs: tables and figures from what `simulate` and `replay` wrote.

    RUN is a run directory, or a folder of them, which stands for all runs in it, sorted by name.

    \b
    Example:
      analyze table runs/demo
      analyze plot runs/demo -o figures
    """


_RUNS = click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
_VERIFY = click.option("--no-verify", "verify", flag_value=False, default=True,
                       help="Read runs even if their files are not those that the run wrote.")  # fmt: skip


@main.command()
@_RUNS
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="csv has every number of the summaries, unrounded; the others are for people.",
)
@click.option("--json", "as_json", is_flag=True, help="The summaries as JSON, for machines.")
@_VERIFY
def table(paths: tuple[Path, ...], form: str, as_json: bool, verify: bool) -> None:
    """Print a table of the runs, one row each.

    Latency runs from scheduled arrival to completion, over completed invocations. Cache hits are the share of those
    that neither loaded constants nor waited for the start of their worker, GPU busy the share of GPU time in
    kernels, copied in the bytes from host to device, and fairness is Jain's index. Invalid runs have a star, and
    their reasons stand below.

    \b
    Example:
      analyze table runs/demo
      analyze table runs/demo/runs/balance runs/demo/runs/affinity --format latex
    """
    from analysis import compare
    from analysis.runs import open_runs

    runs = open_runs(paths, verify=verify)
    if as_json:
        click.echo(compare.as_json(runs))
    elif form == "csv":
        click.echo(compare.as_csv(runs))
    else:
        write = {"text": compare.as_text, "markdown": compare.as_markdown, "latex": compare.as_latex}[form]
        click.echo(write(compare.compare(runs)))


@main.command()
@_RUNS
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
def plot(paths: tuple[Path, ...], folder: Path, verify: bool) -> None:
    """Draw figures for a paper, as PDF and PNG.

    They fit one column of two, and their paths are printed: latency_cdf, latency_over_time, queue_length,
    gpu_utilisation, cold_starts_evictions and slowdown. A run has the same colour and line style in all of them.
    Latency and slowdown are those of completed invocations; the time axis runs over arrivals, and ends with the
    shortest of the valid runs.

    \b
    Example:
      analyze plot runs/demo -o figures
    """
    from analysis.curves import horizon_s, measure, plot_labels
    from analysis.figures import runs as figures
    from analysis.runs import open_runs

    runs = open_runs(paths, verify=verify)
    with figures.place(len(runs), folder) as place:
        horizon = horizon_s(runs)
        curves = []
        for run, label in zip(runs, plot_labels(runs), strict=True):
            if shows_progress():
                click.echo(f"Reading {run.path}", err=True)
            curves.append(measure(run, label, horizon))
        names = figures.draw(curves, place)
    for name in names:
        click.echo(folder / name)
