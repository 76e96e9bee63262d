"""How every figure looks and is saved: size, fonts, the line of each run, the legend above and small print below."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from analysis.labels import wrap_label
from analysis.palette import COLOURS, look_of
from analysis.series.widths import WIDTH_IN
from sim.errors import OutputError, RunError
from sim.files import output

WIDE_IN = 5.0  # from here on panels stand side by side

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
MARK = "drawn by gpu-faas"
_METADATA: Mapping[str, dict[str, Any]] = {
    ".png": {"Software": MARK},
    ".pdf": {"Creator": MARK, "CreationDate": None},
    ".svg": {"Creator": MARK, "Date": None},
}
_OF_RUNS = {".png": "Runs", ".pdf": "Keywords", ".svg": "Keywords"}

MAX_RUNS = 2 * len(COLOURS)  # each with a pair of its own; more lines than that can't be told apart

_CHARACTERS_PER_IN = 13.5  # that fit at the size of the legend, even as capitals
_SMALL_CHARACTERS_PER_IN = 19.0  # of sentences
_SMALL_PRINT = {"fontsize": 7, "color": "#444444", "linespacing": 1.15}


def line_of(place: int) -> dict[str, Any]:
    """Colour and line style of the run at this place: neighbours differ in both, no two share both."""
    colour, dashes = look_of(place)
    return {"color": colour, "linestyle": (0, dashes) if dashes else "-"}


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure that lays itself out; its width is that of the paper's column unless another is asked for."""
    figure = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, hspace=0.04))
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
    return MARK.encode() in file.read_bytes()


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


def put(make: Callable[[], Figure], *files: Path, runs: Sequence[str] = ()) -> None:
    """Make a figure, whatever a user's matplotlibrc says, and write it to files (places of ``sim.files.output``).

    runs: what it is made of, which the files tell: as keywords of a PDF or SVG, as the text ``Runs`` of a PNG.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = make()
        for file in files:
            suffix = file.suffix.lower()
            drawn = io.BytesIO()  # what a disk refuses would break the drawing in odd ways
            made_of = {_OF_RUNS[suffix]: " ".join(runs)} if runs else {}
            figure.savefig(drawn, format=suffix[1:], metadata=_METADATA[suffix] | made_of)
            with output.create(file) as out:
                out.write(drawn.getbuffer())


def wrap(label: str, width_in: float) -> str:
    """A label in lines that fit into the width."""
    return "\n".join(wrap_label(label, int(_CHARACTERS_PER_IN * width_in)))


def add_legend(figure: Figure, labels: Sequence[str], handles: Sequence[Line2D | Patch] | None = None) -> None:
    """Name the runs above the axes, in as many columns as fit; the figure grows by the legend's height.

    handles: what stands for the labels, if not the lines of runs.
    """
    handles = handles or [Line2D([], [], **line_of(place)) for place in range(len(labels))]
    width_in = figure.get_figwidth()
    for n_columns in (6, 5, 4, 3, 2, 1):
        legend = figure.legend(
            handles,
            [wrap(label, width_in - 0.1) for label in labels],
            loc="outside upper left",
            ncols=math.ceil(len(labels) / math.ceil(len(labels) / n_columns)),  # no wider than its rows need
            frameon=False,
            handlelength=2.4 if isinstance(handles[0], Line2D) else 1.0,
            columnspacing=1.2,
            labelspacing=0.3,
            borderpad=0.1,
            borderaxespad=0.1,
        )
        if n_columns == 1 or _size_in(figure, legend)[0] <= width_in:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + _size_in(figure, legend)[1])


def add_small_print(figure: Figure, sentences: Sequence[str]) -> None:
    """Say below the axes what a reader must know to read the figure, a paragraph each; the figure grows by them."""
    if sentences:
        most = int(_SMALL_CHARACTERS_PER_IN * figure.get_figwidth())
        lines = [line for sentence in sentences for line in wrap_label(sentence, most)]
        text = figure.supxlabel("\n".join(lines), x=0.01, ha="left", **_SMALL_PRINT)
        figure.set_figheight(figure.get_figheight() + _size_in(figure, text)[1])


def _size_in(figure: Figure, artist: Legend | Text) -> tuple[float, float]:
    extent = artist.get_window_extent()
    return extent.width / figure.dpi, extent.height / figure.dpi
