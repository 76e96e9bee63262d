"""``traces sample``: a few functions that look like all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from traces.sample import Sample


@click.command()
@click.argument("trace", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--functions", required=True, type=int, help="Number of functions to choose.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
@click.option("--format", help="Format of the files, see 'traces formats'.  [default: told from the content]")
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--placement", default="uniform", show_default=True, help="uniform, equidistant, poisson or start.")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def sample(
    trace: tuple[Path, ...], functions: int, output: Path, seed: int, as_json: bool, force: bool, **options: Any
) -> None:
    """Write a representative part of TRACE, files or directories that make up one trace, to a Parquet file.

    The file is a trace of the format 'native'. The mean rate of a function, popularity, the rate over time and
    durations stay near those of the whole trace. How near is printed, and for comparison the distances of samples
    drawn uniformly at random.

    \b
    Example:
      traces sample azure2019 --functions 10 -o sample.parquet
    """
    from sim.errors import TraceError
    from traces.native import write_native
    from traces.open import open_trace
    from traces.sample import sample as sample_of

    if output.exists() and not force:
        raise TraceError(f"{output}: is there already; use --force to replace it")
    chosen = sample_of(open_trace(trace, seed=seed, **options), functions, seed)
    n_written = write_native(chosen, output)
    figures = _figures(chosen, output, n_written)
    click.echo(json.dumps(figures, indent=2) if as_json else _report(figures))


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
    from traces.sample_distances import DISTANCES

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
