"""The figure of ``analyze hit-ratio``, for one column of a paper."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.axes import log_axis
from analysis.figures.style import add_small_print, new_figure, save
from analysis.hit_ratio import HitRatios
from analysis.palette import COLOURS


def hit_ratio_figure(curve: HitRatios) -> Figure:
    """Hits against memory, up to where nothing is evicted any more."""
    figure = new_figure(1.9)
    axes = figure.subplots()
    memory_bytes, _ = curve.points()
    steps_gb = memory_bytes[memory_bytes > 0] / 1e9  # a function without constants needs none
    least_gb = steps_gb[0] / 2 if len(steps_gb) else 0.1
    most_gb = max(1.5 * curve.working_set_bytes / 1e9, 2 * least_gb)
    memory_gb = np.concatenate([[least_gb], steps_gb, [most_gb]])
    log_axis(axes, "x", [memory_gb])
    axes.step(memory_gb, 100 * curve.at((1e9 * memory_gb).round()), where="post", color=COLOURS[0])
    axes.set(xlabel="Memory for constants (GB)", ylabel="Hits (%)", ylim=(0, 102))
    axes.axhline(100 * curve.most, color="#444444", linewidth=0.6, linestyle=(0, (4, 2)))
    first = f"Dashed line: all but first requests, {100 * curve.most:.1f} % of {curve.n:,}."
    add_small_print(figure, [first])
    return figure


def draw(curve: HitRatios, file: Path) -> None:
    """Draw the figure into a file; an older one is replaced. Raises OutputError when it can't be written."""
    save(partial(hit_ratio_figure, curve), file)
