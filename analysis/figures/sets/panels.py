"""What all figures of data sets share: panels side by side, the looks of policies, legend, notes, ticks that fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import Bbox

from analysis.figures.style import WIDE_IN, add_legend, add_small_print, line_of, new_figure, wrap
from analysis.series.table import UNSTEADY, Series
from analysis.study_report import Look
from sim.records.parts import PARTS
from sim.records.tables import STAGES

Looks = Mapping[str, Look]

MARK = "†"
_MARKERS = "os^DvPX*"
_AROUND = {
    (4, 0): ("left", "center"), (-4, 0): ("right", "center"), (0, 4): ("center", "bottom"), (0, -4): ("center", "top"),
}  # fmt: skip
_HATCHES = ("", "////", "....", "\\\\\\\\", "oo", "----", "xxxx", "||||", "++++")
_SHADES = ("#7F7F7F", "#56B4E9", "#0072B2", "#E69F00", "#D0D0D0", "#D55E00", "#009E73", "#CC79A7", "#FFFFFF")
_PLACES = {part.replace("_", " "): place for parts in (PARTS, STAGES) for place, part in enumerate(parts)}
PANEL_IN = 1.75  # height
_ROW_IN = 1.45
_BESIDE_IN = 0.45  # ticks and what is left of them


def policies_of(series: Series, looks: Looks) -> list[str]:
    """Those that a figure shows, in their order."""
    return sorted(series.table["policy"].unique(), key=lambda policy: looks[policy].order)


def lines_of(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Panel, policy and rows of each line."""
    for (panel, policy), rows in table.groupby(["panel", "policy"], sort=False):
        yield str(panel), str(policy), rows


def line_style(look: Look) -> dict[str, Any]:
    """Colour and dashes of a policy, the same in every figure of a data set; its place decides what it doesn't say."""
    style = line_of(look.order)
    return style | {"color": look.colour or style["color"]}


def mark_style(look: Look) -> dict[str, Any]:
    """Colour and marker of a policy."""
    return {"color": line_style(look)["color"], "marker": _MARKERS[look.order % len(_MARKERS)]}


def part_style(part: str) -> dict[str, Any]:
    """Fill of a part of a bar, the same in every figure: neighbours differ in grey print, or in their hatching."""
    place = _PLACES[part]
    return {
        "facecolor": _SHADES[place % len(_SHADES)],
        "hatch": _HATCHES[place % len(_HATCHES)],
        "edgecolor": "black",
        "linewidth": 0.3,
    }


def panels_of(series: Series, width_in: float, row_in: float = _ROW_IN) -> tuple[Figure, dict[str, Axes]]:
    """An axes for each panel of a table, titled, with shared scales; their names in the order of the table."""
    names = list(dict.fromkeys(series.table["panel"]))
    n_columns = min(len(names), 1 if len(names) == 1 else 4 if width_in >= WIDE_IN else 2)
    n_rows = -(-len(names) // n_columns)
    figure = new_figure(PANEL_IN if n_rows == 1 else row_in * n_rows, width_in)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, hspace=0.04, wspace=0.06))
    places = dict(zip(names, grid.ravel(), strict=False))
    for name, axes in places.items():
        axes.set_title(wrap(name, width_in / n_columns - _BESIDE_IN), loc="left", fontsize=7, pad=3)
    for number, axes in enumerate(grid.ravel()):
        if number >= len(names):
            axes.remove()
        elif number + n_columns >= len(names):
            axes.tick_params(labelbottom=True)
        if n_columns * (n_rows - 1) <= number < len(names):
            axes.set_xlabel(wrap(series.x, width_in / n_columns - _BESIDE_IN))
    if n_rows == 1:
        grid[0, 0].set_ylabel(series.y)
    else:
        figure.supylabel(series.y, fontsize=8)
    return figure, places


def labels_of(series: Series, looks: Looks, marked: bool = True) -> list[str]:
    """What the policies are called. marked: with a mark at those with runs that are not steady."""
    bad = unsteady_policies(series.table) if marked else set()
    return [f"{looks[p].label} {MARK}" if p in bad else looks[p].label for p in policies_of(series, looks)]


def finish(
    figure: Figure, series: Series, looks: Looks, handles: Sequence[Line2D | Patch], *said: str, marked: bool = True
) -> Figure:
    """Name the policies above, see ``labels_of``, write sentences and notes below, and thin out the ticks."""
    add_legend(figure, labels_of(series, looks, marked), handles)
    return close(figure, series, *said, marked=marked)


def close(figure: Figure, series: Series, *said: str, marked: bool = True) -> Figure:
    """Write sentences and notes below, and thin out ticks that touch."""
    notes = [*said, *series.notes]
    if marked and unsteady_policies(series.table):
        notes.append(f"{MARK} {UNSTEADY}.")
    add_small_print(figure, notes)
    figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _thin_out(axes, axis)
    return figure


def unsteady_policies(table: pd.DataFrame) -> set[str]:
    """Policies with runs that are not steady."""
    return set(table.loc[table["unsteady"] > 0, "policy"])


def factor_axis(axes: Axes, values: Sequence[Any], looks: Looks) -> dict[Any, float]:
    """Make x an axis of a factor, with a tick a value; returns where each stands.

    Numbers that grow by factors stand on a logarithmic axis, text at equal distances in the order of the table.
    Policies have no ticks: the legend names them.
    """
    distinct = list(dict.fromkeys(values))
    if not all(isinstance(value, int | float | np.number) for value in distinct):
        places = {value: float(i) for i, value in enumerate(distinct)}
        names = ["" if value in looks else str(value) for value in places]
        axes.set_xticks(list(places.values()), [wrap(name, 0.7) for name in names])
        axes.set_xlim(-0.4, len(distinct) - 0.6)
        return places
    distinct = sorted(distinct)
    if distinct[0] > 0 and distinct[-1] / distinct[0] >= 7:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(distinct, [f"{value:.6g}" for value in distinct])
    return {value: float(value) for value in distinct}


def label_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write texts beside points of a figure that is laid out, where there is room for them; else not."""
    taken: list[Bbox] = []
    inside = axes.get_window_extent()
    marks = [axes.transData.transform((x, y)) for x, y, _ in points]
    for (x, y, text), mark in zip(points, marks, strict=True):
        for (dx, dy), (ha, va) in _AROUND.items():
            label = axes.annotate(text, (x, y), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=7)
            label.set_in_layout(False)
            box = label.get_window_extent()
            hides = any(box.contains(*other) for other in marks if other is not mark)
            if not hides and box.count_overlaps(taken) == 0 and inside.count_contains(box.corners()) == 4:
                taken.append(box)
                break
            label.remove()


def _thin_out(axes: Axes, axis: Axis) -> None:
    """Keep every second, third, ... tick, so that labels don't touch."""
    low, high = sorted(axis.get_view_interval())
    shown = [
        (at, label)
        for at, label in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)
        if low <= at <= high and label.get_text() and label.get_visible()
    ]
    for step in range(1, len(shown)):
        boxes = [label.get_window_extent().padded(1.5) for _, label in shown[::step]]
        if not any(a.overlaps(b) for a, b in itertools.pairwise(boxes)):
            break
    else:
        return
    if step > 1:
        kept = shown[::step]
        texts = {at: label.get_text() for at, label in kept}
        axis.set_major_locator(FixedLocator(list(texts)))
        axis.set_major_formatter(FuncFormatter(lambda at, _place: texts.get(at, "")))
