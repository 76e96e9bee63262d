"""``traces sample``: a few functions that look like all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.terminal.console import ProjectCommand, echo
from traces.cli.options import check_output, parquet_output, trace_options

if TYPE_CHECKING:
    from traces.sample.choose import Sample


@click.command(cls=ProjectCommand)
@trace_options
@click.option("--functions", required=True, type=int, help="Number of functions to choose.")
@parquet_output
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sample(
    trace: tuple[Path, ...], functions: int, out: Path, seed: int, as_json: bool, force: bool, **options: Any
) -> None:
    """Write a few functions that look like the whole trace.

    TRACE is files, directories or tar archives that make up one trace. The Parquet file is a trace of the format
    'native'. The mean rate of a function, popularity, the rate over time and durations stay near those of the whole
    trace. How near is printed, and for comparison the distances of samples drawn uniformly at random.

    \b
    Example:
      traces sample azure2019 --functions 10 -o sample.parquet
    """
    from sim.files.fingerprint import unchanged
    from traces.open import open_trace
    from traces.sample.choose import sample as sample_of
    from traces.writer import write_native

    check_output(out, force)
    whole = open_trace(trace, seed=seed, **options)
    with unchanged(whole.source.files):
        chosen = sample_of(whole, functions, seed)
    n_written = write_native(chosen, out, force=force)
    figures = _figures(chosen, out, n_written)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        echo(_report(figures))


def _figures(sample: Sample, file: Path, n_written: int) -> dict[str, Any]:
    """What was chosen and how near it is, ready for JSON."""
    return {
        "file": str(file),
        "functions": len(sample.functions),
        "of_functions": len(sample.whole.functions),
        "invocations": n_written,
        "of_invocations": sample.whole.n_arrivals,
        "kept_frac": {
            function.key: float(kept)
            for function, kept in zip(sample.functions, sample.kept_frac, strict=True)
            if kept < 1
        },
        "distances": {
            name: {"sample": distance, "uniform": sample.uniform_distances[name]}
            for name, distance in sample.distances.items()
        },
    }


def _report(figures: dict[str, Any]) -> str:
    """The figures for people."""
    from traces.sample.distances import DISTANCES

    width = max(map(len, DISTANCES.values()))
    return "\n".join(
        [
            figures["file"],
            f"{figures['functions']:,} of {figures['of_functions']:,} functions, "
            f"{figures['invocations']:,} of {figures['of_invocations']:,} invocations",
            *(f"{kept:.1%} of the invocations of {key}" for key, kept in figures["kept_frac"].items()),
            "",
            f"{'distance from the whole trace':<{width}}   sample  uniform",
            *(
                f"{DISTANCES[name]:<{width}}  {distance['sample']:7.3f}  {distance['uniform']:7.3f}"
                for name, distance in figures["distances"].items()
            ),
        ]
    )
