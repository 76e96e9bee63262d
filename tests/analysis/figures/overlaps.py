"""Whether texts of a figure lie on each other."""

from __future__ import annotations

import itertools

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

_SLACK = 0.5  # pixels by which boxes may touch: they are those of the whole font


def overlapping_texts(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that overlap: labels, ticks in view, legends, titles, numbers and small print."""
    figure.draw_without_rendering()
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _all_labels(axis)}
    seen = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _shown_labels(axis)}
    texts = [
        t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and (t not in ticks or t in seen)
    ]
    boxes = [(text.get_text(), text.get_window_extent().padded(-_SLACK)) for text in texts]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]


def _all_labels(axis: Axis) -> list[Text]:
    return [
        label for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) for label in (tick.label1, tick.label2)
    ]


def _shown_labels(axis: Axis) -> list[Text]:
    if not axis.get_visible() or not axis.axes.axison:
        return []
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
    return [
        label
        for tick in ticks
        if low - slack <= tick.get_loc() <= high + slack
        for label in (tick.label1, tick.label2)
        if label.get_visible()
    ]
