"""``traces synth``: a synthetic trace."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Directory for the three files.")
@click.option("--functions", default=100, show_default=True, help="Number of functions.")
@click.option("--minutes", default=60, show_default=True, help="Minutes with invocations, from 00:00.")
@click.option("--rate", default=30.0, show_default=True, help="Mean invocations/s of all functions together.")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--force", is_flag=True, help="Overwrite a trace that is there.")
def synth(output: Path, functions: int, minutes: int, rate: float, seed: int, force: bool) -> None:
    """Write a synthetic trace in the file layout of Azure Functions 2019.

    \b
    Example:
      traces synth -o demo --functions 100 --minutes 60 --rate 30
    """
    from traces.synth import write_azure2019

    files = write_azure2019(output, n_functions=functions, minutes=minutes, rate_per_s=rate, seed=seed, overwrite=force)
    for file in files:
        click.echo(file)
