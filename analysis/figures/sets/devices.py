"""GPUs over time, as a map."""

from __future__ import annotations

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
    table, policies = series.table, policies_of(series, looks)
    n_columns = 2 if width_in >= WIDE_IN and len(policies) > 1 else 1
    n_rows = -(-len(policies) // n_columns)
    n_gpus = int(table["gpu"].max()) + 1
    row_in = float(np.clip(_ROW_IN * n_gpus, _LEAST_IN, _MOST_IN)) + 0.2
    figure = new_figure(n_rows * row_in + 0.75, width_in)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    end_s = float(table["end_at_s"].max())
    labels = labels_of(series, looks)
    for number, (axes, policy, label) in enumerate(zip(grid.ravel(), policies, labels, strict=False)):
        rows = table[table["policy"] == policy]
        shares = rows.pivot(index="gpu", columns="start_at_s", values="share")
        edges_s = np.append(shares.columns.to_numpy(), rows["end_at_s"].max())
        unit_s = time_axis(axes, end_s, edges_s[1] - edges_s[0])
        image = axes.pcolormesh(
            edges_s / unit_s, np.arange(len(shares) + 1) - 0.5, 100 * shares.to_numpy(),
            cmap=_SHADES, vmin=0, vmax=100, rasterized=True,
        )  # fmt: skip
        axes.set_title(wrap(label, width_in / n_columns - 0.5), loc="left", fontsize=7, pad=3)
        axes.grid(visible=False)
        lowest = number + n_columns >= len(policies)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel(axes.get_xlabel() if lowest else "")
    for axes in grid.ravel()[len(policies) :]:
        axes.remove()
    grid[0, 0].yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    grid[0, 0].set_ylim(n_gpus - 0.5, -0.5)
    figure.supylabel("GPU", fontsize=8)
    bar = figure.colorbar(image, ax=figure.axes, location="top", aspect=14, shrink=0.6, pad=0.02)
    bar.set_label(series.y, fontsize=7)
    bar.outline.set_linewidth(0.4)
    return close(figure, series)
