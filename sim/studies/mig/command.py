"""``simulate reproduce mig``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sim.errors import ScenarioError
from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
@click.option("--points", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE.csv",
              help="Repeatable. Measured points of one model, whose name is that of the file.")  # fmt: skip
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE.csv]...")
@click.option("--leave-one-out", is_flag=True,
              help="Predict each model with constants fitted to the others, and print the constants.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON: errors, all points, and constants that were fitted.")
def mig(files: tuple[Path, ...], more: tuple[Path, ...], leave_one_out: bool, as_json: bool) -> None:
    """Inference on MIG instances of an A100-80, by slices, batch size and processes.

    FILE.csv has the columns of ParvaGPU's prof_data (SC '24): Mig instance (slices of 7), Batch size, Workload Number
    (processes), Throughput (inputs/s of one process) and Latency (s of a batch); rows of 0 weren't measured. Of each
    model the law sees the points with one process on 1 and on 7 slices. It predicts the rest, and the errors are of
    these. docs/design/mig.md discusses the results.

    \b
    Example:
      simulate reproduce mig --points resnet50.csv --json
      simulate reproduce mig --points prof_data/*.csv --leave-one-out
    """
    from sim.studies.mig import constants
    from sim.studies.mig.points import SEEN_SLICES, read_models
    from sim.studies.mig.predict import LEAST_LATENCY_S, errors, predicted
    from sim.studies.tables import as_text

    if not files:
        raise ScenarioError("--points is missing, must name a file of measured points")
    models = read_models([*files, *more])
    if leave_one_out and len(models) < 2:
        raise ScenarioError("--leave-one-out has points of one model only, must have those of two or more")
    if leave_one_out:
        rows, laws = constants.leave_one_out(models)
    else:
        rows, laws = [row for model in models for row in predicted(model)], []
    if as_json:
        tables = {"errors": errors(rows), "points": rows} | ({"constants": laws} if laws else {})
        click.echo(json.dumps(tables, indent=1))
        return
    n_seen, n_empty = sum(row["seen"] for row in rows), sum(model.n_empty for model in models)
    echo(
        f"{len(rows)} points of {', '.join(model.name for model in models)}; {n_empty} more are 0, not measured.\n"
        f"The law sees {n_seen} of them: one process on {' and '.join(map(str, SEEN_SLICES))} slices.\n"
        f"Errors are of the others, of latencies where these are {1000 * LEAST_LATENCY_S:g} ms or more.\n"
    )
    echo("\n\n".join(as_text(table) for table in (errors(rows), laws) if table))
