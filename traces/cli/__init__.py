"""The ``traces`` command: one module a command."""

from __future__ import annotations

import click

from sim import __version__
from sim.terminal.console import SETTINGS, ProjectGroup
from traces.cli.convert import convert
from traces.cli.fetch import fetch
from traces.cli.formats import formats
from traces.cli.inspect import inspect
from traces.cli.sample import sample
from traces.cli.synth import synth


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__)
def main() -> None:
    """Look into serverless traces, sample and convert them, fetch public ones, or write synthetic ones.

    \b
    Example:
      traces synth -o demo
      traces inspect demo --window 00:00-01:00
    """


for _command in (inspect, synth, sample, fetch, convert, formats):
    main.add_command(_command)
