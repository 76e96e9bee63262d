"""What the commands share: how options are read, what is said on stderr, and how they end. Whatever a user, a file or
the machine does ends in one sentence on stderr and a status, without a traceback; what is printed is safe for a
terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from sim.errors import ProjectError, ScenarioError
from sim.terminal.signals import Stop, Stopper
from sim.text import clipped, printable, shown

Command = TypeVar("Command", bound=Callable[..., Any])

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INVALID = 1  # exit code of a run that ended but is not valid
REFUSED = 2  # of a command that could not do its work; of wrong usage, too
PACKAGES = ("sim", "replay", "traces", "analysis")
_QUIET = "sim.terminal.console.quiet"  # in the metadata that all contexts of a command share


def echo(text: object, *, err: bool = False) -> None:
    """Print a line, or several, with escapes for what a terminal would obey. JSON has its own: ``click.echo`` it."""
    click.echo(printable(str(text)), err=err)


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
    """A group of commands that end in good order. Without arguments it is a process of its own, and ends it."""

    command_class = ProjectCommand

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """See click. As a process: closed streams are replaced, and signals end it with 128 and their number."""
        if args is not None:
            return super().main(args, *more, **extra)
        _replace_closed_streams()
        stopper = Stopper()
        stopper.begin()
        status = 0
        try:
            super().main(args, *more, **extra)
        except OSError:  # of stdout or stderr themselves, for ``invoke`` tells of all others: nobody can be told
            _forsake_stdout()
            status = REFUSED
        except BaseException:  # a stop may arrive as another error, made of it by a library
            if stopper.stop is None:
                raise
        finally:
            stopper.heard()
        sys.exit(stopper.stop.status if stopper.stop else status)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what stops it becomes a sentence on stderr and an exit code."""
        try:
            check_place()
            check_packages()
            return super().invoke(ctx)
        except ProjectError as error:
            complaint = str(error)
        except MemoryError as error:
            complaint = f"there is not enough memory for this ({str(error) or 'an allocation failed'})"
        except ImportError as error:
            if "failed to map segment" not in str(error):  # what the linker says without memory
                raise
            complaint = f"there is not enough memory for this ({error})"
        except UnicodeEncodeError as error:  # PyArrow can't open others
            complaint = f"{shown(error.object)}: is no name in UTF-8, which files and what is in them must have"
        except click.UsageError as error:
            raise click.UsageError(clipped(printable(error.format_message())), error.ctx) from None
        except KeyboardInterrupt as stop:  # one of a policy's code, or of a caller in Python, is no Stop
            ctx.exit(stop.status if isinstance(stop, Stop) else 128 + signal.SIGINT)
        except BrokenPipeError:
            _forsake_stdout()
            ctx.exit(128 + signal.SIGPIPE)
        except OSError as error:
            _forsake_stdout()
            complaint = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        echo(clipped(printable(f"Error: {complaint}")), err=True)
        return ctx.exit(REFUSED)


def check_place() -> None:
    """Raise ScenarioError when the working directory was removed: no relative name would be found, or kept."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ScenarioError("the working directory is gone; run this from another one") from None


def check_packages() -> None:
    """Raise ScenarioError when other modules of the names of our packages hide them: they are imported when needed."""
    home = Path(__file__).resolve().parents[2]
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
        echo(text, err=True)


def _replace_closed_streams() -> None:
    """Open the null device in their place: else the next file that is opened gets the number of, say, stderr, and what
    a library prints goes into it. Standard output takes every character, as an escape where its encoding lacks it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _forsake_stdout() -> None:
    """Where it takes no more, send the rest nowhere: Python writes it at the end, and would fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
