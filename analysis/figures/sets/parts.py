"""Times in parts: a bar a policy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.figures.axes import plain
from analysis.figures.sets.panels import Looks, close, labels_of, part_style, policies_of
from analysis.figures.style import WIDE_IN, add_legend, new_figure, wrap
from analysis.series.table import Series
from sim.text import short

_BAR_IN, _LINE_IN, _ROOM_IN = 0.2, 0.14, 0.5
_NAMES_IN = 1.1  # of policies, beside the bars


def bars(series: Series, looks: Looks, width_in: float) -> Figure:
    """Bars of parts that follow each other, with their sum at the end; a panel below the other a value."""
    table = series.table
    panels, policies = list(dict.fromkeys(table["panel"])), policies_of(series, looks)
    labels = [wrap(label, _NAMES_IN) for label in labels_of(series, looks)]
    parts = list(dict.fromkeys(table["part"]))
    n_columns = 2 if width_in >= WIDE_IN and len(panels) > 1 else 1
    n_rows = -(-len(panels) // n_columns)
    heights_in = np.array([max(_BAR_IN, _LINE_IN * (label.count("\n") + 1)) for label in labels])
    figure = new_figure(n_rows * (heights_in.sum() + 0.35) + _ROOM_IN, width_in)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    y = np.cumsum(heights_in) - heights_in / 2
    for number, (axes, panel) in enumerate(zip(grid.ravel(), panels, strict=False)):
        axes.set_title(panel, loc="left", fontsize=7, pad=3)
        left = np.zeros(len(policies))
        for part in parts:
            of_part = table[(table["panel"] == panel) & (table["part"] == part)].set_index("policy")["mean_s"]
            widths = of_part.reindex(policies).fillna(0.0).to_numpy()
            axes.barh(y, widths, 0.62 * _BAR_IN, left, **part_style(part))
            left += widths
        for at, end in zip(y, left, strict=True):
            told = short(end) if end else "none"
            axes.annotate(told, (end, at), (2, 0), textcoords="offset points", va="center", fontsize=7)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 1.2 * float(left.max()) or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        if number + n_columns >= len(panels):
            axes.set_xlabel(series.y)
    for axes in grid.ravel()[len(panels) :]:
        axes.remove()
    grid[0, 0].set_yticks(y, labels)
    grid[0, 0].set_ylim(heights_in.sum(), 0)
    add_legend(figure, parts, [Patch(**part_style(part)) for part in parts])
    return close(figure, series)
