"""Commands about a single run: its timeline, and what became of one of its invocations."""

from __future__ import annotations

from pathlib import Path

import click

from sim.terminal.console import ProjectCommand, echo, note, quiet_option

_RUN = click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
_VERIFY = click.option("--no-verify", "verify", flag_value=False, default=True,
                       help="Read the run even if its files are not those that it wrote.")  # fmt: skip


@click.command(cls=ProjectCommand)
@_RUN
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the run, from its start; HH:MM:SS too.  [default: all]")
@click.option(
    "--out",
    "-o",
    "file",
    metavar="FILE.json.gz",
    required=True,
    type=click.Path(path_type=Path),
    help="Where to write it; a timeline of an earlier call is replaced.",
)
@_VERIFY
@quiet_option
def timeline(path: Path, window: str | None, file: Path, verify: bool) -> None:
    """Write a timeline of a run, simulated or replayed, which ui.perfetto.dev opens; nothing is sent anywhere.

    A process a node, a track a GPU and host link. Slices are workers, stages of their starts, invocations with
    dispatch, load, kernels and copy back, and copies; arrows lead from arrivals over what ran to the ends. Counters
    are invocations that wait and run and, of runs with --stays, the memory of each GPU that buffers take. Of
    large runs not everything is shown by itself: what is left out is said here and in the file.

    \b
    Example:
      analyze timeline runs/demo/affinity -o affinity.json.gz
      analyze timeline runs/demo/affinity --window 00:10-00:12 -o minutes.json.gz
    """
    from analysis.runs import open_one
    from analysis.timeline.timeline import write_timeline
    from sim.errors import OutputError, RunError
    from sim.text import read_window

    if file.suffix != ".gz":
        raise OutputError(f"{file}: must end in .gz, for what is written is compressed by gzip")
    try:
        window_s = read_window(window, "time from the start of the run") if window is not None else None
    except ValueError as error:
        raise RunError(str(error)) from None
    about = write_timeline(open_one(path, verify=verify), file, window_s)
    for sentence in about["thinned"]:
        note(f"Note: {sentence}")
    echo(file)


@click.command(cls=ProjectCommand)
@_RUN
@click.argument("invocation", type=int)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for machines.")
@_VERIFY
def why(path: Path, invocation: int, as_json: bool, verify: bool) -> None:
    """Tell where the time of an INVOCATION of a run went, and what it waited for.

    INVOCATION is its number in order of arrival, from 0, as in the table of invocations and in timelines. What it
    waited for, who ran meanwhile, the stages of a start, copies and kernels are told in order of time. The table below
    adds up to its latency.

    \b
    Example:
      analyze why runs/demo/affinity 1234
    """
    import json

    from analysis.runs import open_one
    from analysis.why import as_text
    from analysis.why import why as explain

    told = explain(open_one(path, verify=verify), invocation)
    if as_json:
        click.echo(json.dumps(told, indent=1, allow_nan=False))
    else:
        echo(as_text(told))
