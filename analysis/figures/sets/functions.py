"""Functions: a point each, and how evenly they are served."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.axes import log_axis
from analysis.figures.sets.panels import Looks, finish, line_style, lines_of, mark_style, panels_of, policies_of
from analysis.figures.style import new_figure
from analysis.series.table import Series

_SIZE = 2.6
_MANY = 5_000  # points, more of which no viewer of PDF likes


def functions(series: Series, looks: Looks, width_in: float) -> Figure:
    """Value over number of invocations, both logarithmic."""
    figure, panels = panels_of(series, width_in, 1.6)
    table = series.table
    for axes in panels.values():
        label = axes.get_xlabel()
        log_axis(axes, "x", [table["invocations"].to_numpy(float)])
        axes.set_xlabel(label)
    log_axis(next(iter(panels.values())), "y", [table["value"].to_numpy(float)])
    for panel, policy, rows in lines_of(table):
        panels[panel].plot(
            rows["invocations"], rows["value"], linestyle="none", markersize=_SIZE, markerfacecolor="none",
            markeredgewidth=0.6, rasterized=len(table) > _MANY, **mark_style(looks[policy]),
        )  # fmt: skip
    handles = [
        Line2D([], [], linestyle="none", markersize=4, markerfacecolor="none", **mark_style(looks[policy]))
        for policy in policies_of(series, looks)
    ]
    return finish(figure, series, looks, handles, "A point is a function.")


def fairness(series: Series, looks: Looks, width_in: float) -> Figure:
    """The distribution of slowdown over functions, and below it Jain's index with its interval."""
    policies = policies_of(series, looks)
    figure = new_figure(2.3 + 0.11 * len(policies), width_in)
    upper, lower = figure.subplots(2, height_ratios=(1.5, 0.11 * len(policies) + 0.05))
    table = series.table
    log_axis(upper, "x", [table["value"].to_numpy(float)])
    upper.set(xlabel=series.x, ylabel=series.y, ylim=(0, 1.02))
    for place, policy in enumerate(policies):
        rows, look = table[table["policy"] == policy], looks[policy]
        x = np.append(rows["value"].iloc[0], rows["value"])
        upper.plot(x, np.append(0.0, rows["share"]), drawstyle="steps-post", **line_style(look))
        low, high, jain = (float(rows[name].iloc[0]) for name in ("jain_low", "jain_high", "jain"))
        lower.plot([low, high], [place, place], color=line_style(look)["color"], linewidth=2)
        lower.plot(jain, place, markersize=4, markerfacecolor="white", **mark_style(look))
    lower.set(xlabel="Jain's index of fairness", yticks=[], xlim=(0, 1.02))
    lower.set_ylim(len(policies) - 0.5, -0.5)
    handles = [Line2D([], [], **(line_style(looks[p]) | mark_style(looks[p])), markersize=4) for p in policies]
    bars = ["Below: mean over seeds, and its 95 % interval."] if (table["seeds"] > 1).any() else []
    return finish(figure, series, looks, handles, *bars)
