"""A trace of counts per function and minute, and the arrivals that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.streams import Stream
from traces.arrivals.chunks import rechunk
from traces.arrivals.durations import DurationTable
from traces.arrivals.placement import place
from traces.options import ReadOptions
from traces.units import MINUTE_S


@dataclass(frozen=True)
class DayCounts:
    """The minutes of one day in the window, sparse: cells with a count, by minute and then in file order.

    number: the day's number in its file name, part of the seeds. start_s: its midnight in trace time.
    minutes: minute of the day of each column, from 0. indptr: cells of the i-th minute are indptr[i]:indptr[i + 1].
    function: index into the trace's functions; count: > 0. durations: one row a function of the trace.
    """

    number: int
    start_s: float
    minutes: npt.NDArray[np.int64]
    indptr: npt.NDArray[np.int64]
    function: npt.NDArray[np.int32]
    count: npt.NDArray[np.integer[Any]]
    durations: DurationTable

    def per_minute(self) -> npt.NDArray[np.int64]:
        """Invocations of each minute, all functions together."""
        sums = np.concatenate([[0], np.cumsum(self.count, dtype=np.int64)])
        return np.asarray(sums[self.indptr[1:]] - sums[self.indptr[:-1]])


@dataclass(frozen=True)
class MinuteTrace:
    """A trace of minute counts (see ``sim.domain.Trace``); arrivals are drawn when ``chunks`` reaches their minute."""

    source: TraceSource
    functions: Sequence[TraceFunction]
    days: Sequence[DayCounts]
    options: ReadOptions

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return self.source.duration_s

    @property
    def n_arrivals(self) -> int:
        """Exact for a window of whole minutes unless placement is poisson; else the nearest estimate.

        Of a minute that the window cuts, the covered share is counted.
        """
        start_s, end_s = self.source.window_s
        total = 0.0
        for day in self.days:
            edges = day.start_s + day.minutes * MINUTE_S
            share = (np.minimum(edges + MINUTE_S, end_s) - np.maximum(edges, start_s)) / MINUTE_S
            total += float(share @ day.per_minute())
        return round(total)

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order; equal instants are ordered by function. Each call draws the same ones."""
        return rechunk(self._minutes())

    def _minutes(self) -> Iterator[ArrivalChunk]:
        for day in self.days:
            for i in np.flatnonzero(np.diff(day.indptr)):
                yield self._minute(day, int(day.minutes[i]), slice(day.indptr[i], day.indptr[i + 1]))

    def _minute(self, day: DayCounts, minute: int, cells: slice) -> ArrivalChunk:
        """Draw one minute. Draws are made in file order, before sorting, and cut to the window at the end."""
        rng = self.options.rng(Stream.PLACEMENT, day.number, minute)
        cell, offset_s = place(day.count[cells].astype(np.int64), self.options.placement, rng)
        function = day.function[cells][cell]
        duration_s = day.durations.draw_s(function, self.options.rng(Stream.DURATION, day.number, minute))
        start_s, end_s = self.source.window_s
        edge_s = day.start_s + minute * MINUTE_S
        # An offset a hair below 60 s may round up to the next minute.
        at_s = np.minimum(edge_s + offset_s, np.nextafter(edge_s + MINUTE_S, 0.0))
        order = _in_time(at_s, function)
        if edge_s < start_s or edge_s + MINUTE_S > end_s:
            order = order[(at_s[order] >= start_s) & (at_s[order] < end_s)]
        return ArrivalChunk(at_s[order] - start_s, function[order], duration_s[order])


def _in_time(at_s: npt.NDArray[np.float64], function: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The order by instant, then function, then place. Equal instants are rare unless placement makes them."""
    order = np.argsort(at_s)  # a sixth of the time of lexsort
    ordered = at_s[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((function, at_s))
    return order
