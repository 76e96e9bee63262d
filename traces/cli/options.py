"""Options that several commands have: TRACE and how it is read, and the file that is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias

import click

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def _all_of(*options: Decorator) -> Decorator:
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


trace_options = _all_of(
    click.argument("trace", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--format", help="Format of the files, see 'traces formats'.  [default: told from the content]"),
    click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]"),
    click.option("--placement", default="uniform", show_default=True, help="uniform, equidistant, poisson or start."),
    click.option("--rate-scale", default=1.0, show_default=True, help="Factor on the rate of every function."),
    click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn."),
)
"""``trace``, and the arguments of ``traces.open.open_trace`` by their names there."""

parquet_output = _all_of(
    click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Parquet file to write."),
    click.option("--force", is_flag=True, help="Replace a file of this kind that is there."),
)
"""``out`` and ``force``; see ``check_output``."""


def check_output(file: Path, force: bool) -> None:
    """Raise an error, before the work of reading, when the file can't be written or would replace another one."""
    from sim.errors import OutputError, TraceError
    from sim.files.output import check_file
    from traces.writer import is_native

    if file.suffix != ".parquet":
        raise TraceError(f"{file}: the name of a Parquet file must end in .parquet")
    if not file.parent.is_dir():
        raise OutputError(f"{file}: there is no directory {file.parent}")
    check_file(file, is_native if force else None)
