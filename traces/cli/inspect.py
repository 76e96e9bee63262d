"""``traces inspect``: what is in a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sim.terminal.console import ProjectCommand, echo
from sim.text import short
from traces.cli.options import trace_options

_PERCENTS = (1, 10, 25, 50, 75, 90, 99)  # columns of the table
_LONG_S = 10_000.0  # durations from here on are told in hours


@click.command(cls=ProjectCommand)
@trace_options
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw a figure: .png, .pdf or .svg.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(trace: tuple[Path, ...], plot: Path | None, as_json: bool, **options: Any) -> None:
    """Show what is in a trace, and what is odd in it.

    TRACE is files, directories or tar archives that make up one trace.

    Percentiles are over functions, or over invocations where it says so. CV is the coefficient of variation of a
    function's inter-arrival times: about 0 for a timer, 1 for a Poisson process, more for bursts. The figure has the
    rate over time, popularity, and the distributions of CV, durations and memory.

    \b
    Example:
      traces inspect azure2019 --window 08:00-09:00 --plot azure2019.pdf
    """
    from traces.inspect.summary import summarise
    from traces.open import open_trace

    if plot:
        from analysis.figures.style import check_file
        from analysis.figures.traces import draw

        check_file(plot)
    figures = summarise(open_trace(trace, **options))
    if plot:
        draw(figures, plot)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        echo(_report(figures))


def _report(figures: dict[str, Any]) -> str:
    """The figures for people: what it is, percentiles, triggers, and what was odd."""
    parts = [_aligned(_facts(figures)), _aligned(_percentiles(figures), right=True)]
    parts.append(_aligned(_triggers(figures["triggers"]), right=True))
    if figures["anomalies"]:
        odd = [(f"{a['count']:,}", a["rule"]) for a in figures["anomalies"].values()]
        parts.append("Odd, and read by a rule:\n" + _aligned(odd))
    return "\n\n".join(parts)


def _facts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    from traces.window import format_window

    rate, cv, popularity = figures["rate"], figures["iat_cv"], figures["popularity"]
    bin_s = rate["bin_s"]
    bins = f"{bin_s / 3600:g} h" if bin_s >= 3600 else f"{bin_s / 60:g} min"
    return [
        ("format", figures["format"]),
        *(("file", file) for file in figures["files"]),
        ("window", format_window(figures["window_s"])),
        ("functions", f"{figures['functions']:,} of {figures['apps']:,} apps"),
        ("invocations", f"{figures['invocations']:,}"),
        (
            "concurrency",
            f"{short(figures['mean_concurrency'])} invocations at a time in the mean, "
            f"{short(figures['busiest_minute_concurrency'])} in the busiest minute",
        ),
        *_fleet(figures["fleet"], figures["duration_s"]["measured_on"]),
        (
            "rate",
            f"{short(rate['mean_per_s'])}/s in the mean, busiest minute {short(rate['busiest_minute_per_s'])}/s",
        ),
        ("", f"from {short(rate['min_per_s'])} to {short(rate['max_per_s'])}/s over intervals of {bins}"),
        (
            "popularity",
            f"top 1% of functions {_percent(popularity['top_1_percent_frac'])} of invocations, "
            f"10% {_percent(popularity['top_10_percent_frac'])}, "
            f"bottom half {_percent(popularity['bottom_half_frac'])}",
        ),
        ("top function", f"{_percent(popularity['top_1_frac'])} of invocations: {popularity['top_function']}"),
        (
            "burstiness",
            f"{_percent(cv['above_1_frac'])} of functions have CV > 1" if cv["functions"] else "unknown",
        ),
    ]


def _fleet(fleet: dict[str, Any], measured_on: str | None) -> list[tuple[str, str]]:
    """How many GPUs it takes, and when that is so. measured_on: what durations are of, if not the trace's own."""
    if measured_on:
        return [("fleet", f"unknown, since durations are those of {measured_on}")]
    shares = " / ".join(f"{100 * share:g}" for share in fleet["utilisation_frac"])
    mean, busiest = (" / ".join(f"{n:,}" for n in fleet[name]) for name in ("gpus", "busiest_minute_gpus"))
    return [
        ("fleet", f"{mean} GPUs for {shares}% utilisation, {busiest} in the busiest minute,"),
        ("", "if every invocation has a whole GPU for its duration, and starts warm"),
    ]


def _percentiles(figures: dict[str, Any]) -> list[Sequence[str]]:
    from traces.units import MIB

    duration, memory = figures["duration_s"], figures["memory_bytes"]["percentiles"]
    lines = {
        "CV": figures["iat_cv"]["percentiles"],
        **_durations("duration", duration["of_functions"]),
        **_durations("duration of invocations", duration["of_invocations"]),
        "memory, MiB": memory and [value / MIB for value in memory],
    }
    rows = [(name, *(short(values[p]) if values else "-" for p in _PERCENTS)) for name, values in lines.items()]
    return [("percentiles", *(f"p{p}" for p in _PERCENTS)), *rows]


def _durations(name: str, percentiles_s: list[float] | None) -> dict[str, list[float] | None]:
    """A line in seconds, or in hours where seconds have too many digits."""
    if percentiles_s and percentiles_s[_PERCENTS[-1]] >= _LONG_S:
        return {f"{name}, h": [value_s / 3600 for value_s in percentiles_s]}
    return {f"{name}, s": percentiles_s}


def _triggers(triggers: dict[str, Any]) -> list[Sequence[str]]:
    rows = [(name, _percent(t["functions_frac"]), _percent(t["invocations_frac"])) for name, t in triggers.items()]
    return [("trigger", "functions", "invocations"), *rows]


def _aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> str:
    """Rows in columns; all but the first column to the right if so asked."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<", *(">" if right else "<" for _ in widths[1:])]
    lines = ("  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
