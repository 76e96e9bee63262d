"""What is written around the figures of a comparison: which run is which, and what a reader must know."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.curves import Curves
from analysis.figures.style import add_legend, add_small_print

_MARKS = "†‡§¶"


def marked(curves: Sequence[Curves]) -> tuple[list[str], list[str]]:
    """Labels with a mark for each warning of their run, and the footnotes that say what the marks mean."""
    kinds = list(dict.fromkeys(warning for c in curves for warning in c.warnings))
    marks = {kind: _MARKS[i % len(_MARKS)] * (1 + i // len(_MARKS)) for i, kind in enumerate(kinds)}
    names = [" ".join([c.label, *(marks[warning] for warning in c.warnings)]) for c in curves]
    return names, [f"{mark} {kind}" for kind, mark in marks.items()]


def finish(figure: Figure, curves: Sequence[Curves], *sentences: str) -> None:
    """Name the runs above the axes, and write sentences and footnotes below."""
    names, footnotes = marked(curves)
    add_legend(figure, names)
    add_small_print(figure, [*sentences, *footnotes])


def say_empty(axes: Axes) -> None:
    """In place of lines."""
    axes.text(0.5, 0.5, "No invocation completed", transform=axes.transAxes, ha="center", va="center")
