"""Metrics over factors, and what it takes to meet a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from analysis.figures.axes import log_axis, plain
from analysis.figures.sets.panels import (
    Looks,
    factor_axis,
    finish,
    line_style,
    lines_of,
    mark_style,
    panels_of,
    policies_of,
)
from analysis.metrics import Floats
from analysis.series.table import UNSTEADY, Series

_LOG_FROM = 30.0  # largest over least value from which an axis is logarithmic
_SIZE = 4.0
_HOLLOW = f"Hollow: {UNSTEADY}."


def lines(series: Series, looks: Looks, width_in: float) -> Figure:
    """A line a policy through the means, the interval shaded; hollow where runs are not steady."""
    figure, panels = panels_of(series, width_in)
    table = series.table
    means, ends = table["mean"].to_numpy(float), table[["mean", "low", "high"]].to_numpy(float)
    for axes in panels.values():
        places = factor_axis(axes, list(table["x"]), looks)
    _value_axis(next(iter(panels.values())), means[np.isfinite(means)], ends[np.isfinite(ends)])
    for panel, policy, line in lines_of(table):
        axes, look = panels[panel], looks[policy]
        x = line["x"].map(places).to_numpy(float)
        if (line["seeds"] > 1).any():
            colour = line_style(look)["color"]
            low = np.maximum(line["low"], axes.get_ylim()[0])  # on a logarithmic axis an interval may leave it
            axes.fill_between(x, low, line["high"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(x, line["mean"], **line_style(look))
        for hollow, part in ((False, line["unsteady"] == 0), (True, line["unsteady"] > 0)):
            _marks(axes, x[part], line.loc[part, "mean"].to_numpy(), looks, policy, hollow)
    said = [_HOLLOW] if (table["unsteady"] > 0).any() else []
    return finish(figure, series, looks, _handles(series, looks), *said, marked=False)


def needed(series: Series, looks: Looks, width_in: float) -> Figure:
    """The fewest GPUs over a factor; an arrow at the top where more are needed than were tried."""
    figure, panels = panels_of(series, width_in)
    table = series.table
    most = float(table["most"].max())
    beyond = 1.15 * most
    for axes in panels.values():
        places = factor_axis(axes, list(table["x"]), looks)
    first = next(iter(panels.values()))
    first.set_ylim(0, 1.25 * most)
    first.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 4, 5, 8, 10]))
    policies = policies_of(series, looks)
    for panel, policy, line in lines_of(table):
        axes, look = panels[panel], looks[policy]
        beside = (
            1.0 if set(places) <= set(looks) else 1 + 0.02 * (policies.index(policy) - (len(policies) - 1) / 2)
        )  # equal numbers stay apart
        x = _beside(axes, line["x"].map(places).to_numpy(float), beside)
        n = line["gpus"].to_numpy(float)
        known = np.isfinite(n)
        axes.plot(x[known], n[known], **line_style(look))
        _marks(axes, x[known], n[known], looks, policy, False)
        ends = line[["low", "high"]].to_numpy(float)
        bars = known & np.isfinite(ends[:, 0])
        high = np.where(np.isfinite(ends[:, 1]), ends[:, 1], beyond)
        axes.vlines(x[bars], ends[bars, 0], high[bars], color=line_style(look)["color"], linewidth=0.8)
        axes.plot(x[~known], np.full((~known).sum(), beyond), "^", color=line_style(look)["color"], markersize=_SIZE,
                  markerfacecolor="white")  # fmt: skip
    said = (
        [f"Hollow, at the top: more than the {most:g} that were tried, or never."] if table["gpus"].isna().any() else []
    )
    return finish(figure, series, looks, _handles(series, looks), *said, marked=False)


def _beside(axes: Axes, x: Floats, beside: float) -> Floats:
    return x * beside if axes.get_xscale() == "log" else x + (beside - 1) * np.ptp(axes.get_xlim())


def _marks(axes: Axes, x: Floats, y: Floats, looks: Looks, policy: str, hollow: bool) -> None:
    fill: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {}
    axes.plot(x, y, linestyle="none", markersize=_SIZE, **mark_style(looks[policy]), **fill)


def _handles(series: Series, looks: Looks) -> list[Line2D]:
    return [
        Line2D([], [], markersize=_SIZE, **(line_style(looks[policy]) | mark_style(looks[policy])))
        for policy in policies_of(series, looks)
    ]


def _value_axis(axes: Axes, means: Floats, ends: Floats) -> None:
    """Logarithmic for means that differ by much, else from 0, or from below what is negative."""
    if len(means) and means.min() > 0 and means.max() / means.min() >= _LOG_FROM:
        log_axis(axes, "y", [means, ends[ends >= means.min() / 3]])
        return
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    room = 0.06 * (high - min(low, 0.0)) or 1.0
    axes.set_ylim(0 if low >= 0 else low - room, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
