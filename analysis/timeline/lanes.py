"""What overlaps needs lanes side by side: no two slices of one lane are there at once."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def lanes(group: Ints, begin_ns: Ints, end_ns: Ints, slack_ns: int = 0) -> Ints:
    """The lane of each interval, from 0 in each group: the lowest that is free when it begins.

    One that begins up to ``slack_ns`` before another has ended still follows it. Of those that begin at once the
    shorter come first, then those that are given first.
    """
    order = np.lexsort((end_ns, begin_ns, group))
    lane = np.zeros(len(group), np.int64)
    owner, begin, end = group[order], begin_ns[order], end_ns[order]
    same = owner[1:] == owner[:-1]
    clashes = same & (begin[1:] + slack_ns < end[:-1])
    crowded = np.isin(owner, owner[1:][clashes])  # nobody else needs a second lane
    at = order[crowded]
    busy: list[tuple[int, int]] = []
    free: list[int] = []
    n, last = 0, None
    for place, whose, from_ns, to_ns in zip(
        at.tolist(), group[at].tolist(), begin_ns[at].tolist(), end_ns[at].tolist(), strict=True
    ):
        if whose != last:
            busy, free, n, last = [], [], 0, whose
        while busy and busy[0][0] <= from_ns + slack_ns:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            mine = heapq.heappop(free)
        else:
            mine, n = n, n + 1
        lane[place] = mine
        heapq.heappush(busy, (to_ns, mine))
    return lane


def in_turn(track: Ints, begin_ns: Ints, end_ns: Ints) -> tuple[Ints, Ints]:
    """The intervals, cut so that on each track one begins when those before it have ended: instants are rounded."""
    order = np.lexsort((end_ns, begin_ns, track))
    owner, begin, end = track[order], begin_ns[order], np.maximum(end_ns, begin_ns)[order]
    for its in np.split(np.arange(len(owner)), np.flatnonzero(owner[1:] != owner[:-1]) + 1):
        end[its] = np.maximum.accumulate(end[its])
        begin[its[1:]] = np.maximum(begin[its[1:]], end[its[:-1]])
    cut_begin, cut_end = np.empty_like(begin), np.empty_like(end)
    cut_begin[order], cut_end[order] = begin, end
    return cut_begin, cut_end
