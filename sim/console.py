"""What the commands share: how they end. Whatever a user, a file or the machine does ends in one sentence on stderr and
a status, without a traceback; what is printed is safe for a terminal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from sim.errors import ProjectError
from sim.signals import Stop, Stopper
from sim.text import clipped, printable, shown

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
INVALID = 1  # exit code of a run that ended but is not valid
REFUSED = 2  # of a command that could not do its work; of wrong usage, too


def echo(text: object, *, err: bool = False) -> None:
    """Print a line, or several, with escapes for what a terminal would obey. JSON has its own: ``click.echo`` it."""
    click.echo(printable(str(text)), err=err)


class ProjectGroup(click.Group):
    """A group of commands that end in good order. Without arguments it is a process of its own, and ends it."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """See click. As a process: closed streams are replaced, and signals end it with 128 and their number."""
        if args is not None:
            return super().main(args, *more, **extra)
        _replace_closed_streams()
        stopper = Stopper()
        stopper.begin()
        try:
            super().main(args, *more, **extra)
        except BaseException:  # a stop may arrive as another error, made of it by a library
            if stopper.stop is None:
                raise
        finally:
            stopper.heard()
        sys.exit(stopper.stop.status if stopper.stop else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what stops it becomes a sentence on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except ProjectError as error:
            complaint = str(error)
        except MemoryError as error:
            complaint = f"there is not enough memory for this ({error or 'an allocation failed'})"
        except UnicodeEncodeError as error:  # PyArrow can't open others
            complaint = f"{shown(error.object)}: is no name in UTF-8, which files and what is in them must have"
        except click.UsageError as error:
            raise click.UsageError(clipped(printable(error.format_message())), error.ctx) from None
        except Stop as stop:
            ctx.exit(stop.status)
        except BrokenPipeError:
            _forsake_stdout()
            ctx.exit(128 + signal.SIGPIPE)
        except OSError as error:
            _forsake_stdout()
            complaint = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        echo(clipped(printable(f"Error: {complaint}")), err=True)
        return ctx.exit(REFUSED)


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
