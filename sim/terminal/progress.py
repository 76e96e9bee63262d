"""A progress bar over arrivals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from sim.terminal.console import shows_progress

_STEPS = 1_000  # arrivals between two looks of the progress bar, which takes longer to draw than they to simulate,
_LOOKS = 200  # but no fewer looks than this


@contextmanager
def progress(label: str, n: int) -> Iterator[Callable[[int], None] | None]:
    """A progress bar over ``n`` arrivals on stderr, when that is a terminal."""
    if not shows_progress():
        yield None
        return
    steps = max(1, min(_STEPS, n // _LOOKS))
    with click.progressbar(length=n, label=label, file=sys.stderr, update_min_steps=steps) as bar:
        yield bar.update


@contextmanager
def points(n: int, n_arrivals: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over the points of a sweep, each as long as its arrivals, with the time left."""
    if not shows_progress() or not n:
        yield lambda _: None
        return
    done = 0

    def advance(arrivals: int) -> None:
        nonlocal done
        done += 1
        bar.update(arrivals, done)

    def so_far(done: int | None) -> str:
        return f"{done or 0} of {n} points"

    with click.progressbar(length=n_arrivals, label="sweep", item_show_func=so_far, file=sys.stderr) as bar:
        yield advance
