"""The ``simulate`` command: one module a command."""

from __future__ import annotations

import click

from sim import __version__
from sim.cli.calibrations import calibrations
from sim.cli.load import load
from sim.cli.policies import policies
from sim.cli.reproduce import reproduce
from sim.cli.run import run
from sim.cli.size import size
from sim.cli.sweep import sweep
from sim.terminal.console import SETTINGS, ProjectGroup


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__)
def main() -> None:
    """Simulate a fleet of GPUs that serves serverless functions.

    \b
    Example:
      simulate run azure2019/ --policy affinity --policy exclusive --gpus 8 --window 08:00-09:00
      analyze plot runs/* -o figures
    """


for command in (run, sweep, size, load, policies, calibrations, reproduce):
    main.add_command(command)
