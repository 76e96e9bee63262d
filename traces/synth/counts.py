"""Invocations of synthetic functions by minute, block by block of functions.

A timer fires exactly by its period. Another function has one of two processes, by the coefficient of variation (CV) of
its inter-arrival times:

- up to 1, every k-th event of a Poisson process: Erlang inter-arrival times, of CV 1/sqrt(k);
- above 1, an interrupted Poisson process: bursts of random length, in which invocations come as a Poisson process, and
  silence between them. Its inter-arrival times are hyperexponential (Kuczura, "The interrupted Poisson process as an
  overflow process", Bell System Technical Journal 52(3), 1973).

Rates follow the cycles of day and week, except those of regular callers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from traces.synth import facts
from traces.synth.population import Population
from traces.units import MINUTES_A_DAY, Floats, Ints

_CELLS = 3_000_000  # of a block: a few arrays of 24 MB
_MOST_REGULAR_CV = 0.03


def draw_counts(population: Population, minutes: int, seed: int) -> Iterator[tuple[int, Ints]]:
    """Blocks of consecutive functions: the first one and their counts, (n_rows, minutes), none of them all zero."""
    n_rows = max(1, _CELLS // minutes)
    for first in range(0, len(population), n_rows):
        rng = np.random.default_rng([seed, 4, first])
        yield first, _block(population, slice(first, first + n_rows), minutes, rng)


def cycles(minutes: int) -> Floats:
    """Rate of each minute over the mean rate: a day's sine and the dip of the weekends."""
    minute = np.arange(minutes)
    daily = 1 + facts.DAILY_SWING * np.sin(2 * np.pi * minute / MINUTES_A_DAY)
    at_weekend = np.isin(minute // MINUTES_A_DAY + 1, facts.WEEKEND_DAYS)
    cycle = daily * np.where(at_weekend, 1 - facts.WEEKEND_DIP, 1.0)
    return np.asarray(cycle / cycle.mean())


def _block(population: Population, part: slice, minutes: int, rng: np.random.Generator) -> Ints:
    period, expected, cv = population.period[part], population.expected[part], population.cv[part]
    counts = np.zeros((len(period), minutes), np.int64)
    timers, even, bursty = period > 0, (period == 0) & (cv <= 1), (period == 0) & (cv > 1)
    cycle = cycles(minutes)
    by_row = np.where(cv[even, None] < facts.REGULAR_CV, 1.0, cycle)
    counts[timers] = _timers(period[timers], minutes, rng)
    counts[even] = _erlang(expected[even, None] / minutes * by_row, cv[even], rng)
    counts[bursty] = _interrupted(expected[bursty] / minutes, cv[bursty], cycle, rng)
    empty = np.flatnonzero(~counts.any(axis=1))
    counts[empty, rng.integers(minutes, size=len(empty))] = 1
    return counts


def _timers(period: Ints, minutes: int, rng: np.random.Generator) -> Ints:
    """One invocation a period, from a random minute of the first one."""
    phase = rng.integers(period)
    return np.asarray((np.arange(minutes) % period[:, None] == phase[:, None]).astype(np.int64))


def _erlang(mean: Floats, cv: Floats, rng: np.random.Generator) -> Ints:
    """Counts of these means (n, minutes), inter-arrival times of about this CV (n,), at most 1."""
    k = np.rint(np.maximum(cv, _MOST_REGULAR_CV) ** -2.0)[:, None]
    before = np.floor(k * rng.random(k.shape))
    nth = np.cumsum(rng.poisson(k * mean), axis=1) + before
    return np.diff(nth // k, axis=1, prepend=0).astype(np.int64)


def _interrupted(rate: Floats, cv: Floats, cycle: Floats, rng: np.random.Generator) -> Ints:
    """Counts of functions of these mean rates a minute and CVs above 1, (n, minutes).

    With bursts of mean length L that cover the share f of time, the rate in a burst is r / f, and the squared CV of
    the inter-arrival times 1 + 2 (r / f) L (1 - f)^2, which gives f.
    """
    q = (cv**2 - 1) / (2 * rate * facts.BURST_MINUTES)
    share = 2 / (2 + q + np.sqrt(q * (4 + q)))
    on = _time_in_bursts(share, len(cycle), rng)
    return rng.poisson((rate / share)[:, None] * on * cycle)


def _time_in_bursts(share: Floats, minutes: int, rng: np.random.Generator) -> Floats:
    """The part of each minute that lies in a burst, (n, minutes), for functions in bursts this share of the time.

    Bursts and gaps are exponential. A row begins with a gap, of no length when the trace begins in a burst.
    """
    gap = facts.BURST_MINUTES * (1 - share) / share
    n_mean = minutes / (facts.BURST_MINUTES + gap)
    n = np.ceil(n_mean + 6 * np.sqrt(n_mean) + 6).astype(np.int64)  # enough to reach the end
    first = np.cumsum(n) - n
    gaps = np.repeat(gap, n) * rng.standard_exponential(n.sum())
    bursts = facts.BURST_MINUTES * rng.standard_exponential(n.sum())
    gaps[first[rng.random(len(n)) < share]] = 0.0
    ends = np.cumsum(gaps + bursts)
    ends -= np.repeat((ends - gaps - bursts)[first], n)
    row_at = np.repeat(np.arange(len(n)) * float(minutes), n)
    edges = np.stack([np.clip(ends - bursts, 0, minutes), np.clip(ends, 0, minutes)], axis=1)
    in_bursts = np.cumsum(edges[:, 1] - edges[:, 0])
    x = np.append(0.0, (edges + row_at[:, None]).ravel())
    y = np.append(0.0, np.stack([in_bursts - (edges[:, 1] - edges[:, 0]), in_bursts], axis=1).ravel())
    elapsed = np.interp(np.arange(len(n) * minutes + 1.0), x, y)
    return np.asarray(np.diff(elapsed).reshape(len(n), minutes).clip(0.0, 1.0))
