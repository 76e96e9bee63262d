"""``traces formats``: the known formats."""

from __future__ import annotations

import click

from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
def formats() -> None:
    """List the known formats and the columns of their tables.

    \b
    Example:
      traces formats
    """
    from traces.open import FORMATS

    for format in FORMATS.values():
        echo("\n  ".join((f"{format.name}: {format.summary}", *format.tables)))
