"""GPUs and their memory over time, as maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.axes import time_axis
from analysis.figures.sets.panels import Looks, close, labels_of, policies_of
from analysis.figures.style import WIDE_IN, new_figure, wrap
from analysis.series.table import Series

_ROW_IN, _LEAST_IN, _MOST_IN = 0.09, 0.55, 1.6
_SHADES = "cividis"  # evenly brighter, for every eye and in grey


def heat(series: Series, looks: Looks, width_in: float) -> Figure:
    """A panel a policy, a row a GPU; the brighter, the busier."""
    shares = series.table.assign(row=series.table["gpu"], value=100 * series.table["share"])
    return _maps(replace(series, table=shares), looks, width_in, "GPU", 100.0)


def residency(series: Series, looks: Looks, width_in: float) -> Figure:
    """A panel a policy, a row a function in the order of the table; the brighter, the more of it is in memory."""
    ranks = {key: rank for rank, key in enumerate(dict.fromkeys(series.table["function"]))}
    sizes = series.table["mean_bytes"] / 1e9
    table = series.table.assign(row=series.table["function"].map(ranks), value=sizes)
    return _maps(
        replace(series, table=table), looks, width_in, "Function, by size over time", float(sizes.max()) or 1.0
    )


def _maps(series: Series, looks: Looks, width_in: float, y: str, most: float) -> Figure:
    """A panel a policy of ``value`` by ``row`` and interval, from 0 to ``most``."""
    table, policies = series.table, policies_of(series, looks)
    n_columns = 2 if width_in >= WIDE_IN and len(policies) > 1 else 1
    n_rows = -(-len(policies) // n_columns)
    n = int(table["row"].max()) + 1
    row_in = float(np.clip(_ROW_IN * n, _LEAST_IN, _MOST_IN)) + 0.2
    figure = new_figure(n_rows * row_in + 0.75, width_in)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    end_s = float(table["end_at_s"].max())
    labels = labels_of(series, looks)
    for number, (axes, policy, label) in enumerate(zip(grid.ravel(), policies, labels, strict=False)):
        rows = table[table["policy"] == policy]
        cells = rows.pivot(index="row", columns="start_at_s", values="value")
        edges_s = np.append(cells.columns.to_numpy(), rows["end_at_s"].max())
        unit_s = time_axis(axes, end_s, edges_s[1] - edges_s[0])
        image = axes.pcolormesh(
            edges_s / unit_s, np.arange(len(cells) + 1) - 0.5, cells.to_numpy(),
            cmap=_SHADES, vmin=0, vmax=most, rasterized=True,
        )  # fmt: skip
        axes.set_title(wrap(label, width_in / n_columns - 0.5), loc="left", fontsize=7, pad=3)
        axes.grid(visible=False)
        lowest = number + n_columns >= len(policies)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel(axes.get_xlabel() if lowest else "")
    for axes in grid.ravel()[len(policies) :]:
        axes.remove()
    grid[0, 0].yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    grid[0, 0].set_ylim(n - 0.5, -0.5)
    figure.supylabel(y, fontsize=8)
    bar = figure.colorbar(image, ax=figure.axes, location="top", aspect=14, shrink=0.6, pad=0.02)
    bar.set_label(series.y, fontsize=7)
    bar.outline.set_linewidth(0.4)
    return close(figure, series)
