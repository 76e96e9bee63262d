"""The figures of ``simulate reproduce kaas``, for one column of a paper: lines are simulated, marks measured.

Rows are those of ``sim.studies.kaas.points``: a mapping of cells for each point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.figures.axes import log_axis
from analysis.figures.style import add_legend, add_small_print, line_of, new_figure
from analysis.palette import COLOURS

_Row = Mapping[str, Any]
Key = tuple[str, str, int]  # workload, mode, clients

_MARKS: Mapping[str, Any] = {"linestyle": "none", "markersize": 2.6, "markeredgewidth": 0.6, "markerfacecolor": "white"}
_IN_A_CDF = 3  # numbers of clients of a mode
_PARTS = ("kernel", "init", "copy", "rest")


def throughput(rows: Sequence[_Row]) -> Figure:
    """Completed requests a second over the number of clients: a panel a workload, a line a mode."""
    rows = [row for row in rows if not row.get("offered_per_s")]  # of a latency
    figure = _by_clients(rows, "throughput_qps", "Throughput (requests/s)", shade=None)
    add_small_print(figure, ["Lines: simulated; circles: measured."])
    return figure


def latency(rows: Sequence[_Row]) -> Figure:
    """Median latency over the number of clients, shaded up to the 90th percentile; measured ones are triangles.

    Points at a rate of their own are crosses: large the median, small the 90th percentile.
    """
    figure = _by_clients(rows, "p50_s", "Latency (s)", shade="p90_s")
    notes = ["Lines: simulated median, shaded up to the 90th percentile; circles, triangles: the two, as measured."]
    if any(row.get("offered_per_s") for row in rows):
        notes.append("Crosses: simulated at a rate of their own; large the median, small the 90th percentile.")
    add_small_print(figure, notes)
    return figure


def latency_cdf(quantiles: Mapping[Key, Sequence[float]]) -> Figure:
    """Share of requests that took at most so long: of each mode its fewest, a middle and its largest number of
    clients, from thin to thick.

    quantiles: of a point, at equal steps of share from 0 to 1.
    """
    workloads = list(dict.fromkeys(workload for workload, _, _ in quantiles))
    modes = list(dict.fromkeys(mode for _, mode, _ in quantiles))
    shown = {mode: _spread(sorted({n for _, m, n in quantiles if m == mode})) for mode in modes}
    figure = new_figure(1.5 * len(workloads))
    panels = figure.subplots(len(workloads), squeeze=False).ravel()
    for axes, workload in zip(panels, workloads, strict=True):
        lines = [
            (line_of(place) | {"linewidth": width}, quantiles[workload, mode, n])
            for place, (mode, clients) in enumerate(shown.items())
            for width, n in zip((0.5, 1.0, 1.7), clients, strict=False)
            if (workload, mode, n) in quantiles
        ]
        log_axis(axes, "x", [np.array(values) for _, values in lines])
        for style, values in lines:
            axes.plot(values, np.linspace(0, 1, len(values)), **style)
        axes.set_title(workload, loc="left")
        axes.set(ylabel="Share of requests", ylim=(0, 1.02))
    panels[-1].set_xlabel("Latency (s)")
    add_legend(figure, [f"{mode}, {'|'.join(map(str, clients))} clients" for mode, clients in shown.items()])
    add_small_print(figure, ["The more clients, the thicker the line."])
    return figure


def micro(rows: Sequence[_Row]) -> Figure:
    """Parts of a call, simulated over measured, of the cold start of a process on an axis of its own."""
    figure = new_figure(2.1)
    started = [row for row in rows if row["mode"] == "exclusive" and row["temperature"] == "cold"]
    others = [row for row in rows if row not in started]
    panels = figure.subplots(2, 1, height_ratios=(len(others), len(started)))
    for axes, shown in zip(panels, (others, started), strict=True):
        ticks = []
        for place, row in enumerate(shown):
            for source, y in (("simulated_", place - 0.19), ("", place + 0.19)):
                left_s = 0.0
                for part, colour in zip(_PARTS, COLOURS, strict=False):
                    width_s = row[f"{source}{part}_s"]
                    pale = 1.0 if source else 0.45
                    axes.barh(y, 1e3 * width_s, 0.34, 1e3 * left_s, color=colour, alpha=pale, linewidth=0)
                    left_s += width_s
                ticks.append((y, f"{row['mode']} {row['temperature']}, {'simulated' if source else 'measured'}"))
        axes.set_yticks(*zip(*ticks, strict=True))
        axes.set(ylim=(len(shown) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
    panels[-1].set_xlabel("Time of a call (ms)")
    keys = [Patch(color=colour) for _, colour in zip(_PARTS, COLOURS, strict=False)]
    add_legend(figure, ["kernels", "modules", "copies", "other"], keys)
    add_small_print(figure, ["Pale: measured."])
    return figure


def _by_clients(rows: Sequence[_Row], name: str, label: str, shade: str | None) -> Figure:
    """Panels of a quantity over the number of clients; ``shade`` is another, up to which is shaded."""
    rows = [row for row in rows if row[f"simulated_{name}"]]
    workloads = list(dict.fromkeys(row["workload"] for row in rows))
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    n_columns = 1 if len(workloads) <= 2 else 2
    n_rows = -(-len(workloads) // n_columns)
    figure = new_figure(1.5 * n_rows)
    panels = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes, workload in zip(panels.ravel(), workloads, strict=False):
        here = [row for row in rows if row["workload"] == workload]
        names = [n for n in (name, shade) if n]
        values = [row[key] for row in here for n in names for key in (n, f"simulated_{n}") if row.get(key)]
        log_axis(axes, "y", [np.array(values)])
        for place, mode in enumerate(modes):
            _mode(axes, [row for row in here if row["mode"] == mode], place, name, shade)
        axes.set_title(workload, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    for axes in panels.ravel()[len(workloads) :]:
        axes.remove()
    figure.supylabel(label, fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("Clients")
    add_legend(figure, modes)
    return figure


def _mode(axes: Axes, rows: Sequence[_Row], place: int, name: str, shade: str | None) -> None:
    colour = line_of(place)["color"]
    for row in rows:
        if row.get("offered_per_s"):
            for quantity, size in ((name, 5.0), (shade, 3.0)):
                axes.plot(row["clients"], row[f"simulated_{quantity}"], "x", color=colour, markersize=size)
    rows = sorted((row for row in rows if not row.get("offered_per_s")), key=lambda row: row["clients"])
    clients = [row["clients"] for row in rows]
    simulated = [row[f"simulated_{name}"] for row in rows]
    axes.plot(clients, simulated, **line_of(place))
    if len(clients) == 1:
        axes.plot(clients, simulated, "+", color=colour)
    if shade:
        axes.fill_between(
            clients, simulated, [row[f"simulated_{shade}"] for row in rows], color=colour, alpha=0.15, lw=0
        )
    for quantity, marker in ((name, "o"), (shade, "^")):
        known = [(row["clients"], row[quantity]) for row in rows if quantity and row.get(quantity)]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, marker=marker, **_MARKS)


def _spread(clients: Sequence[int]) -> list[int]:
    """The first, the last and what lies in the middle."""
    places = np.linspace(0, len(clients) - 1, min(_IN_A_CDF, len(clients)))
    return [clients[round(place)] for place in places]
