"""``traces fetch``: a public data set from where it is published."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sim.terminal.console import ProjectCommand, echo, note, quiet_option, shows_progress

if TYPE_CHECKING:
    from traces.fetch.datasets import Dataset


@click.command(cls=ProjectCommand)
@click.argument("name", required=False)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Directory for the data, one for each data set.")
@quiet_option
def fetch(name: str | None, out: Path | None) -> None:
    """Download a public data set, or list them.

    Without NAME those that are known are listed. The licence and the work to cite are shown first. An interrupted
    download goes on when the command is given again.

    \b
    Example:
      traces fetch
      traces fetch azure2019 -o azure2019
    """
    from traces.fetch.datasets import DATASETS
    from traces.fetch.download import SOURCE, find_dataset
    from traces.fetch.download import fetch as fetch_dataset

    if name is None:
        echo("\n".join(map(_description, DATASETS.values())))
        return
    dataset = find_dataset(name)
    if out is None:
        raise click.UsageError("Missing option '-o' / '--out': the directory for the data.")
    note(f"{dataset.summary}\nlicence: {dataset.licence}\ncite: {dataset.citation}")
    with _progress(dataset.name) as tell:
        fetched = fetch_dataset(dataset, out, tell)
    checked = "as expected" if fetched.is_checked else "none is published to compare it with"
    note(f"SHA-256 {fetched.sha256}, {checked}\nto go on: {dataset.use}")
    echo(f"{fetched.path}\n{out / SOURCE}")


def _description(dataset: Dataset) -> str:
    """A data set for the list."""
    lines = [f"{dataset.name}: {dataset.summary}", f"licence: {dataset.licence}", f"cite: {dataset.citation}"]
    for address in dataset.addresses:
        size = "unknown" if address.size_bytes is None else f"{address.size_bytes:,} bytes"
        source = f", from {address.known_from}" if address.known_from else ""
        lines += [f"address: {address.url}", f"  size {size}, SHA-256 {address.sha256 or 'unknown'}{source}"]
    return "\n  ".join([*lines, f"to go on: {dataset.use}"])


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over bytes on stderr, when that is a terminal."""
    if not shows_progress():
        yield lambda n_here, n_whole: None
        return
    with click.progressbar(length=0, label=label, file=sys.stderr) as bar:

        def tell(n_here: int, n_whole: int) -> None:
            bar.length = n_whole
            bar.update(n_here - bar.pos)

        yield tell
