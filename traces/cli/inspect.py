"""``traces inspect``: what is in a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_MIB = 2**20


@click.command()
@click.argument("trace", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", help="Format of the files, see 'traces formats'.  [default: told from the headers]")
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--placement", default="uniform", show_default=True, help="uniform, equidistant, poisson or start.")
@click.option("--rate-scale", default=1.0, show_default=True, help="Factor on the rate of every function.")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(trace: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Show what is in TRACE: files or directories that make up one trace.

    \b
    Example:
      traces inspect azure2019 --window 08:00-09:00
    """
    from traces.open import open_trace
    from traces.summary import summarise

    figures = summarise(open_trace(trace, **options))
    click.echo(json.dumps(figures, indent=2) if as_json else _table(figures))


def _table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    from traces.anomalies import RULES
    from traces.window import format_window

    rows = [
        ("format", figures["format"]),
        *(("file", file) for file in figures["files"]),
        ("window", format_window(figures["window_s"])),
        ("functions", f"{figures['n_functions']:,} of {figures['n_apps']:,} apps"),
        ("invocations", f"{figures['n_invocations']:,}"),
        ("rate", f"{figures['mean_per_s']:.3g}/s, busiest minute {figures['peak_per_s']:.3g}/s"),
        ("top function", f"{figures['top_function_frac']:.1%} of invocations, {figures['top_function']}"),
        (
            "load",
            f"{figures['mean_concurrency']:.3g} at a time, each {figures['mean_duration_s']:.3g} s in the mean",
        ),
        ("duration of functions", _quantiles(figures["duration_s"], 1.0, "s")),
        ("memory of functions", _quantiles(figures["memory_bytes"], _MIB, "MiB")),
        *(
            (
                f"trigger {name}",
                f"{t['functions_frac']:.1%} of functions, {t['invocations_frac']:.1%} of invocations",
            )
            for name, t in figures["triggers"].items()
        ),
        *((f"{n:,} x", RULES[name]) for name, n in figures["anomalies"].items()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _quantiles(values: dict[str, float] | None, unit: float, name: str) -> str:
    if values is None:
        return "unknown"
    return ", ".join(f"{quantile} {value / unit:.3g}" for quantile, value in values.items()) + f" {name}"
