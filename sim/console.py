"""What the commands share: mistakes of a user end in one sentence on stderr and exit code 2, without a traceback."""

from __future__ import annotations

from typing import Any

import click

from sim.errors import ProjectError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INVALID = 1  # exit code of a run that ended but is not valid
INTERRUPTED = 128 + 2  # as shells say it of SIGINT


class ProjectGroup(click.Group):
    """A group of commands that prints ProjectErrors, and ends with the exit codes of docs/commands.md."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a ProjectError becomes a sentence on stderr and exit code 2, Ctrl-C exit code 130."""
        try:
            return super().invoke(ctx)
        except ProjectError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
