"""How every figure looks and is saved: size, fonts, the line of each run, readable ticks, the legend above the axes."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.metrics import Floats
from analysis.runs import wrap_label
from sim import output
from sim.errors import OutputError, RunError

WIDTH_IN = 3.3  # one column of the ACM and USENIX templates

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "pdf.fonttype": 42,  # embedded TrueType, which publishers ask for
    "text.parse_math": False,  # a label is a name, dollar signs and all
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "savefig.dpi": 300,
    "svg.hashsalt": "gpu-faas",  # ids that don't differ from time to time
}

# Without dates and versions: the same figure has the same bytes. The mark tells that a figure is ours to replace.
_MARK = "drawn by gpu-faas"
_METADATA: Mapping[str, dict[str, Any]] = {
    ".png": {"Software": _MARK},
    ".pdf": {"Creator": _MARK, "CreationDate": None},
    ".svg": {"Creator": _MARK, "Date": None},
}

# Okabe and Ito, "Color Universal Design" (2008); a grey in place of the yellow, too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)))
MAX_RUNS = 2 * len(COLOURS)  # each with a pair of its own; more lines than that can't be told apart

_LABEL_CHARACTERS = 44  # that fit into the width at the size of the legend, even as capitals

_TIME_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def line_of(place: int) -> dict[str, Any]:
    """Colour and line style of the run at this place: neighbours differ in both, no two share both."""
    turn, colour = divmod(place, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": _DASHES[(colour + turn) % len(_DASHES)]}


def new_figure(height_in: float) -> Figure:
    """An empty figure of the paper's width that lays itself out."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, hspace=0.04))
    FigureCanvasAgg(figure)
    return figure


def check_file(file: Path) -> None:
    """Raise an error, before the work for a figure, when it can't be written to a file of this name."""
    if file.suffix.lower() not in _METADATA:
        raise RunError(f"{file}: the name of a figure must end in {', '.join(_METADATA)}")
    if not file.parent.is_dir():
        raise OutputError(f"{file}: there is no directory {file.parent}")
    output.check_file(file, is_figure)


def is_figure(file: Path) -> bool:
    """Whether a file is a figure of ours."""
    return _MARK.encode() in file.read_bytes()


def old_figures(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of the names that are in a folder, to be replaced. Raises OutputError when one is no figure of ours."""
    there = [name for name in names if os.path.lexists(folder / name)]
    for name in there:
        output.check_file(folder / name, is_figure)
    return there


def save(make: Callable[[], Figure], file: Path) -> None:
    """Make a figure and write it to a file; an older figure of ours is replaced.

    The suffix is the format, see ``check_file``. Raises OutputError when it can't be written.
    """
    with output.new_file(file, is_figure) as part:
        put(make, part)


def put(make: Callable[[], Figure], *files: Path) -> None:
    """Make a figure, whatever a user's matplotlibrc says, and write it to each file, in places of ``sim.output``."""
    with matplotlib.style.context(["default", STYLE]):
        figure = make()
        for file in files:
            suffix = file.suffix.lower()
            drawn = io.BytesIO()  # what a disk refuses would break the drawing in odd ways
            figure.savefig(drawn, format=suffix[1:], metadata=_METADATA[suffix])
            with output.create(file) as out:
                out.write(drawn.getbuffer())


def wrap(label: str) -> str:
    """A label in lines that fit into the width."""
    return "\n".join(wrap_label(label, _LABEL_CHARACTERS))


def add_legend(figure: Figure, labels: Sequence[str]) -> None:
    """Name the runs above the axes, in as many columns as fit; the figure grows by the legend's height."""
    handles = [Line2D([], [], **line_of(place)) for place in range(len(labels))]
    for n_columns in (4, 3, 2, 1):
        legend = figure.legend(
            handles,
            [wrap(label) for label in labels],
            loc="outside upper left",
            ncols=math.ceil(len(labels) / math.ceil(len(labels) / n_columns)),  # no wider than its rows need
            frameon=False,
            handlelength=2.4,
            columnspacing=1.2,
            labelspacing=0.3,
            borderpad=0.1,
            borderaxespad=0.1,
        )
        if n_columns == 1 or _size_in(figure, legend)[0] <= WIDTH_IN:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + _size_in(figure, legend)[1])


def time_unit(duration_s: float) -> tuple[float, str]:
    """Seconds of the unit, and its name, in which an axis of this duration is read most easily."""
    return next((unit for unit in _TIME_UNITS if duration_s >= 3 * unit[0]), _TIME_UNITS[-1])


def time_axis(axes: Axes, duration_s: float, width_s: float) -> float:
    """Make x the time from the start of the run, and return the seconds of its unit."""
    unit_s, unit = time_unit(duration_s)
    width_unit_s, width_unit = next((u for u in _TIME_UNITS[1:] if width_s >= u[0]), _TIME_UNITS[-1])
    axes.set_xlabel(f"Time ({unit}), in intervals of {width_s / width_unit_s:g} {width_unit}")
    axes.set_xlim(0, duration_s / unit_s)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    return unit_s


def log_axis(axes: Axes, name: Literal["x", "y"], arrays: Sequence[Floats]) -> None:
    """Make x or y logarithmic over the positive values of ``arrays``, with plain ticks for any span."""
    values = np.concatenate(arrays)
    values = values[values > 0]
    low, high = (values.min(), values.max()) if len(values) else (0.1, 10.0)
    decades = np.log10(high / low)
    margin = max(10 ** (0.04 * decades), 1.04)
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low / margin, high * margin)})
    axis = axes.xaxis if name == "x" else axes.yaxis
    if decades > 2.2:
        axis.set_major_locator(LogLocator(numticks=7))
    elif decades > 0.7:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=7) if decades > 2.2 else NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(plain))


def count_axis(axes: Axes, arrays: Sequence[Floats]) -> None:
    """Make y a count from 0; above 10 with decades beyond 1, for a backlog would flatten every other line."""
    high = max(float(array.max()) for array in arrays)
    if high > 10:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_yticks([0, *10.0 ** np.arange(np.ceil(np.log10(high)) + 1)])
        axes.set_ylim(0, 1.3 * high)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axes.set_ylim(0, 1.08 * high if high > 0.01 else 1)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(plain))


def plain(value: float, _place: int | None = None) -> str:
    """A tick as a reader writes it: 0.05, 20, 5k, 3M; never with an offset."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.10g}{suffix}"
    return f"{value:.10g}"


def _size_in(figure: Figure, legend: Legend) -> tuple[float, float]:
    extent = legend.get_window_extent()
    return extent.width / figure.dpi, extent.height / figure.dpi
