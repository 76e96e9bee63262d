"""The commands ``analyze figure`` and ``analyze paper``: figures of data sets."""

from __future__ import annotations

from pathlib import Path

import click

from analysis.cli.options import where_option, width_option
from sim.terminal.console import ProjectCommand, echo, quiet_option, shows_progress

_DATASET = click.argument("path", metavar="DATASET", type=click.Path(path_type=Path))
_OUT = click.option("--out", "-o", "folder", metavar="DIR", required=True, type=click.Path(path_type=Path),
                    help="Folder for the files; made if need be. Those of an earlier call are replaced.")  # fmt: skip


@click.command(cls=ProjectCommand)
@click.argument("name", metavar="FIGURE")
@_DATASET
@_OUT
@where_option
@click.option("--metric", metavar="NAME", help="Of lines, needed, pareto: p99, goodput, ...  [default: p99]")
@click.option("--x", metavar="FACTOR", help="Of lines, needed.  [default: the first that differs]")
@click.option("--limit", type=float, metavar="NUMBER", help="Of needed: what the metric must be within.")
@click.option("--time", metavar="NAME", help="Of cdf, ccdf: latency, queue or pool.  [default: latency]")
@click.option("--part", metavar="NAME",
              help="Of heat: kernels, loads, dispatch, startup or occupied.  [default: kernels]")  # fmt: skip
@click.option("--quantity", metavar="NAME", help="Of functions: slowdown, mean or p99.  [default: slowdown]")
@click.option("--cost", metavar="NAME", help="Of pareto: a factor or a metric.  [default: gpus]")
@click.option("--fairness", metavar="NAME", help="Of pareto.  [default: jain]")
@click.option("--against", type=click.Path(path_type=Path), metavar="DATASET", help="Of validation: measured runs.")
@click.option("--name", "called", metavar="NAME", help="Of its files.  [default: FIGURE and what it is told]")
@width_option
def figure(
    name: str, path: Path, folder: Path, where: dict[str, str], wide_in: float, called: str | None,
    against: Path | None, **told: str | float | None,
) -> None:  # fmt: skip
    """Draw a figure of many runs: PDF, PNG, and CSV of what it draws.

    DATASET is what `simulate sweep` made, or a folder of runs. FIGURE is one of

    \b
      cdf, ccdf    latency, all seeds together     lines       a metric over a factor, with intervals
      needed       fewest GPUs within a limit      breakdown   where latency goes
      heat         GPUs over time                  coldstart   where cold starts go
      functions    a point a function              fairness    slowdown over functions, Jain's index
      pareto       latency, cost and fairness      attainment  over the scale of deadlines
      residency    device memory over time         validation  simulated against measured

    Factors that are neither chosen nor on an axis have panels. docs/gallery.md shows what each draws.

    \b
    Example:
      analyze figure lines sweeps/fleet-size --metric p99 --x gpus -o figures
      analyze figure cdf sweeps/fleet-size --where gpus=4 --width text -o figures
    """
    from analysis.dataset import open_dataset
    from analysis.paper import draw
    from analysis.series.kinds import NAME, check
    from analysis.study_report import FigureSpec

    settings = {NAME: called, "against": None if against is None else str(against.absolute()), **told}
    spec = FigureSpec(name, where, {key: value for key, value in settings.items() if value is not None})
    dataset = open_dataset(path)
    check(spec, name, dataset.factors)
    for file in draw(dataset, [spec], folder, wide_in=wide_in):
        echo(file)


@click.command(cls=ProjectCommand)
@_DATASET
@_OUT
@width_option
@quiet_option
def paper(path: Path, folder: Path, wide_in: float) -> None:
    """Make all figures that a study asks for, and the table that compares its policies.

    They are those of the key `report` in the study of DATASET, which `simulate sweep` made. Figures are PDF, PNG, and
    CSV of what they draw; the table is CSV, Markdown and LaTeX. Their paths are printed.

    \b
    Example:
      analyze paper sweeps/fleet-size -o figures
    """
    from analysis.dataset import open_dataset
    from analysis.paper import make

    def tell(name: str) -> None:
        if shows_progress():
            echo(f"Making {name}", err=True)

    for file in make(open_dataset(path), folder, wide_in=wide_in, tell=tell):
        echo(file)
