"""What a trace of minute counts has of the quantities that are published of Azure Functions 2019."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.arrivals.minutes import DayCounts, MinuteTrace
from traces.synth import facts
from traces.units import DAY_S, MIB, MINUTE_S, Floats, Ints

# Inter-arrival times are looked at in the first so many apps, each up to about so many arrivals, if it has so many.
_CV_APPS, _CV_MOST, _CV_LEAST = 5_000, 4_000, 10
_VARIANCES = 1_000  # functions of which the variance of counts is looked at


@dataclass(frozen=True)
class Measured:
    """A trace in numbers.

    Of functions, (n_functions,): invocations, app, trigger, mean_s, max_s. Of apps, (n_apps,): app_mb (NaN if
    unknown), app_cv (of inter-arrival times; NaN where there are too few).
    per_minute: invocations of all functions. variance_to_mean: of counts on the first day, by minutes that are counted
    together; medians over functions other than timers above 1/min, NaN if there is none.
    """

    days: float
    invocations: Ints
    app: Ints
    trigger: npt.NDArray[np.str_]
    mean_s: Floats
    max_s: Floats
    app_mb: Floats
    app_cv: Floats
    per_minute: Ints
    variance_to_mean: dict[int, float]

    @property
    def app_size(self) -> Ints:
        """Functions of each app."""
        return np.bincount(self.app)

    def apps(self, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether an app has a function of those that are marked."""
        return np.bincount(self.app, which) > 0


def measure(trace: MinuteTrace) -> Measured:
    """Measure a trace. For inter-arrival times, instants are drawn uniformly in their minutes."""
    n = len(trace.functions)
    days = trace.days
    totals = [np.bincount(day.function, day.count, n).astype(np.int64) for day in days]
    invocations = np.sum(totals, axis=0)
    max_s = np.zeros(n)
    for day, total in zip(days, totals, strict=True):
        max_s = np.where(total > 0, np.maximum(max_s, day.durations.quantiles_s[:, -1]), max_s)
    app = np.unique([f.app for f in trace.functions], return_inverse=True)[1]
    size_mb = np.array([np.nan if f.memory_bytes is None else f.memory_bytes / MIB for f in trace.functions])
    trigger = np.array([f.trigger for f in trace.functions])
    return Measured(
        days=trace.duration_s / DAY_S,
        invocations=invocations,
        app=app,
        trigger=trigger,
        mean_s=np.array([f.mean_s for f in trace.functions]),
        max_s=max_s,
        app_mb=np.bincount(app, size_mb).astype(np.float64),
        app_cv=_app_cv(days, app),
        per_minute=np.concatenate([day.per_minute() for day in days]),
        variance_to_mean=_variance_to_mean(days[0], trigger != "timer"),
    )


def _app_cv(days: Sequence[DayCounts], app: Ints) -> Floats:
    """Coefficient of variation of the inter-arrival times of each app, from its first arrivals."""
    cells = [_cells(day, app[day.function] < _CV_APPS) for day in days]
    minute, function, count = (np.concatenate(column) for column in zip(*cells, strict=True))
    of_cell = app[function]
    order = np.lexsort((minute, of_cell))
    minute, of_cell, count = minute[order], of_cell[order], count[order]
    before = np.cumsum(count) - count
    starts = np.flatnonzero(np.diff(of_cell, prepend=-1))
    before -= np.repeat(before[starts], np.diff(np.append(starts, len(before))))
    first = before < _CV_MOST
    minute, of_cell, count = minute[first], of_cell[first], np.minimum(count[first], _CV_MOST)
    at_minute = np.repeat(minute, count) + np.random.default_rng(0).random(count.sum())
    of_arrival = np.repeat(of_cell, count)
    order = np.lexsort((at_minute, of_arrival))
    at_minute, of_arrival = at_minute[order], of_arrival[order]
    same = of_arrival[1:] == of_arrival[:-1]
    gaps, of_gap = np.diff(at_minute)[same], of_arrival[1:][same]
    n_apps = int(app.max()) + 1
    n, total, squares = (np.bincount(of_gap, w, n_apps) for w in (np.ones(len(gaps)), gaps, gaps**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0.0)) / (total / n)
    return np.where(n + 1 >= _CV_LEAST, cv, np.nan)


def _cells(day: DayCounts, which: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """Minute of the trace, function and count of these cells."""
    minute = np.repeat(day.minutes + round(day.start_s / MINUTE_S), np.diff(day.indptr))
    return minute[which], day.function[which].astype(np.int64), day.count[which].astype(np.int64)


def _variance_to_mean(day: DayCounts, which: npt.NDArray[np.bool_]) -> dict[int, float]:
    n_minutes = len(day.minutes)
    per_minute = np.bincount(day.function, day.count, len(which)) / n_minutes
    chosen = np.flatnonzero(which & (per_minute > 1))[:_VARIANCES]
    if not len(chosen):
        return dict.fromkeys(facts.VARIANCE_TO_MEAN, np.nan)
    row = np.full(len(which), -1)
    row[chosen] = np.arange(len(chosen))
    minute, function, count = _cells(day, row[day.function] >= 0)
    counts = np.zeros((len(chosen), n_minutes))
    counts[row[function], minute - (day.minutes[0] + round(day.start_s / MINUTE_S))] = count
    return {length: _median_ratio(counts, length) for length in facts.VARIANCE_TO_MEAN}


def _median_ratio(counts: Floats, length: int) -> float:
    whole = counts[:, : counts.shape[1] // length * length]
    together = whole.reshape(len(counts), -1, length).sum(axis=2)
    mean = together.mean(axis=1)
    return float(np.median(together.var(axis=1) / np.where(mean > 0, mean, 1)))
