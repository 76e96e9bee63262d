"""What commands print of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sim.terminal.console import echo


def show(summaries: dict[Path, dict[str, Any]], *, as_json: bool) -> None:
    """Print what came out of runs, by directory: a table, or the summaries as JSON."""
    from analysis.compare import as_text, compare
    from analysis.labels import identity
    from sim.records.results import open_run

    runs = [open_run(path) for path in summaries]
    if as_json:
        whole = [{**identity(run), **summary} for run, summary in zip(runs, summaries.values(), strict=True)]
        click.echo(json.dumps(whole, indent=1))
        return
    echo(as_text(compare(runs)))
    echo("\n" + "\n".join(f"{path}/" for path in summaries))
