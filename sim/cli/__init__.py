"""The ``simulate`` command."""

from sim.cli.run import main

__all__ = ["main"]
