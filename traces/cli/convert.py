"""``traces convert``: any trace in the project's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sim.terminal.console import ProjectCommand, echo
from traces.cli.options import check_output, parquet_output, trace_options


@click.command(cls=ProjectCommand)
@trace_options
@parquet_output
def convert(trace: tuple[Path, ...], out: Path, force: bool, **options: Any) -> None:
    """Write a trace as Parquet, one row an invocation.

    TRACE is files, directories or tar archives that make up one trace. The file is a trace of the format 'native', with
    an instant and a duration for every invocation.

    \b
    Example:
      traces convert azure2019 --window 08:00-09:00 -o morning.parquet
    """
    from traces.open import open_trace
    from traces.writer import write_native

    check_output(out, force)
    n_rows = write_native(open_trace(trace, **options), out, force=force)
    echo(f"{out}: {n_rows:,} invocations")
