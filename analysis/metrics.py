"""Measures of a run: tables of ``sim.records.tables`` in, small arrays out. No loop over rows.

``edges`` are ascending instants in seconds; interval k goes from edges[k] up to edges[k + 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sim.records.tables import GPU_PARTS

Floats = npt.NDArray[np.float64]

# Interval widths that a reader can name: up to a day; longer ones are whole days.
_WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def interval_width_s(duration_s: float, n_max: int = 72) -> float:
    """The smallest width a reader can name (20 ms, 5 min, 6 h) that cuts ``duration_s`` > 0 into <= n_max."""
    least_s = duration_s / n_max
    if least_s <= 0.5:
        decade = 10.0 ** math.floor(math.log10(least_s))
        return next(float(f"{digit * decade:.0e}") for digit in (1, 2, 5, 10) if digit * decade >= least_s)
    days = 86400.0 * math.ceil(least_s / 86400)
    return next((float(width) for width in _WIDTHS_S if width >= least_s), days)


def interval_edges(duration_s: float, width_s: float) -> Floats:
    """Edges from 0 to ``duration_s`` every ``width_s``.

    A rest below half a width joins the interval before it: slivers make percentiles and shares jump.
    """
    n = max(1, math.floor(duration_s / width_s + 0.5))
    edges: Floats = np.append(np.arange(n) * width_s, duration_s)
    return edges


def of_completed(invocations: pd.DataFrame, column: str) -> npt.NDArray[Any]:
    """A column, of the invocations that completed alone."""
    values: npt.NDArray[Any] = invocations[column].to_numpy()
    return values[(invocations["status"] == "completed").to_numpy()]


def latency_s(invocations: pd.DataFrame) -> Floats:
    """Latency of every completed invocation, from its scheduled arrival to its completion."""
    latency: Floats = of_completed(invocations, "completed_at_s") - of_completed(invocations, "arrival_at_s")
    return latency


def cdf(values: Floats, n_points: int = 1000) -> tuple[Floats, Floats]:
    """Points (x, share of values <= x) of the empirical distribution, from (least, 0) to (greatest, 1).

    All values up to ``n_points`` of them. Beyond, half of the points stand at even ranks and half at ranks
    that close in on the greatest geometrically, so that each decade of the tail keeps its shape. Empty for
    no values.
    """
    n = len(values)
    ordered = np.sort(values)
    if n == 0:
        return ordered, np.empty(0)
    ranks = np.arange(n)
    if n > n_points:
        body = np.linspace(0, n - 1, n_points // 2)
        tail = n - np.geomspace(1, n, n_points // 2)
        ranks = np.unique(np.concatenate([body, tail]).round().astype(np.int64))
    return np.append(ordered[0], ordered[ranks]), np.append(0.0, (ranks + 1) / n)


def at_least(points: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """The complementary distribution of what ``cdf`` gives: points (x, share of values >= x), down to the greatest."""
    x, share = points
    return x[1:], 1 - share[:-1]


def quantiles_by_interval(at_s: Floats, values: Floats, edges: Floats, shares: Sequence[float]) -> Floats:
    """Quantiles of the ``values`` that stand at ``at_s``, interval by interval: (len(shares), intervals).

    Linear between neighbours, as ``numpy.quantile``; NaN in an interval without values. An instant at the
    last edge counts to the last interval, one outside of the edges to none.
    """
    n = len(edges) - 1
    inside = (at_s >= edges[0]) & (at_s <= edges[-1])
    interval = np.minimum(np.searchsorted(edges, at_s[inside], "right") - 1, n - 1)
    ordered = values[inside][np.lexsort((values[inside], interval))]
    counts = np.bincount(interval, minlength=n)
    first = np.cumsum(counts) - counts
    result = np.full((len(shares), n), np.nan)
    some = counts > 0
    for row, share in zip(result, shares, strict=True):
        rank = share * (counts[some] - 1)
        low = np.floor(rank).astype(np.int64)
        high = np.minimum(low + 1, counts[some] - 1)
        below, above = ordered[first[some] + low], ordered[first[some] + high]
        row[some] = below + (rank - low) * (above - below)
    return result


def queue_length(invocations: pd.DataFrame, edges: Floats) -> Floats:
    """Mean number of invocations that have arrived and not started on a device, by interval.

    One that never starts waits until it ends (rejected, say), and to the last edge if it doesn't even end.
    """
    arrived = invocations["arrival_at_s"].to_numpy(np.float64)
    started = invocations["started_at_s"].to_numpy(np.float64)
    ended = invocations["completed_at_s"].to_numpy(np.float64)
    left = np.where(np.isnan(started), ended, started)
    left[np.isnan(left)] = np.inf
    waited = left > arrived
    at_s = np.concatenate([arrived[waited], left[waited]])
    return _mean_of_steps(at_s, np.repeat([1.0, -1.0], len(at_s) // 2), edges)


def _mean_of_steps(at_s: Floats, step: Floats, edges: Floats) -> Floats:
    """Mean by interval of a function that starts at 0 and changes by ``step`` at ``at_s``; it is never < 0."""
    n = len(edges) - 1
    early = at_s < edges[-1]
    step, at_s = step[early], np.maximum(at_s[early], edges[0])
    interval = np.searchsorted(edges, at_s, "right") - 1
    steps = np.bincount(interval, step, minlength=n)
    level = np.cumsum(steps) - steps
    area = np.bincount(interval, step * (edges[interval + 1] - at_s), minlength=n)
    return np.maximum(level + area / np.diff(edges), 0.0)  # the sums round, below 0 too


def gpu_shares(devices: pd.DataFrame, *, interval_s: float, n_gpus: float, edges: Floats) -> Floats:
    """Shares of the time of all GPUs, by interval of ``edges``, which end with the run: (GPU_PARTS, intervals).

    The rest of 1 is idle. ``interval_s`` is that of the devices table. What a row books is spread evenly over its
    interval, or the part of it before the end of the run. Rows that the table leaves out are idle.
    """
    number = np.rint(devices["start_at_s"].to_numpy(np.float64) / interval_s).astype(np.int64)
    n = math.ceil(edges[-1] / interval_s)
    shares = np.empty((len(GPU_PARTS), len(edges) - 1))
    for share, column in zip(shares, GPU_PARTS.values(), strict=True):
        spent_s = np.bincount(number, devices[column].to_numpy(np.float64), minlength=n)
        until = np.minimum(np.arange(len(spent_s) + 1) * interval_s, edges[-1])
        total_s = np.interp(edges, until, np.append(0.0, np.cumsum(spent_s)))
        share[:] = np.diff(total_s) / (n_gpus * np.diff(edges))
    return shares


def slowdown(invocations: pd.DataFrame, functions: pd.DataFrame) -> Floats:
    """Mean latency of each function / its latency when warm and alone (``isolated_s``), by function.

    Functions without a completed invocation, or without an isolated_s above 0, are left out.
    """
    number = of_completed(invocations, "function")
    isolated_s = functions["isolated_s"].to_numpy(np.float64)
    n = len(isolated_s)
    counts = np.bincount(number, minlength=n)
    total_s = np.bincount(number, latency_s(invocations), minlength=n)
    known = (counts > 0) & (isolated_s > 0)
    ratio: Floats = total_s[known] / counts[known] / isolated_s[known]
    return ratio


def attainment(invocations: pd.DataFrame, functions: pd.DataFrame, scale: npt.ArrayLike) -> Floats:
    """SLO attainment for deadlines of ``scale`` times the isolated latency of each function, for each of the scales.

    Share of all invocations that were completed by then; what was rejected, failed or left unfinished missed it. Those
    of functions without an isolated_s above 0 are left out; NaN without any. Papers draw it over the scale (Li et al.,
    AlpaServe: Statistical Multiplexing with Model Parallelism for Deep Learning Serving, OSDI 2023).
    """
    isolated_s = functions["isolated_s"].to_numpy(np.float64)
    n = np.count_nonzero(isolated_s[invocations["function"].to_numpy()] > 0)
    of_each_s = isolated_s[of_completed(invocations, "function")]
    known = of_each_s > 0
    ordered = np.sort(latency_s(invocations)[known] / of_each_s[known])
    kept = np.searchsorted(ordered, np.asarray(scale, dtype=np.float64), side="right")
    share: Floats = kept / n if n else np.full(np.shape(scale), np.nan)
    return share
