"""Simulated against measured."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.axes import duration_axis
from analysis.figures.sets.panels import Looks, close, line_style, policies_of
from analysis.figures.style import WIDE_IN, add_legend, new_figure
from analysis.series.table import Series

_BANDS = ((0.25, "#EEEEEE"), (0.10, "#D5D5D5"))
_MARKERS = {"p50": "o", "p90": "s", "p99": "^"}


def validation(series: Series, looks: Looks, width_in: float) -> Figure:
    """A mark a quantile over its measured value; on the line in the middle the simulation is right."""
    table = series.table
    figure = new_figure(min(width_in, WIDE_IN) * 0.8, width_in)
    axes = figure.subplots()
    ends = table[[f"{name}{end}" for name in ("measured", "simulated") for end in ("", "_low", "_high")]].to_numpy(
        float
    )
    for name, label in (("x", series.x), ("y", series.y)):
        duration_axis(axes, name, [ends.ravel()], label)  # type: ignore[arg-type]
    across = np.array(axes.get_xlim())
    for share, shade in _BANDS:
        axes.fill_between(across, across * (1 - share), across * (1 + share), color=shade, linewidth=0)
    axes.plot(across, across, color="black", linewidth=0.6)
    for (policy, quantile), rows in table.groupby(["policy", "quantile"], sort=False):
        colour = line_style(looks[str(policy)])["color"]
        x, y = rows["measured"].to_numpy(), rows["simulated"].to_numpy()
        axes.hlines(y, rows["measured_low"], rows["measured_high"], color=colour, linewidth=0.8)
        axes.vlines(x, rows["simulated_low"], rows["simulated_high"], color=colour, linewidth=0.8)
        axes.plot(x, y, _MARKERS[str(quantile)], color=colour, markersize=4, markerfacecolor="white")
    policies = policies_of(series, looks)
    handles = [
        *(Line2D([], [], **line_style(looks[policy])) for policy in policies),
        *(
            Line2D([], [], linestyle="none", color="black", marker=m, markerfacecolor="white")
            for m in _MARKERS.values()
        ),
    ]
    add_legend(figure, [*(looks[policy].label for policy in policies), *_MARKERS], handles)
    return close(figure, series, marked=False)
