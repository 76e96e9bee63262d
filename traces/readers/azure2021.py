"""Azure Functions Invocation Trace 2021: one row an invocation, with its end and duration in seconds.

Zhang et al., "Faster and Cheaper Serverless Computing on Harvested Resources", SOSP 2021; CC-BY 4.0. The data
set's page says seconds, its repository's top-level README milliseconds; the numbers are seconds. Rows are in
order of start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.errors import TraceError
from traces.csvfile import Kind
from traces.durations import FLOOR_S
from traces.formats import UNKNOWN_TRIGGER, Format, TracePath
from traces.minutes import rechunk
from traces.options import ReadOptions, Stream
from traces.placement import MINUTE_S, Floats
from traces.window import format_window

_NAME = "azure2021"
_KINDS = {"app": Kind.TEXT, "func": Kind.TEXT, "end_timestamp": Kind.NUMBER, "duration": Kind.SPAN}
_SHIFT_S = 60.0  # copies of an invocation, for a rate above the trace's own, stay within a minute of it


@dataclass(frozen=True)
class _Rows:
    """Invocations as columns; function: index into the keys, which are (app, function)."""

    at_s: Floats
    function: npt.NDArray[np.int32]
    duration_s: Floats

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> _Rows:
        return _Rows(self.at_s[which], self.function[which], self.duration_s[which])


@dataclass(frozen=True)
class EventTrace:
    """A trace with an instant for every invocation (see ``sim.domain.Trace``)."""

    source: TraceSource
    functions: Sequence[TraceFunction]
    arrivals: ArrivalChunk

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return self.source.duration_s

    @property
    def n_arrivals(self) -> int:
        """Exact."""
        return len(self.arrivals.at_s)

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order; equal instants are ordered by function."""
        return rechunk(iter([self.arrivals]))


def _read(paths: Sequence[TracePath], options: ReadOptions) -> EventTrace:
    """Read all files as one trace. arrival = end_timestamp - duration; the key of a function is ``app/func``.

    Without a window the trace covers the whole minutes from its first to its last arrival.
    """
    names = ", ".join(str(path.path) for path in paths)
    anomalies: Counter[str] = Counter()
    for path in paths:
        if path.is_directory and len(path.files) > 1:  # excerpts that overlap would count twice: say so
            anomalies["files_of_one_directory"] += len(path.files)
    keys, rows = _read_rows(paths, anomalies)
    last_s = (np.floor(rows.at_s.max() / MINUTE_S) + 1) * MINUTE_S
    if options.window_s is None:
        window_s = (float(np.floor(rows.at_s.min() / MINUTE_S) * MINUTE_S), float(last_s))
    else:
        window_s = options.narrow((0.0, float(last_s)), names)
    rows = _scaled(rows, window_s, options)
    if not len(rows.at_s):
        raise TraceError(f"{names}: no invocation in the window {format_window(window_s)}")
    kept, function = np.unique(rows.function, return_inverse=True)
    mean_s = np.bincount(function, rows.duration_s) / np.bincount(function)
    order = np.lexsort((function, rows.at_s))
    files = tuple(str(file.path) for path in paths for file in path.files)
    options_used = {"rate_scale": options.rate_scale, "seed": options.seed}
    return EventTrace(
        TraceSource(_NAME, files, window_s, options_used, dict(+anomalies)),
        [
            TraceFunction(keys[i], keys[i].split("/")[0], UNKNOWN_TRIGGER, float(mean), None)
            for i, mean in zip(kept, mean_s, strict=True)
        ],
        ArrivalChunk(rows.at_s[order] - window_s[0], function[order].astype(np.int32), rows.duration_s[order]),
    )


def _read_rows(paths: Sequence[TracePath], anomalies: Counter[str]) -> tuple[list[str], _Rows]:
    """All rows in file order, and the functions' keys in order of first appearance."""
    import pyarrow.compute as pc

    index: dict[str, int] = {}
    parts: list[_Rows] = []
    for file in (file for path in paths for file in path.files):
        file.require(*_KINDS)
        for batch in file.stream(_KINDS):
            app, function, end_s, duration_s = batch.columns
            coded = pc.binary_join_element_wise(app, function, "/").dictionary_encode()
            numbers = np.array([index.setdefault(k, len(index)) for k in coded.dictionary.to_pylist()], np.int32)
            duration_s = duration_s.to_numpy()
            at_s = end_s.to_numpy() - duration_s
            anomalies["negative_start"] += int(np.count_nonzero(at_s < 0))
            anomalies["zero_duration"] += int(np.count_nonzero(duration_s == 0))
            parts.append(
                _Rows(np.maximum(at_s, 0.0), numbers[coded.indices.to_numpy()], np.maximum(duration_s, FLOOR_S))
            )
    return list(index), _concatenate(parts)


def _scaled(rows: _Rows, window_s: tuple[float, float], options: ReadOptions) -> _Rows:
    """The rows of the window at ``rate_scale``.

    Below 1 each row stays with that probability. Above 1 there are further copies of each row, the last one with
    the probability of the fraction, each shifted by up to a minute to either side; what leaves the window is gone.
    """
    n_rows = len(rows.at_s)
    copies: list[_Rows] = []
    for nth in range(int(np.ceil(options.rate_scale))):
        rng = options.rng(Stream.COPIES, nth)
        stays = rng.random(n_rows) < options.rate_scale - nth
        at_s = rows.at_s + (rng.uniform(-_SHIFT_S, _SHIFT_S, n_rows) if nth else 0.0)
        inside = stays & (at_s >= window_s[0]) & (at_s < window_s[1])
        copies.append(_Rows(at_s, rows.function, rows.duration_s).take(inside))
    return _concatenate(copies)


def _concatenate(parts: Sequence[_Rows]) -> _Rows:
    return _Rows(
        np.concatenate([p.at_s for p in parts]),
        np.concatenate([p.function for p in parts]),
        np.concatenate([p.duration_s for p in parts]),
    )


def _recognises(header: Sequence[str]) -> bool:
    return set(_KINDS) <= set(header)


FORMAT = Format(
    name=_NAME,
    summary="Azure Functions Invocation Trace 2021: one row an invocation",
    tables=("invocations: app, func, end_timestamp (s), duration (s)",),
    recognises=_recognises,
    read=_read,
)
