"""Axes with ticks that a reader can say aloud: time of a run, durations, counts, any logarithmic quantity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.metrics import Floats

_TIME_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_LONG_S = 1000.0  # from here on a number of seconds says little
_ENDLESS_S = 1e9  # and from here on a number of days
# Durations that may be ticks, the most welcome first: (seconds, what they are called).
_TICK_UNITS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))
_TICKS = [
    (size_s * factor, f"{factor:g} {name}")
    for factors in ((1,), (10, 100), (2, 5, 20, 30, 50, 200, 500, 1000, 2000, 5000, 10_000, 20_000))
    for (size_s, name), (next_s, _) in zip(_TICK_UNITS, (*_TICK_UNITS[1:], (math.inf, "")), strict=True)
    for factor in factors
    if size_s * factor < min(0.7 * next_s, 2e9)
]


def time_unit(duration_s: float) -> tuple[float, str]:
    """Seconds of the unit, and its name, in which an axis of this duration is read most easily."""
    return next((unit for unit in _TIME_UNITS if duration_s >= 3 * unit[0]), _TIME_UNITS[-1])


def time_axis(axes: Axes, duration_s: float, *widths_s: float) -> float:
    """Make x the time from the start of the run, and return the seconds of its unit.

    widths_s: of the intervals of each line; told where they are equal.
    """
    unit_s, unit = time_unit(duration_s)
    told = ""
    if len(set(widths_s)) == 1:
        size_s, name = next((u for u in _TIME_UNITS[1:] if widths_s[0] >= u[0]), _TIME_UNITS[-1])
        told = f", in intervals of {widths_s[0] / size_s:g} {name}"
    axes.set_xlabel(f"Time ({unit}){told}")
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


def duration_axis(axes: Axes, name: Literal["x", "y"], arrays: Sequence[Floats], label: str) -> None:
    """Make x or y a logarithmic axis of durations, and label it.

    It is in seconds, with plain ticks; when some are long, ticks are named: 1 s, 10 min, 1 h.
    """
    log_axis(axes, name, arrays)
    low_s, high_s = axes.get_xlim() if name == "x" else axes.get_ylim()
    if not _LONG_S < high_s < _ENDLESS_S:
        axes.set(**{f"{name}label": f"{label} (s)"})
        return
    ticks = named_durations(low_s, high_s)
    axes.set(**{f"{name}label": label, f"{name}lim": (min(low_s, *ticks), max(high_s, *ticks))})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _place: ticks.get(value, "")))


def named_durations(low_s: float, high_s: float, n_most: int = 6) -> dict[float, str]:
    """Ticks for a logarithmic axis: durations -> names, in order and about evenly spread.

    There are at least two; when fewer lie between, those next to both ends are.
    """
    inside = [(at_s, name) for at_s, name in _TICKS if low_s <= at_s <= high_s]
    if len(inside) < 2:
        below = max(tick for tick in _TICKS if tick[0] <= low_s)
        above = min(tick for tick in _TICKS if tick[0] >= high_s)
        return dict((below, above))
    gap = math.log10(high_s / low_s) / n_most
    chosen: dict[float, str] = {}
    for at_s, name in inside:
        if all(abs(math.log10(at_s / other_s)) >= gap for other_s in chosen):
            chosen[at_s] = name
    return dict(sorted(chosen.items()))


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
