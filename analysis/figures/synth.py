"""The figure of ``traces synth``: published curves and those of a trace, for one column of a two-column paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from analysis.figures.axes import log_axis
from analysis.figures.style import add_legend, add_small_print, line_of, new_figure, save
from analysis.metrics import Floats

_NAMES = ("published", "synthetic")
_FEW = 20  # points; between them nothing is known


class Curve(Protocol):
    """A published curve and the same of a trace, both as (x, y); y is a share."""

    @property
    def title(self) -> str:
        """What is compared."""
        ...

    @property
    def x_label(self) -> str:
        """Name and unit of x."""
        ...

    @property
    def published(self) -> tuple[Floats, Floats]:
        """Points (x, y) of the published curve."""
        ...

    @property
    def measured(self) -> tuple[Floats, Floats]:
        """Points (x, y) of the trace."""
        ...


def comparison_figure(curves: Sequence[Curve]) -> Figure:
    """A panel a curve, two in a row; a few points stand alone."""
    n_rows = -(-len(curves) // 2)
    figure = new_figure(1.4 * n_rows)
    panels = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for axes, curve in zip(panels, curves, strict=False):
        lines = [curve.published, curve.measured]
        log_axis(axes, "x", [x for x, _ in lines])
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        for place, (x, share) in enumerate(lines):
            if len(x) < _FEW:
                axes.plot(x, share, "o", color=line_of(place)["color"], markersize=3)
            else:
                axes.plot(x, share, **line_of(place))
        axes.set_title(curve.title, loc="left")
        axes.set(xlabel=curve.x_label, ylabel="Share", ylim=(0, 1.02))
    for axes in panels[len(curves) :]:
        axes.remove()
    add_legend(figure, _NAMES)
    add_small_print(figure, ["Dots: few points are published, and between them nothing is known."])
    return figure


def draw(curves: Sequence[Curve], file: Path) -> None:
    """Draw the figure into a file, which is replaced. Raises RunError when it can't be written."""
    save(partial(comparison_figure, curves), file)
