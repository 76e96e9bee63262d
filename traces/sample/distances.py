"""How far a part of a trace's functions is from the whole trace: distances between their distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk, Trace
from traces.arrivals.durations import FLOOR_S
from traces.units import MINUTE_S, Floats, Ints

DISTANCES = {
    "mean_rate_frac": "mean invocations of a function: relative error",
    "mean_load_frac": "mean busy seconds of a function: relative error",
    "popularity_ks": "invocations of functions: Kolmogorov-Smirnov",
    "popularity_share_frac": "share of invocations of the top functions: largest gap",
    "rate_shape_frac": "invocations over time: share that comes at another time",
    "duration_of_functions_ln": "ln of mean durations of functions: Wasserstein-1",
    "duration_of_invocations_ln": "ln of durations of invocations: Wasserstein-1",
}
"""The distances and what they compare. 0 is alike; see ``Yardstick.distances``."""

_TIME_BINS = 96  # of the window: quarters of an hour in a day
_LN_BIN = 0.1  # width of a bin of ln duration, finer than what samples differ by
_LN_BINS = 185  # 1 ms to 30 hours


@dataclass(frozen=True)
class Profile:
    """What sampling must know of a trace of n functions: 1.2 kB a function, whatever the number of invocations.

    invocations: arrivals of each function, (n,). busy_s: sum of their durations, (n,). ln_mean_s: ln of the mean
    duration of the function as the trace tells it, (n,).
    over_time: its arrivals by equal bins of the window, (n, up to 96). over_ln_duration: its arrivals by ln of
    duration, from 1 ms in bins of 0.1, (n, 185).
    """

    invocations: Ints
    busy_s: Floats
    ln_mean_s: Floats
    over_time: npt.NDArray[np.uint32]
    over_ln_duration: npt.NDArray[np.uint32]


def profile(trace: Trace) -> Profile:
    """Count all arrivals of a trace, which are drawn once."""
    n = len(trace.functions)
    busy_s = np.zeros(n)
    n_bins = min(_TIME_BINS, int(np.ceil(trace.duration_s / MINUTE_S)))
    over_time = np.zeros((n, n_bins), np.uint32)
    over_ln_duration = np.zeros((n, _LN_BINS), np.uint32)
    for chunk in trace.chunks():
        busy_s += np.bincount(chunk.function, chunk.duration_s, n)
        _count(over_time, chunk, chunk.at_s * (n_bins / trace.duration_s))
        _count(over_ln_duration, chunk, np.log(chunk.duration_s / FLOOR_S) / _LN_BIN)
    ln_mean_s = np.log([function.mean_s for function in trace.functions])
    return Profile(over_time.sum(axis=1, dtype=np.int64), busy_s, ln_mean_s, over_time, over_ln_duration)


def _count(table: npt.NDArray[np.uint32], chunk: ArrivalChunk, place: Floats) -> None:
    """Add each arrival to the row of its function, in the column that its place falls into, or the nearest one."""
    n_columns = table.shape[1]
    column = np.clip(place, 0, n_columns - 1).astype(np.int64)
    np.add.at(table.reshape(-1), chunk.function * np.int64(n_columns) + column, np.uint32(1))


class Yardstick:
    """Measures parts of a trace against the whole."""

    def __init__(self, whole: Profile) -> None:
        self._whole = whole
        self._invocations = np.sort(whole.invocations)
        self._shares = _shares_of_top(whole.invocations)
        self._over_time = _normalised(whole.over_time.sum(axis=0, dtype=np.int64))
        self._over_ln_duration = _normalised(whole.over_ln_duration.sum(axis=0, dtype=np.int64))
        self._ln_means_s, self._place = np.unique(whole.ln_mean_s, return_inverse=True)
        self._ln_mean_cdf = self._cdf_of_ln_mean(np.arange(len(whole.invocations)))

    def distances(self, chosen: Ints, kept_frac: Floats) -> dict[str, float]:
        """Distances of the functions with these indices, each with a share of its invocations, from all functions.

        - mean_rate_frac: |mean invocations of a chosen function / mean of all - 1|
        - mean_load_frac: the same of their busy seconds, the sums of the durations
        - popularity_ks: largest gap between the distribution functions of the invocations of functions
        - popularity_share_frac: largest gap between the shares of all invocations that the top k of n chosen functions
          have and the top k/n of all functions have, over k (Lorenz curves)
        - rate_shape_frac: half the L1 distance of the rates over time, each normalised to 1, in at most 96 equal bins
        - duration_of_functions_ln, duration_of_invocations_ln: Wasserstein-1 distances of ln duration, so 0.1 is about
          a tenth of the duration; the first of the means of functions, the second of the durations of invocations

        Of a function that keeps a share of its invocations, the expected numbers are measured.
        """
        whole = self._whole
        invocations = whole.invocations[chosen] * kept_frac
        shares = _shares_of_top(invocations)
        at_shares = np.linspace(0, 1, len(shares))
        over_time = _normalised(kept_frac @ whole.over_time[chosen])
        over_ln_duration = _normalised(kept_frac @ whole.over_ln_duration[chosen])
        ln_mean_gaps = np.abs(self._cdf_of_ln_mean(chosen) - self._ln_mean_cdf)
        values = (
            abs(invocations.mean() / self._invocations.mean() - 1),
            abs((whole.busy_s[chosen] @ kept_frac) / len(chosen) / whole.busy_s.mean() - 1),
            _kolmogorov_smirnov(invocations, self._invocations),
            np.abs(shares - np.interp(at_shares, np.linspace(0, 1, len(self._shares)), self._shares)).max(),
            np.abs(over_time - self._over_time).sum() / 2,
            ln_mean_gaps[:-1] @ np.diff(self._ln_means_s),
            np.abs(np.cumsum(over_ln_duration - self._over_ln_duration)).sum() * _LN_BIN,
        )
        return dict(zip(DISTANCES, map(float, values), strict=True))

    def _cdf_of_ln_mean(self, chosen: Ints) -> Floats:
        """Distribution function of these functions' ln_mean_s at all values that it has."""
        counts = np.bincount(self._place[chosen], minlength=len(self._ln_means_s))
        return np.asarray(np.cumsum(counts) / len(chosen))


def _kolmogorov_smirnov(few: Floats, many: Ints) -> float:
    """Largest gap between the distribution functions of two arrays, of which the second is sorted.

    That of the few is flat from one of its steps to the next, while the other rises: the gap is largest at an end.
    """
    values, counts = np.unique(few, return_counts=True)
    steps = np.concatenate([[0], np.cumsum(counts)]) / len(few)
    starts = np.concatenate([[0], np.searchsorted(many, values, side="right")]) / len(many)
    ends = np.concatenate([np.searchsorted(many, values, side="left"), [len(many)]]) / len(many)
    return float(np.maximum(np.abs(steps - starts), np.abs(steps - ends)).max())


def _shares_of_top(invocations: npt.NDArray[Any]) -> Floats:
    """Share of all invocations that the top k functions have, for k = 0 to n."""
    most_first = np.sort(invocations)[::-1]
    return np.concatenate([[0.0], np.cumsum(_normalised(most_first))])


def _normalised(counts: npt.NDArray[Any]) -> Floats:
    """Shares of the sum; zeros of nothing."""
    return np.asarray(counts / (counts.sum() or 1), float)
