"""What is paid for what."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.figures.axes import log_axis, plain
from analysis.figures.sets.panels import Looks, finish, label_points, mark_style, policies_of
from analysis.figures.style import WIDE_IN, new_figure
from analysis.metrics import Floats
from analysis.series.table import Series

_GREY = "#B0B0B0"
_SIZE = 4.5
_LOG_FROM = 30.0


def pareto(series: Series, looks: Looks, width_in: float) -> Figure:
    """Metric over cost, and metric over fairness: what is dominated in all three is grey, what isn't steady hollow."""
    wide = width_in >= WIDE_IN
    figure = new_figure(2.0 if wide else 3.5, width_in)
    panels = figure.subplots(*((1, 2) if wide else (2, 1)), sharey=wide)
    table = series.table
    for axes, name, label in zip(panels, ("cost", "fairness"), (series.x, series.z), strict=True):
        _axis(axes, "x", table[name].to_numpy(float), label)
        _axis(axes, "y", table["metric"].to_numpy(float), series.y)
        for dominated in (True, False):
            for policy in policies_of(series, looks):
                rows = table[(table["policy"] == policy) & (table["dominated"] == dominated)]
                for hollow, part in rows.groupby(rows["unsteady"] > 0):
                    style = mark_style(looks[policy]) | ({"color": _GREY} if dominated else {})
                    fill = {"markerfacecolor": "white"} if hollow else {}
                    axes.plot(part[name], part["metric"], linestyle="none", markersize=_SIZE, **style, **fill)
    if wide:
        panels[1].set_ylabel("")
    handles = [
        Line2D([], [], linestyle="none", markersize=_SIZE, **mark_style(looks[policy]))
        for policy in policies_of(series, looks)
    ]
    finish(figure, series, looks, handles, marked=False)
    best = table[~table["dominated"]]
    texts = [", ".join(str(row[name]) for name in _factors(table)) for _, row in best.iterrows()]
    for axes, name in zip(panels, ("cost", "fairness"), strict=True):
        label_points(axes, list(zip(best[name], best["metric"], texts, strict=True)))
    return figure


def _factors(table: pd.DataFrame) -> list[str]:
    """Columns between the policy and the metric."""
    columns = list(table.columns)
    return columns[1 : columns.index("metric")]


def _axis(axes: Axes, name: str, values: Floats, label: str) -> None:
    axis = axes.xaxis if name == "x" else axes.yaxis
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() / values.min() >= _LOG_FROM:
        log_axis(axes, "x" if name == "x" else "y", [values])
    else:
        axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(plain))
    axis.set_label_text(label)
