"""The functions of a synthetic trace: who they are, how often they are invoked and how irregularly.

One draw for the whole population, as columns; 50,000 functions are a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.errors import TraceError
from sim.text import shown
from traces.synth import facts
from traces.synth.rates import assign, rates_of_others, scaled
from traces.units import MINUTE_S, MINUTES_A_DAY, Floats, Ints

MOST_FUNCTIONS = 1_000_000  # 20 times those of the data set
MOST_PER_S = 500_000  # what the readers take a minute of; the data set has 12,000
MOST_DAYS = 14  # as many as the data set has


@dataclass(frozen=True)
class Population:
    """Functions as columns (n,), those of an app side by side; owner is a column of apps.

    trigger: index into facts.TRIGGERS. period: minutes between the firings of a timer, 0 for the others.
    expected: invocations that are expected in the whole trace. cv: coefficient of variation of the inter-arrival
    times that a function other than a timer aims at.
    """

    owner: Ints
    app: Ints
    trigger: Ints
    period: Ints
    expected: Floats
    cv: Floats

    @cached_property
    def app_size(self) -> Ints:
        """Functions of each app."""
        return np.bincount(self.app)

    @cached_property
    def rate_rank(self) -> Floats:
        """Rank of each function's rate in (0, 1), ascending."""
        return (np.argsort(np.argsort(self.expected, kind="stable")) + 0.5) / len(self.expected)

    def __len__(self) -> int:
        return len(self.app)


def draw_population(n_functions: int, minutes: int, rate_per_s: float | None, seed: int) -> Population:
    """Draw functions that are each invoked in these minutes, together ``rate_per_s`` times a second.

    None stands for the published rates. The rate has no influence on apps and triggers.
    Raises TraceError when the numbers can't be met.
    """
    _check(n_functions, minutes, rate_per_s, seed)
    who, when = (np.random.default_rng([seed, stream]) for stream in range(2))
    sizes = _app_sizes(n_functions, who)
    app = np.repeat(np.arange(len(sizes)), sizes)
    trigger = _triggers(sizes, who)
    is_timer = trigger == facts.TIMER
    period = np.where(is_timer, _periods(n_functions, minutes, when), 0)
    expected = np.zeros(n_functions)
    expected[is_timer] = minutes / period[is_timer]
    others = np.flatnonzero(~is_timer)
    cv = np.interp(when.random(n_functions), facts.NO_TIMER_CV_CDF, facts.NO_TIMER_CV)
    cv = np.where(cv > 1, np.sqrt(1 + facts.BURST_GAIN * np.maximum(cv**2 - 1, 0)), cv)
    if len(others):
        rates = rates_of_others(len(others), minutes)
        if rate_per_s is not None:
            rates = scaled(rates, rate_per_s * MINUTE_S * minutes - expected.sum())
        expected[others] = assign(rates, trigger[others], sizes[app[others]], when)
    return Population(_owners(len(sizes), who), app, trigger, period, expected, cv)


def _check(n_functions: int, minutes: int, rate_per_s: float | None, seed: int) -> None:
    if not 1 <= n_functions <= MOST_FUNCTIONS:
        raise TraceError(f"functions {shown(n_functions)}: must be 1 to {MOST_FUNCTIONS:,}")
    if not 1 <= minutes <= MOST_DAYS * MINUTES_A_DAY:
        raise TraceError(f"minutes {shown(minutes)}: must be 1 to {MOST_DAYS * MINUTES_A_DAY}, {MOST_DAYS} days")
    least_per_s = n_functions / (minutes * MINUTE_S)
    if rate_per_s is not None and not least_per_s <= rate_per_s <= MOST_PER_S:
        raise TraceError(
            f"rate {rate_per_s!r}: must be {least_per_s:.3g} to {MOST_PER_S:,} invocations/s, "
            f"for each of {n_functions} functions to be invoked in {minutes} minutes"
        )
    if seed < 0:
        raise TraceError(f"seed {seed!r}: must be a whole number, 0 or more")


def _app_sizes(n_functions: int, rng: np.random.Generator) -> Ints:
    """Functions of apps, ``n_functions`` together: the last app is cut.

    Between the published points the share of larger apps falls as a power of the size, which is rounded up.
    """
    log_survival = np.log1p(-np.array(facts.APP_SIZE_CDF))
    log_size = np.interp(rng.standard_exponential(n_functions), -log_survival, np.log(facts.APP_SIZE))
    ends = np.minimum(np.cumsum(np.ceil(np.exp(log_size).round(9)).astype(np.int64)), n_functions)
    return np.diff(ends[: np.searchsorted(ends, n_functions) + 1], prepend=0)


def _triggers(sizes: Ints, rng: np.random.Generator) -> Ints:
    """A trigger a function: one each of the app's combination, in random order, the further ones by their odds."""
    has = _combinations(sizes, rng)
    order = np.argsort(np.where(has, 0, 2) + rng.random(has.shape), axis=1)
    app = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(app)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    key = rng.standard_exponential((len(app), len(facts.TRIGGERS))) / facts.FURTHER_FUNCTIONS
    further = np.argmin(np.where(has[app], key, np.inf), axis=1)
    first = order[app, np.minimum(place, len(facts.TRIGGERS) - 1)]
    return np.where(place < has.sum(axis=1)[app], first, further)


def _combinations(sizes: Ints, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which triggers each app has, (n_apps, n_triggers).

    An app of one function has one trigger, so larger apps have what remains of each combination's published share.
    """
    listed = np.array([[t in c for t in facts.TRIGGERS] for c in facts.TRIGGERS_OF_APP])
    share = np.array([*facts.TRIGGERS_OF_APP.values(), 0.0]) / 100
    share[-1] = 1 - share.sum()
    is_single = np.append(listed.sum(axis=1) == 1, False)
    of_one = np.where(is_single, share, 0) / share[is_single].sum()
    of_more = share - facts.APP_SIZE_CDF[1] * of_one
    u = rng.random(len(sizes))
    choice = np.where(
        sizes == 1,
        np.searchsorted(np.cumsum(of_one)[:-1], u, side="right"),
        np.searchsorted(np.cumsum(of_more / of_more.sum())[:-1], u, side="right"),
    )
    unlisted = np.array(facts.APPS_WITH_TRIGGER) / 100 - share[:-1] @ listed
    any_of = rng.random((len(sizes), len(facts.TRIGGERS))) < unlisted / share[-1]
    any_of[~any_of.any(axis=1), 0] = True
    return np.where((choice == len(listed))[:, None], any_of, np.vstack([listed, listed[:1]])[choice])


def _owners(n_apps: int, rng: np.random.Generator) -> Ints:
    """A new owner for most apps; the rest belong to the owner of an earlier one."""
    owner = np.arange(n_apps)
    earlier = (rng.random(n_apps) * np.arange(n_apps)).astype(np.int64)
    for app in np.flatnonzero(rng.random(n_apps) >= facts.OWNERS_PER_APP):
        owner[app] = owner[earlier[app]]
    return owner


def _periods(n: int, minutes: int, rng: np.random.Generator) -> Ints:
    """Periods of timers, of those that fire at least once in these minutes."""
    periods = np.array([p for p in facts.TIMER_PERIOD_SHARE if p <= minutes])
    shares = np.array([facts.TIMER_PERIOD_SHARE[int(p)] for p in periods])
    return rng.choice(periods, n, p=shares / shares.sum())
