"""What a timeline leaves out of a run that is too large to be looked at event by event."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.metrics import Floats
from analysis.timeline.lanes import Ints

NEIGHBOURS = 1000  # of so many in order, the greatest are kept: outliers are, wherever they are
Bools = npt.NDArray[np.bool_]


def greatest(values: Floats, most: int) -> Bools:
    """Which of the values, in their order, are kept: all, or of each ``NEIGHBOURS`` as many of the greatest as leave
    about ``most`` in all, at least one. Of equal ones the first."""
    n = len(values)
    if n <= most:
        return np.ones(n, bool)
    part = np.arange(n) // NEIGHBOURS
    order = np.lexsort((-values, part))
    quota = max(1, NEIGHBOURS * most // n)
    kept = np.zeros(n, bool)
    kept[order[np.arange(n) % NEIGHBOURS < quota]] = True
    return kept


def merged(track: Ints, begin_ns: Ints, end_ns: Ints, apart: Bools, gap_ns: int) -> tuple[Ints, Ints, Ints, Ints]:
    """What is left out, as few intervals: (track, begin, end, n) with the number of intervals in each.

    On each track, those that follow each other with gaps of at most ``gap_ns`` become one. apart: intervals that are
    shown by themselves and part those before from those behind them; they are not among what is returned.
    """
    order = np.lexsort((begin_ns, track))
    owner, begin, end, alone = track[order], begin_ns[order], end_ns[order], apart[order]
    new = np.ones(len(order), bool)
    new[1:] = (owner[1:] != owner[:-1]) | alone[1:] | alone[:-1] | (begin[1:] - end[:-1] > gap_ns)
    first = np.flatnonzero(new)
    if not len(first):
        return track[:0], begin_ns[:0], end_ns[:0], track[:0]
    last = np.append(first[1:], len(order)) - 1
    rest = ~alone[first]
    return owner[first][rest], begin[first][rest], end[last][rest], (last - first + 1)[rest]


def steps(at_ns: Ints, change: Ints, span_ns: tuple[int, int], most: int) -> tuple[Ints, Ints]:
    """A counter that starts at 0 and changes so: (instants, values) within a span, one at its beginning.

    With more than ``most`` changes, the greatest value in each of ``most`` equal parts of the span, at its beginning:
    no peak is lost.
    """
    order = np.argsort(at_ns, kind="stable")
    at, level = at_ns[order], np.cumsum(change[order])
    last = np.append(at[1:] != at[:-1], True)[: len(at)]  # of what changes at once, only the outcome is seen
    at, level = at[last], level[last]
    first_ns, end_ns = span_ns
    before = np.searchsorted(at, first_ns, "right")
    inside = slice(before, np.searchsorted(at, end_ns, "right"))
    start = level[before - 1] if before else 0
    at, level = np.insert(at[inside], 0, first_ns), np.insert(level[inside], 0, start)
    if len(at) <= most:
        changed = np.append(True, level[1:] != level[:-1])
        return at[changed], level[changed]
    edges = np.linspace(first_ns, end_ns, most + 1).astype(np.int64)[:-1]
    begins = np.searchsorted(at, edges, "left")
    held = level[np.searchsorted(at, edges, "right") - 1]
    peaks = np.maximum.reduceat(level, np.minimum(begins, len(at) - 1))
    nothing = np.append(begins[1:], len(at)) == begins
    return edges, np.where(nothing, held, np.maximum(held, peaks))
