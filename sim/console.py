"""What the commands share: how options are read, how mistakes end, and what is said on stderr.

A mistake of a user ends in one sentence on stderr and exit code 2, without a traceback.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from sim.errors import ProjectError, ScenarioError

Command = TypeVar("Command", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INVALID = 1  # exit code of a run that ended but is not valid
INTERRUPTED = 128 + 2  # as shells say it of SIGINT
PACKAGES = ("sim", "replay", "traces", "analysis")
_QUIET = "sim.console.quiet"  # in the metadata that all contexts of a command share


class ProjectCommand(click.Command):
    """A command that takes an option of a single value once: else the last one would win, and nobody would notice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. Raises ScenarioError for an option that is given again."""
        if not ctx.resilient_parsing:
            for option, n in Counter(self.make_parser(ctx).parse_args([*args])[2]).items():
                if n > 1 and isinstance(option, click.Option) and not (option.multiple or option.is_flag):
                    raise ScenarioError(f"{max(option.opts, key=len)} is given {n} times, must be given once")
        return super().parse_args(ctx, args)


class ProjectGroup(click.Group):
    """A group of commands that prints ProjectErrors, and ends with the exit codes of docs/commands.md."""

    command_class = ProjectCommand

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a ProjectError becomes a sentence on stderr and exit code 2, Ctrl-C exit code 130."""
        try:
            check_packages()
            return super().invoke(ctx)
        except ProjectError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def check_packages() -> None:
    """Raise ScenarioError when other modules of the names of our packages hide them: they are imported when needed."""
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        place = Path(spec.origin).resolve() if spec and spec.origin else home / name
        if (home / name) not in (place, place.parent):
            raise ScenarioError(f"{place}: hides the package {name} of this project; rename it, or run from elsewhere")


def quiet_option(command: Command) -> Command:
    """The option ``--quiet`` of a command that has more to say on stderr than errors."""

    def keep(ctx: click.Context, _: click.Parameter, is_quiet: bool) -> None:
        ctx.meta[_QUIET] = is_quiet

    decorate = click.option(
        "--quiet", "-q", is_flag=True, expose_value=False, callback=keep, help="Say nothing on stderr but errors."
    )
    return decorate(command)


def is_quiet() -> bool:
    """Whether the user wants nothing on stderr but errors."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(_QUIET))


def shows_progress() -> bool:
    """Whether progress is shown: on a terminal, to those who want it."""
    return sys.stderr.isatty() and not is_quiet()


def note(text: str) -> None:
    """Say something on stderr that a user should know beside the results."""
    if not is_quiet():
        click.echo(text, err=True)
