"""Options that commands share."""

from __future__ import annotations

from pathlib import Path

import click

from sim.terminal.console import Command


def spread_option(command: Command) -> Command:
    """The option ``--spread`` of commands that simulate: the word ``calibration``, or a number."""

    def read(_: click.Context, __: click.Parameter, text: str | None) -> str | float | None:
        if text is None or text == "calibration":
            return text
        try:
            return float(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is neither 'calibration' nor a number.") from None

    decorate = click.option(
        "--spread",
        callback=read,
        metavar="calibration|X",
        help="Spread of the run times of graphs, standard deviation over mean.  [default: calibration]",
    )
    return decorate(command)


def fleet_option(command: Command) -> Command:
    """A fleet from a file of its own."""
    return click.option(
        "--fleet",
        "fleet_file",
        type=click.Path(path_type=Path),
        metavar="FILE.yaml",
        help="The fleet of a scenario as a file: nodes of different GPUs, links, nodes on standby.",
    )(command)


def sharing_option(command: Command) -> Command:
    """How workers share the multiprocessors of a GPU, see ``sim.models.sharing``."""
    return click.option(
        "--sharing",
        metavar="NAME[k=v]",
        help="How workers that share a GPU do so: mps, slices or turns.  [default: mps]",
    )(command)


def _jobs(_: click.Context, __: click.Parameter, text: str) -> str | int:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither 'auto' nor a whole number of at least 1.")
    return int(text)


jobs_option = click.option(
    "--jobs", default="auto", callback=_jobs, metavar="auto|N", help="Processes; auto: one a CPU.  [default: auto]"
)
