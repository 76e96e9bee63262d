"""``analyze hit-ratio``: how much memory would give how many hits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from sim.terminal.console import ProjectCommand, echo


@click.command("hit-ratio", cls=ProjectCommand)
@click.argument("traces", nargs=-1, metavar="TRACE...", required=True, type=click.Path(path_type=Path))
@click.option("--functions", type=click.Choice(["catalogue", "trace"]),
              help="Constants of kernel graphs, or the trace's own memory.  [default: catalogue]")  # fmt: skip
@click.option("--catalogue", metavar="NAME|FILE", help="kaas, kaas-authors, small, cublas or a file.  [default: kaas]")
@click.option("--map", metavar="FILE.csv",
              help="Which function, app or trigger runs which graph.  [default: balanced by invocations]")  # fmt: skip
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--limit", type=int, metavar="N", help="Only the first N arrivals.")
@click.option("--seed", type=int, help="Seed of all that is drawn.  [default: 0]")
@click.option("--format", "form", type=click.Choice(["text", "csv"]), default="text", show_default=True,
              help="csv has every step of the curve, up to 1,000.")  # fmt: skip
@click.option("--out", "-o", "file", metavar="FILE", type=click.Path(path_type=Path),
              help="A figure too: .pdf, .png or .svg.")  # fmt: skip
def hit_ratio(traces: tuple[Path, ...], form: str, file: Path | None, **flags: Any) -> None:
    """Print how much memory would give how many hits.

    In one pass over TRACE, for a cache that holds the constants of functions whole and evicts the least recently used
    one first, as one GPU with so much memory would, or several that pool it. A first request misses in any. To run a
    policy is another matter: it may put a function on several GPUs.

    \b
    Example:
      analyze hit-ratio azure2019/ --window 08:00-09:00 --catalogue small
      analyze hit-ratio azure2019/ --limit 1000000 --format csv -o hits.pdf
    """
    from analysis.hit_ratio import hit_ratios
    from sim.compose import open_workload
    from sim.domain import Role
    from sim.scenario import read_scenario

    if file is not None:
        from analysis.figures import style

        style.check_file(file)
    given = {key: value for key, value in flags.items() if value is not None}
    paths = [os.path.abspath(trace) for trace in traces]
    scenario = read_scenario(None, {"traces": paths, "policies": ["affinity"], **given})  # which no policy will run
    workload = open_workload(scenario, lambda text: echo(text, err=True))
    sizes = [function.graph.bytes_of(Role.CONSTANT) for function in workload.functions]
    curve = hit_ratios((batch.function for batch in workload.batches()), sizes)
    echo(curve.as_csv() if form == "csv" else curve.as_text())
    if file is not None:
        from analysis.figures import hit_ratio as figures

        figures.draw(curve, file)
