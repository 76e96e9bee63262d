"""``traces synth``: a synthetic trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.terminal.console import ProjectCommand, echo

if TYPE_CHECKING:
    from traces.synth.compare import Statistic


@click.command(cls=ProjectCommand)
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Directory for the files.")
@click.option("--functions", default=100, show_default=True, help="Number of functions.")
@click.option("--minutes", default=60, show_default=True, help="Length, from 00:00 of a Monday; 14 days are 20160.")
@click.option("--rate", type=float, help="Mean invocations/s of all functions together.  [default: as published]")
@click.option(
    "--arrivals",
    default="azure",
    show_default=True,
    metavar="NAME[k=v,...]",
    help="azure, poisson, gamma[cv], mmpp[ratio,high_s,low_s], bursty[cv], periodic[cv,period_s] or sporadic[cv].",
)
@click.option(
    "--service",
    default="azure",
    show_default=True,
    type=click.Choice(["azure", "llm"]),
    help="Durations and memory of CPU functions, or of language models on GPUs.",
)
@click.option("--defects", is_flag=True, help="Add the defects of the published tables.")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--compare", is_flag=True, help="Print published numbers and those of the trace.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw both as curves: .png, .pdf or .svg."
)
@click.option("--force", is_flag=True, help="Replace a synthetic trace that is there.")
def synth(
    out: Path,
    functions: int,
    minutes: int,
    rate: float | None,
    arrivals: str,
    service: str,
    defects: bool,
    seed: int,
    compare: bool,
    plot: Path | None,
    force: bool,
) -> None:
    """Write a synthetic trace.

    Functions are like those of Azure Functions 2019, counted by minute in its file layout. With other arrivals than
    azure, one process makes the arrivals of the whole trace, and each belongs to a function drawn by popularity: a
    Parquet file of the format 'native', with an instant for every invocation.

    \b
    Example:
      traces synth -o demo --functions 100 --minutes 60 --rate 30
      traces synth -o bursts --arrivals "bursty[cv=0.95]" --service llm
    """
    if arrivals != "azure" and (defects or compare or plot):
        raise click.UsageError("--defects, --compare and --plot need --arrivals azure: they are about its tables")
    if plot:
        from analysis.figures.style import check_file

        check_file(plot)
    write = partial(_writer(arrivals, defects), out, n_functions=functions, minutes=minutes, rate_per_s=rate)
    for file in write(service=service, seed=seed, overwrite=force):
        echo(file)
    if compare or plot:
        _compare(out, minutes, compare, plot)


def _writer(arrivals: str, defects: bool) -> Callable[..., list[Path]]:
    if arrivals == "azure":
        from traces.synth.azure2019 import write_azure2019

        return partial(write_azure2019, defects=defects)
    from traces.synth.instants import write_pattern
    from traces.synth.patterns import make_pattern

    return partial(write_pattern, pattern=make_pattern(arrivals))


def _compare(directory: Path, minutes: int, table: bool, plot: Path | None) -> None:
    """Read the trace again, and print and draw how near it is to what is published."""
    from traces.arrivals.minutes import MinuteTrace
    from traces.open import open_trace
    from traces.synth.compare import compare
    from traces.synth.curves import curves
    from traces.synth.measure import measure
    from traces.window import format_window

    trace = open_trace([directory], window=format_window((0.0, minutes * 60.0)))
    assert isinstance(trace, MinuteTrace)
    measured = measure(trace)
    if table:
        echo(_table(compare(measured)))
    if plot:
        from analysis.figures.synth import draw

        draw(curves(measured), plot)
        echo(plot)


def _table(statistics: list[Statistic]) -> str:
    """Numbers for people; a star marks those that are farther away than the tolerance."""
    width = max(len(s.name) for s in statistics)
    rows = [f"{'':{width}}  published  synthetic  tolerance"]
    for s in statistics:
        mark = "" if s.holds else "  *"
        rows.append(f"{s.name:{width}}  {s.published:9.3g}  {s.measured:9.3g}  {s.tolerance:9.2g}{mark}")
    return "\n".join(rows)
