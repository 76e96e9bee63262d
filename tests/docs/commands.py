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
    group = MAIN[words[0]]
    parent = click.Context(group, **group.context_settings)
    name, command, rest = group.resolve_command(parent, words[1:])
    assert command is not None
    command.make_context(name, rest, parent=parent)


def options() -> Iterator[str]:
    """All long options of all commands."""
    for group in MAIN.values():
        for command in (group, *group.commands.values()):
            yield from (o for p in command.params for o in p.opts if o.startswith("--"))
