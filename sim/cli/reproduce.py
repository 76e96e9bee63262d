"""``simulate reproduce``: published experiments, repeated and compared; each study has its own command."""

from __future__ import annotations

import click

from sim.studies.kaas.command import kaas
from sim.studies.mig.command import mig
from sim.terminal.console import ProjectGroup


@click.group(cls=ProjectGroup)
def reproduce() -> None:
    """Repeat published experiments, and compare with what was measured.

    \b
    Example:
      simulate reproduce kaas --figure throughput
    """


reproduce.add_command(kaas)
reproduce.add_command(mig)
