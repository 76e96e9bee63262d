"""A trace with an instant for every invocation: rows in order of time, cut to a window, thinned or multiplied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.errors import TraceError
from sim.streams import Stream
from traces.arrivals.chunks import rechunk
from traces.arrivals.functions import Functions
from traces.options import ReadOptions
from traces.units import MINUTE_S, Floats
from traces.window import format_window

_SHIFT_S = MINUTE_S  # copies of an invocation, for a rate above the trace's own, stay within a minute of it
_BLOCK_ROWS = 1 << 20
_MINUTE_MAX = 1 << 22  # copies in a minute: two minutes of them are in memory at once, and are sorted block by block
_MOST_COPIES = 1 << 28  # opening the trace draws them all once: some minutes


@dataclass(frozen=True)
class Rows:
    """Invocations as columns. at_s: trace time; function: its number in ``Functions``; duration_s: > 0."""

    at_s: Floats
    function: npt.NDArray[np.int32]
    duration_s: Floats

    def take(self, which: slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        return Rows(self.at_s[which], self.function[which], self.duration_s[which])

    @staticmethod
    def concatenate(parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, one after the other."""
        return Rows(
            np.concatenate([p.at_s for p in parts]),
            np.concatenate([p.function for p in parts]),
            np.concatenate([p.duration_s for p in parts]),
        )


Blocks: TypeAlias = Callable[[], Iterator[Rows]]
"""All rows of a trace in blocks, in order of time within them and from one to the next; the same at every call."""


@dataclass(frozen=True)
class EventTrace:
    """A trace with an instant for every invocation (see ``sim.domain.Trace``); rows are read anew by every ``chunks``.

    number: index into functions, by the number of a function in the blocks; -1 for those that are left out.
    """

    source: TraceSource
    functions: Sequence[TraceFunction]
    n_arrivals: int
    blocks: Blocks
    number: npt.NDArray[np.int32]
    options: ReadOptions

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return self.source.duration_s

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order. Of equal instants the order is that of the rows."""
        start_s, _ = self.source.window_s
        return rechunk(
            ArrivalChunk(rows.at_s - start_s, self.number[rows.function], rows.duration_s)
            for rows in _scaled(self.blocks, self.source.window_s, self.options)
        )


def sorted_blocks(rows: Rows) -> Blocks:
    """Blocks of rows that are in memory, in any order; equal instants are ordered by function."""
    ordered = rows.take(np.lexsort((rows.function, rows.at_s)))
    edges = range(0, len(rows.at_s), _BLOCK_ROWS)
    return lambda: (ordered.take(slice(start, start + _BLOCK_ROWS)) for start in edges)


def whole_minutes(at_s: Floats) -> tuple[float, float]:
    """What a trace covers that doesn't say: the minutes from that of its first instant to that of its last."""
    first, last = np.floor(at_s.min() / MINUTE_S), np.floor(at_s.max() / MINUTE_S)
    return float(first * MINUTE_S), float((last + 1) * MINUTE_S)


def event_trace(
    source: TraceSource, blocks: Blocks, functions: Functions, options: ReadOptions, named: str
) -> EventTrace:
    """Build the trace of the source's window, by one pass over its rows, and one over its arrivals at another rate.

    Functions without a row in the window are left out, but for those whose copies may reach it: which there are doesn't
    hang on the seed. Raises TraceError when there are no arrivals, and for a ``rate_scale`` that makes too many.
    """
    _check_copies(blocks, options.rate_scale, named)
    (start_s, end_s), reach_s = source.window_s, _reach_s(options.rate_scale)
    within, near = _Sums(len(functions)), _Sums(len(functions))
    for rows in _scaled(blocks, (start_s - reach_s, end_s + reach_s), replace(options, rate_scale=1.0)):
        within.add(_cut(rows, source.window_s))
        near.add(rows)
    n_arrivals = int(within.n.sum())
    if options.rate_scale != 1:
        n_arrivals = sum(len(rows.at_s) for rows in _scaled(blocks, source.window_s, options))
    if not n_arrivals:
        raise TraceError(f"{named}: no invocation in the window {format_window(source.window_s)}")
    kept = np.flatnonzero(near.n)
    number = np.full(len(functions), -1, np.int32)
    number[kept] = np.arange(len(kept))
    mean_s = np.where(within.n > 0, within.mean_s, near.mean_s)
    described = functions.describe(kept, mean_s[kept], within.n[kept])
    return EventTrace(source, described, n_arrivals, blocks, number, options)


class _Sums:
    """Rows by function. n: how many."""

    def __init__(self, n_functions: int) -> None:
        self.n = np.zeros(n_functions, np.int64)
        self._duration_s = np.zeros(n_functions)

    def add(self, rows: Rows) -> None:
        """Count rows."""
        self.n += np.bincount(rows.function, minlength=len(self.n))
        self._duration_s += np.bincount(rows.function, rows.duration_s, len(self.n))

    @property
    def mean_s(self) -> Floats:
        """Their mean duration; 0 where there are none."""
        mean_s: Floats = self._duration_s / np.maximum(self.n, 1)
        return mean_s


def _reach_s(rate_scale: float) -> float:
    """How far from a window the rows may be whose copies lie in it."""
    return _SHIFT_S if rate_scale > 1 else 0.0


def _check_copies(blocks: Blocks, rate_scale: float, named: str) -> None:
    if rate_scale <= 1:
        return
    n_rows = n_minute = 0
    minute = -1.0  # the last one so far, which the next block may go on with
    for rows in blocks():
        minutes, counts = np.unique(np.floor(rows.at_s / MINUTE_S), return_counts=True)
        counts[0] += n_minute if minutes[0] == minute else 0
        minute, n_minute = minutes[-1], int(counts[-1])
        n_rows += len(rows.at_s)
        for n, most, where in ((counts.max(), _MINUTE_MAX, "in a minute"), (n_rows, _MOST_COPIES, "in all")):
            if n * rate_scale > most:
                raise TraceError(
                    f"{named}: rate_scale {rate_scale:g} makes {n * rate_scale:,.0f} invocations {where} of {n:,}, "
                    f"may make {most:,}"
                )


def _scaled(blocks: Blocks, window_s: tuple[float, float], options: ReadOptions) -> Iterator[Rows]:
    """The rows of the window at ``rate_scale``, in order of time.

    Below 1 each row stays with that probability. Above 1 there are further copies of each row, the last one with
    the probability of the fraction, each shifted by up to a minute to either side; what leaves the window is gone.
    The draws of a piece are its own, so that a window sees the same ones as the whole trace.
    """
    reach_s = _reach_s(options.rate_scale)
    waiting: list[Rows] = []
    for nth, rows in enumerate(_pieces(blocks, options.rate_scale)):
        if rows.at_s[0] >= window_s[1] + reach_s:
            break
        if rows.at_s[-1] < window_s[0] - reach_s:
            continue
        if options.rate_scale != 1:
            last_s = rows.at_s[-1]
            copies = _copies(rows, options.rate_scale, options.rng(Stream.COPIES, nth))
            rows = _in_time(Rows.concatenate([*waiting, copies]))
            settled = int(np.searchsorted(rows.at_s, last_s - reach_s))  # later copies can't come before these
            waiting = [rows.take(slice(settled, None))]
            rows = rows.take(slice(settled))
        yield _cut(rows, window_s)
    yield from (_cut(rows, window_s) for rows in waiting)


def _pieces(blocks: Blocks, rate_scale: float) -> Iterator[Rows]:
    """The rows in pieces, of which the copies are no more than a block."""
    step = max(1, int(_BLOCK_ROWS / max(1.0, rate_scale)))
    for rows in blocks():
        for start in range(0, len(rows.at_s), step):
            yield rows.take(slice(start, start + step))


def _copies(rows: Rows, rate_scale: float, rng: np.random.Generator) -> Rows:
    n_copies, n_rows = int(np.ceil(rate_scale)), len(rows.at_s)
    shift_s = rng.uniform(-_SHIFT_S, _SHIFT_S, (n_copies, n_rows))
    shift_s[0] = 0.0
    stays = (rng.random((n_copies, n_rows)) < (rate_scale - np.arange(n_copies))[:, None]).ravel()
    every = np.tile(np.arange(n_rows), n_copies)[stays]
    return Rows((rows.at_s + shift_s).ravel()[stays], rows.function[every], rows.duration_s[every])


def _in_time(rows: Rows) -> Rows:
    return rows.take(np.argsort(rows.at_s, kind="stable"))


def _cut(rows: Rows, window_s: tuple[float, float]) -> Rows:
    first, end = np.searchsorted(rows.at_s, window_s)
    return rows.take(slice(first, end))
