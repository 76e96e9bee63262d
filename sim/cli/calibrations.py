"""``simulate calibrations``: the known calibrations, and where their numbers come from."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
@click.argument("calibration", required=False, metavar="[NAME|FILE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def calibrations(calibration: str | None, as_json: bool) -> None:
    """List the built-in calibrations, or every number of one with its source.

    \b
    Example:
      simulate calibrations
      simulate calibrations h100-80
    """
    from sim.models.calibration import built_in
    from sim.models.sources import as_markdown, entries

    if calibration is not None:
        numbers = entries(calibration)
        echo(json.dumps([n._asdict() for n in numbers], indent=1) if as_json else as_markdown(numbers))
        return
    listed = [_facts(name) for name in built_in()]
    if as_json:
        click.echo(json.dumps(listed, indent=1))
        return
    for entry in listed:
        sources = ", ".join(f"{n} {kind}" for kind, n in entry["sources"].items())
        echo(f"{entry['name']}\n  {entry['device']}, {entry['memory_bytes'] / 2**30:.1f} GiB")
        echo(f"  sources: {sources}   run times of {', '.join(entry['graphs']) or 'no graph'}, else a roofline")
        echo(f"  {entry['provenance']}\n")


def _facts(name: str) -> dict[str, Any]:
    from sim.models.calibration import load_calibration
    from sim.models.sources import KINDS, entries

    found = load_calibration(name)
    counts = Counter(entry.kind for entry in entries(name))
    return {
        "name": name,
        "device": found.device.name,
        "memory_bytes": found.device.memory_bytes,
        "sources": {kind: counts[kind] for kind in KINDS if kind in counts},
        "graphs": list(found.graphs),
        "provenance": found.provenance,
    }
