"""``traces convert``: any trace in the project's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("trace", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@click.option("--format", help="Format of the files, see 'traces formats'.  [default: told from the content]")
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--placement", default="uniform", show_default=True, help="uniform, equidistant, poisson or start.")
@click.option("--rate-scale", default=1.0, show_default=True, help="Factor on the rate of every function.")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def convert(trace: tuple[Path, ...], output: Path, force: bool, **options: Any) -> None:
    """Write the arrivals of TRACE, files or directories that make up one trace, to a Parquet file.

    The file is a trace of the format 'native', with an instant and a duration for every invocation.

    \b
    Example:
      traces convert azure2019 --window 08:00-09:00 -o morning.parquet
    """
    from sim.errors import TraceError
    from traces.native import write_native
    from traces.open import open_trace

    if output.exists() and not force:
        raise TraceError(f"{output}: is there already; use --force to replace it")
    n_rows = write_native(open_trace(trace, **options), output)
    click.echo(f"{output}: {n_rows:,} invocations")
