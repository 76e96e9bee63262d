"""Distributions: lines with the spread of seeds behind them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.figures.axes import duration_axis, log_axis, plain
from analysis.figures.notes import say_empty
from analysis.figures.sets.panels import Looks, finish, line_style, lines_of, panels_of, policies_of
from analysis.series.table import Series


def cdf(series: Series, looks: Looks, width_in: float) -> Figure:
    """Share over a logarithmic axis of durations."""
    return _distributions(series, looks, width_in, "steps-post")


def ccdf(series: Series, looks: Looks, width_in: float) -> Figure:
    """The tail, both axes logarithmic."""
    return _distributions(series, looks, width_in, "steps-pre")


def attainment(series: Series, looks: Looks, width_in: float) -> Figure:
    """Attainment over the scale of deadlines."""
    figure, panels = panels_of(series, width_in)
    for axes in panels.values():
        log_axis(axes, "x", [series.table["x"].to_numpy()])
    first = next(iter(panels.values()))
    first.set_ylim(0, 1.02)
    first.yaxis.set_major_formatter(FuncFormatter(lambda share, _place: plain(100 * share)))
    return _lines(figure, panels, series, looks, "default")


def _distributions(series: Series, looks: Looks, width_in: float, steps: str) -> Figure:
    figure, panels = panels_of(series, width_in)
    tail = steps == "steps-pre"
    table = series.table
    shown = table.loc[table["share"] >= (0 if tail else 0.001), "x"].to_numpy()
    for axes in panels.values():
        label = axes.get_xlabel()
        duration_axis(axes, "x", [shown], series.x.removesuffix(" (s)"))
        axes.set_xlabel(axes.get_xlabel() if label else "")
    first = next(iter(panels.values()))
    if tail:
        least = table.loc[table["share"] > 0, "share"].min() if len(table) else 0.1
        first.set(yscale="log", ylim=(0.7 * least, 1.4))
        first.yaxis.set_major_locator(LogLocator(numticks=8))
        first.yaxis.set_minor_locator(NullLocator())
        first.yaxis.set_major_formatter(FuncFormatter(lambda share, _place: plain(100 * share)))
    else:
        first.set_ylim(0, 1.02)
    return _lines(figure, panels, series, looks, steps)


def _lines(figure: Figure, panels: dict[str, Axes], series: Series, looks: Looks, steps: str) -> Figure:
    policies = policies_of(series, looks)
    fill: Literal["post", "pre"] | None = "post" if steps == "steps-post" else "pre" if steps == "steps-pre" else None
    for panel, policy, line in lines_of(series.table):
        style = line_style(looks[policy])
        x, low, high = (line[name].to_numpy() for name in ("x", "low", "high"))
        if line["seeds"].iloc[0] > 1:
            panels[panel].fill_between(x, low, high, step=fill, color=style["color"], alpha=0.2, linewidth=0)
        panels[panel].plot(x, line["share"], drawstyle=steps, **style)
    for panel, axes in panels.items():
        if not np.isin(series.table["panel"], panel).any():
            say_empty(axes)
    return finish(figure, series, looks, [Line2D([], [], **line_style(looks[policy])) for policy in policies])
