"""The figure of ``traces inspect``, sized for one column of a two-column paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from matplotlib.transforms import blended_transform_factory

from analysis.figures.axes import log_axis, time_axis
from analysis.figures.style import add_small_print, line_of, new_figure, save
from analysis.metrics import Floats
from analysis.palette import COLOURS

_MIB = 2**20
_LEAST_CV = 0.01  # what varies less is as regular as a clock


def trace_figure(figures: Mapping[str, Any]) -> Figure:
    """Rate over time, popularity, and the distributions of what ``traces.inspect.summary.summarise`` gives."""
    figure = new_figure(4.4)
    memory = figures["memory_bytes"]["percentiles"]
    last = "memory" if memory else "duration"
    panels = figure.subplot_mosaic([["rate", "rate"], ["popularity", "cv"], ["duration", last]])
    _rate(panels["rate"], figures["rate"], figures["window_s"])
    _popularity(panels["popularity"], figures["popularity"])
    _cv(panels["cv"], figures["iat_cv"]["percentiles"])
    _durations(figure, panels["duration"], figures["duration_s"])
    if memory:
        _distributions(panels["memory"], [np.array(memory) / _MIB])
        panels["memory"].set(xlabel="Memory (MiB)", ylabel="Share of functions")
    add_small_print(figure, ["Upright line: CV 1, that of a Poisson process."])
    return figure


def draw(figures: Mapping[str, Any], file: Path) -> None:
    """Draw the figure into a file, which is replaced. Raises RunError when it can't be written."""
    save(partial(trace_figure, figures), file)


def _rate(axes: Axes, rate: Mapping[str, Any], window_s: Sequence[float]) -> None:
    duration_s = window_s[1] - window_s[0]
    values = rate["bins_per_s"]
    edges_s = np.minimum(rate["bin_s"] * np.arange(len(values) + 1), duration_s)
    unit_s = time_axis(axes, duration_s, rate["bin_s"])
    axes.stairs(values, edges_s / unit_s, color=COLOURS[0], linewidth=0.6, baseline=None)
    axes.set(ylabel="Invocations/s", ylim=(0, 1.08 * rate["max_per_s"] or 1))


def _popularity(axes: Axes, popularity: Mapping[str, Any]) -> None:
    rank, percent = np.array(popularity["rank"]), 100 * np.array(popularity["rank_frac"])
    _log_x(axes, [rank])
    log_axis(axes, "y", [percent])
    axes.plot(rank, percent, ".-", color=COLOURS[0], markersize=2, linewidth=0.8)
    axes.set(xlabel="Rank of function", ylabel="Invocations (%)")


def _cv(axes: Axes, percentiles: Sequence[float] | None) -> None:
    axes.set(xlabel="Inter-arrival CV", ylabel="Share of functions")
    if percentiles is None:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "Too few arrivals", transform=axes.transAxes, ha="center", va="center")
        return
    axes.axvline(1, color="black", linewidth=0.6)  # a Poisson process
    _distributions(axes, [np.maximum(percentiles, _LEAST_CV)])


def _durations(figure: Figure, axes: Axes, durations: Mapping[str, Any]) -> None:
    lines = {"functions": durations["of_functions"], "invocations": durations["of_invocations"]}
    known = {name: np.array(values) for name, values in lines.items() if values}
    _distributions(axes, list(known.values()))
    axes.set(xlabel="Duration (s)", ylabel="Share")
    legend = axes.legend(
        known,
        loc="lower left",
        bbox_to_anchor=(0, 0.99),
        bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes),
        ncols=2,
        frameon=False,
        handlelength=1.6,
        columnspacing=0.8,
    )
    legend.set_in_layout(False)  # wider than the panel
    axes.set_title(" ")  # its line


def _distributions(axes: Axes, lines: Sequence[Floats]) -> None:
    """Cumulative distributions from their percentiles."""
    _log_x(axes, lines)
    axes.set_ylim(0, 1.02)
    for place, percentiles in enumerate(lines):
        axes.plot(percentiles, np.linspace(0, 1, len(percentiles)), **line_of(place))


def _log_x(axes: Axes, lines: Sequence[Floats]) -> None:
    """A logarithmic x with no more ticks than fit into half the width."""
    log_axis(axes, "x", lines)
    low, high = axes.get_xlim()
    if high > 20 * low:
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
