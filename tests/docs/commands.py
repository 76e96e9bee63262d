"""The commands of the project as the documentation names them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import click

MODULES = {"simulate": "sim.cli", "traces": "traces.cli", "analyze": "analysis.cli", "replay": "replay.cli"}
MAIN: dict[str, click.Group] = {
    command: import_module(module).main for command, module in MODULES.items() if find_spec(module)
}


def check(words: list[str]) -> None:
    """Parse a command without running it. Raises click.UsageError for an unknown command, option or value."""
    command, parent, rest = MAIN[words[0]], None, words[1:]
    while isinstance(command, click.Group):
        parent = click.Context(command, parent=parent, **command.context_settings)
        name, found, rest = command.resolve_command(parent, rest)
        assert found is not None
        command = found
    command.make_context(name, rest, parent=parent)


def options() -> Iterator[str]:
    """All long options of all commands."""
    commands: list[click.Command] = [*MAIN.values()]
    for command in commands:
        yield from (o for p in command.params for o in p.opts if o.startswith("--"))
        commands += command.commands.values() if isinstance(command, click.Group) else []
