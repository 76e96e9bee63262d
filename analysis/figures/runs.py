"""The figures of a comparison, for one column of a paper or as wide as a user wants.

Each is a function of curves and a width: the same tables give the same bytes. A run has one colour and line style in
all of them, by its place in the list. Only modules of figures import matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.curves import Curves
from analysis.figures.axes import count_axis, duration_axis, log_axis, plain, time_axis
from analysis.figures.gpu import gpu_utilisation
from analysis.figures.notes import finish, marked, say_empty
from analysis.figures.style import (
    MAX_RUNS,
    WIDE_IN,
    add_small_print,
    line_of,
    new_figure,
    old_figures,
    put,
    wrap,
)
from analysis.metrics import Floats, at_least
from analysis.series.widths import WIDTH_IN
from sim.errors import RunError
from sim.files.output import new_directory

_LINE_IN = 0.125  # height of a line of text at the legend's size


def latency_cdf(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Share of the completed invocations that took at most so long."""
    figure = new_figure(1.9, width_in)
    axes = figure.subplots()
    lines = [c.latency_s for c in curves]
    duration_axis(axes, "x", _risen(lines), "Latency")
    _distributions(axes, lines)
    axes.set_ylabel("Share of invocations")
    finish(figure, curves)
    return figure


def latency_ccdf(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """The tail: share of the completed invocations that took so long or longer, both axes logarithmic."""
    figure = new_figure(1.9, width_in)
    axes = figure.subplots()
    lines = [at_least(c.latency_s) for c in curves]
    duration_axis(axes, "x", _risen([c.latency_s for c in curves]), "Latency")
    least = min((float(share[-1]) for _, share in lines if len(share)), default=0.1)
    axes.set(yscale="log", ylim=(0.7 * least, 1.4), ylabel="Slower invocations (%)")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _place: plain(100 * share)))
    for place, (x, share) in enumerate(lines):
        axes.plot(x, share, drawstyle="steps-pre", **line_of(place))
    if not any(len(x) for x, _ in lines):
        say_empty(axes)
    finish(figure, curves, "So many took so long or longer: 1% at the 99th percentile.")
    return figure


def latency_over_time(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Median and 99th percentile of the latency of what arrived in each interval and completed."""
    wide = width_in >= WIDE_IN
    figure = new_figure(1.9 if wide else 2.8, width_in)
    panels = figure.subplots(*((1, 2) if wide else (2, 1)), sharex=True)
    for axes, name, lines in (
        (panels[0], "Median", [c.latency_p50_s for c in curves]),
        (panels[1], "p99", [c.latency_p99_s for c in curves]),
    ):
        duration_axis(axes, "y", lines, f"{name} latency")
        _by_interval(axes, [c.edges_s for c in curves], lines)
    if not wide:
        panels[0].set_xlabel("")
    finish(figure, curves, "Of what arrived in each interval, and completed.")
    return figure


def queue_length(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Mean number of waiting invocations in each interval."""
    figure = new_figure(1.9, width_in)
    axes = figure.subplots()
    lines = [c.queue_length for c in curves]
    count_axis(axes, lines)
    axes.set_ylabel("Waiting invocations")
    _by_interval(axes, [c.edges_s for c in curves], lines)
    finish(figure, curves, "All that have arrived and not started on a GPU; means of the intervals.")
    return figure


def cold_starts_evictions(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Bars of cold starts and of evicted buffers, each under the name of its run."""
    labels, footnotes = marked(curves)
    names = [wrap(label, width_in) for label in labels]
    heights_in = np.array([(name.count("\n") + 1) * _LINE_IN + 0.18 for name in names])
    figure = new_figure(float(heights_in.sum()) + 0.25, width_in)
    below_in = np.cumsum(heights_in)
    panels = figure.subplots(1, 2)
    for axes, title, counts in zip(
        panels,
        ("Cold starts", "Evicted buffers"),
        ([c.n_cold for c in curves], [c.n_evicted for c in curves]),
        strict=True,
    ):
        axes.set_title(title, loc="left")
        axes.set(xlim=(0, 1.5 * max(1, *counts)), ylim=(below_in[-1] + 0.01, 0.05), xticks=[], yticks=[])
        axes.spines[["bottom", "left"]].set_visible(False)
        axes.patch.set_visible(False)  # a long name runs on behind the panel on the right
        for place, (count, y) in enumerate(zip(counts, below_in - 0.06, strict=True)):
            axes.barh(y, count, 0.1, color=line_of(place)["color"])
            axes.annotate(f"{count:,}", (count, y), (2, 0), textcoords="offset points", va="center", fontsize=7)
    for name, y in zip(names, below_in - 0.115, strict=True):
        label = panels[0].text(0, y, name, va="bottom", fontsize=7, linespacing=1.1)
        label.set_in_layout(False)
    add_small_print(figure, footnotes)
    return figure


def slowdown(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Distribution over functions of mean latency / isolated latency: its CDF, and below it the spread.

    The spread of each run, in the order of the legend: a thin line from 5% to 95% of the functions, a thick
    one over the middle half, a dot at the median.
    """
    figure = new_figure(2.0 + 0.1 * len(curves), width_in)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(1.6, 0.1 * len(curves) + 0.05))
    lines = [c.slowdown for c in curves]
    log_axis(upper, "x", _risen(lines))
    _distributions(upper, lines)
    upper.set_ylabel("Share of functions")
    upper.tick_params(labelbottom=False)
    for place, spread in enumerate(c.slowdown_spread for c in curves):
        colour = line_of(place)["color"]
        if len(spread):
            least, low, median, high, most = spread
            lower.plot([least, most], [place, place], color=colour, linewidth=0.8)
            lower.plot([low, high], [place, place], color=colour, linewidth=4, solid_capstyle="butt")
            lower.plot(median, place, "o", color=colour, markerfacecolor="white", markersize=3.5)
    lower.set(xlabel="Slowdown (mean latency / isolated latency)", yticks=[], ylim=(len(curves) - 0.5, -0.5))
    finish(figure, curves, "Below: median (dot), middle half (thick) and 5% to 95% (thin) of the functions.")
    return figure


FIGURES: Mapping[str, Callable[[Sequence[Curves], float], Figure]] = {
    figure.__name__: figure
    for figure in (
        latency_cdf,
        latency_ccdf,
        latency_over_time,
        queue_length,
        gpu_utilisation,
        cold_starts_evictions,
        slowdown,
    )
}


FILES: Mapping[str, tuple[str, str]] = {name: (f"{name}.pdf", f"{name}.png") for name in FIGURES}


@contextmanager
def place(n_runs: int, folder: Path) -> Iterator[Path]:
    """A hidden place for all figures, which come to ``folder`` together when the body ends; those there go.

    Raises RunError for more runs than a figure can have, and OutputError when the folder can't be written to.
    """
    if n_runs > MAX_RUNS:
        raise RunError(f"{n_runs} runs are too many for a figure; lines of at most {MAX_RUNS} can be told apart")
    names = [name for files in FILES.values() for name in files]
    with new_directory(folder, partial(old_figures, names=names)) as hidden:
        yield hidden


def draw(curves: Sequence[Curves], place: Path, width_in: float = WIDTH_IN) -> list[str]:
    """Draw every figure as PDF and PNG into a ``place`` and return their names. A user's matplotlibrc has no say."""
    for name, figure_of in FIGURES.items():
        put(partial(figure_of, curves, width_in), *(place / file for file in FILES[name]))
    return [name for files in FILES.values() for name in files]


def _risen(lines: Sequence[tuple[Floats, Floats]]) -> list[Floats]:
    """Of cumulative distributions what lies where they have left 0 visibly."""
    return [x[share >= 0.001] for x, share in lines]


def _distributions(axes: Axes, lines: Sequence[tuple[Floats, Floats]]) -> None:
    """Cumulative distributions as steps."""
    axes.set_ylim(0, 1.02)
    for place, (x, share) in enumerate(lines):
        axes.plot(x, share, drawstyle="steps-post", **line_of(place))
    if not any(len(x) for x, _ in lines):
        say_empty(axes)


def _by_interval(axes: Axes, edges_s: Sequence[Floats], lines: Sequence[Floats]) -> None:
    """A line a run over the middles of its intervals; a value between two gaps is a dot."""
    longest = max(edges_s, key=lambda edges: float(edges[-1]))
    unit_s = time_axis(axes, longest[-1], longest[1] - longest[0])
    for place, (edges, y) in enumerate(zip(edges_s, lines, strict=True)):
        x = (edges[:-1] + edges[1:]) / 2 / unit_s
        axes.plot(x, y, **line_of(place))
        gap = np.pad(np.isnan(y), 1, constant_values=True)
        alone = ~gap[1:-1] & gap[:-2] & gap[2:]
        axes.plot(x[alone], y[alone], ".", color=line_of(place)["color"])
    if all(np.isnan(y).all() for y in lines):
        say_empty(axes)
