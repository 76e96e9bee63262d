"""What GPUs spend their time on, as parts of one: whoever sees only the kernels takes the rest for headroom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.curves import Curves
from analysis.figures.axes import time_axis
from analysis.figures.notes import marked
from analysis.figures.style import WIDE_IN, add_legend, add_small_print, new_figure, wrap
from analysis.metrics import Floats
from analysis.series.widths import WIDTH_IN
from sim.records.tables import GPU_PARTS

_SHADES = ("#0072B2", "#E69F00", "#D0D0D0", "#D55E00")  # of GPU_PARTS: neighbours differ in grey print too
_FEW = 6  # runs whose panels are high enough for every number
_PANEL_IN, _LOW_PANEL_IN, _LINE_IN, _AXIS_IN = 0.52, 0.34, 0.15, 0.35
_LEAST_IN = 1.1  # of all panels together: the label beside them
_LEFT_IN = 0.45  # of ticks and what is left of them


def gpu_utilisation(curves: Sequence[Curves], width_in: float = WIDTH_IN) -> Figure:
    """Shares of GPU time in each interval, stacked: a panel a run, with the means at its side."""
    n_columns = 2 if width_in >= WIDE_IN and len(curves) > 1 else 1
    names, footnotes = marked(curves)
    titles = [wrap(name, width_in / n_columns - _LEFT_IN) for name in names]
    low = len(curves) > _FEW
    rows = [titles[i : i + n_columns] for i in range(0, len(titles), n_columns)]
    panel_in = _LOW_PANEL_IN if low else max(_PANEL_IN, _LEAST_IN / len(rows))
    heights_in = [panel_in + _LINE_IN * max(title.count("\n") + 1 for title in row) for row in rows]
    figure = new_figure(sum(heights_in) + _AXIS_IN, width_in)
    panels = figure.subplots(
        len(heights_in), n_columns, sharex=True, sharey=True, squeeze=False, height_ratios=heights_in
    ).ravel()
    longest = max((c.gpu_edges_s for c in curves), key=lambda edges: float(edges[-1]))
    for place, (axes, c, title) in enumerate(zip(panels, curves, titles, strict=False)):
        axes.set_title(title, loc="left", fontsize=7, pad=3)
        unit_s = time_axis(axes, longest[-1], *(c.gpu_edges_s[1] - c.gpu_edges_s[0] for c in curves))
        _stack(axes, c.gpu_edges_s / unit_s, 100 * c.gpu_frac)
        _say_means(axes, _means(c), low)
        lowest = place + n_columns >= len(curves)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel(axes.get_xlabel() if lowest else "")
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    panels[0].set(ylim=(0, 100), yticks=(0, 100) if low else (0, 50, 100))
    figure.supylabel("GPU time (%)", fontsize=8)
    add_legend(figure, [*GPU_PARTS, "idle"], _keys())
    add_small_print(figure, ["Numbers: means of what is drawn, in %.", *footnotes])
    return figure


def _means(curves: Curves) -> dict[str, float]:
    """Mean share of each part, and of idle time."""
    widths_s = np.diff(curves.gpu_edges_s)
    shares = (curves.gpu_frac * widths_s).sum(axis=1) / widths_s.sum()
    return {**dict(zip(GPU_PARTS, shares.tolist(), strict=True)), "idle": max(0.0, 1 - float(shares.sum()))}


def _stack(axes: Axes, edges: Floats, percent: Floats) -> None:
    """The parts of one run, each on top of those before."""
    below = np.zeros(percent.shape[1])
    for shade, part in zip(_SHADES, percent, strict=True):
        axes.stairs(below + part, edges, baseline=below, fill=True, color=shade, linewidth=0)
        below = below + part
    axes.stairs(below, edges, baseline=None, color="black", linewidth=0.5)


def _say_means(axes: Axes, means: dict[str, float], low: bool) -> None:
    """The numbers at the right of a panel; in a low one those that a reader needs most."""
    shown = {"occupied": 1 - means["idle"], "kernels": means["kernels"]} if low else means
    lines = [f"{name} {100 * share:.0f}" for name, share in shown.items()]
    axes.text(
        1.02, 0.5, "\n".join(lines), transform=axes.transAxes, va="center", fontsize=7, linespacing=1.05, clip_on=False
    )


def _keys() -> list[Patch]:
    return [
        *(Patch(facecolor=shade, linewidth=0) for shade in _SHADES),
        Patch(facecolor="white", edgecolor="#7F7F7F", linewidth=0.5),
    ]
