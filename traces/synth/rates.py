"""How often synthetic functions are invoked: the published distribution of rates, and which function gets which."""

from __future__ import annotations

import numpy as np

from traces.synth import facts
from traces.units import MINUTES_A_DAY, Floats, Ints


def rates_of_others(n: int, minutes: int) -> Floats:
    """Invocations of functions other than timers in these minutes, ascending, of those with at least one.

    The middle of each of n equal slices of the distribution: draws of so heavy a tail would make traces of all sorts.
    """
    days = minutes / MINUTES_A_DAY
    a_day, cdf = _without_timers(1 / days)
    p = (np.arange(n) + 0.5) / n
    body = np.exp(np.interp(p, cdf, np.log(a_day)))
    head = a_day[-1] * ((1 - cdf[-1]) / (1 - p)) ** (1 / facts.HEAD_PARETO_ALPHA)
    return np.minimum(np.where(p > cdf[-1], head, body), facts.RATE_A_DAY_MAX) * days


def _without_timers(least_a_day: float) -> tuple[Floats, Floats]:
    """Rates above the least one and the share of functions up to them: the published one less that of timers.

    The rates of timers follow from their periods; a period beyond the trace makes no timer of it.
    """
    published = np.array(facts.RATE_A_DAY)
    a_day = np.append(least_a_day, published[published > least_a_day])
    cdf = np.interp(np.log(a_day), np.log(published), facts.RATE_CDF)
    cdf = (cdf - cdf[0]) / (1 - cdf[0])
    rate, share = np.array([(MINUTES_A_DAY / p, s) for p, s in facts.TIMER_PERIOD_SHARE.items()]).T
    share = np.where(rate >= least_a_day, share, 0)
    of_timers = ((rate <= a_day[:, None]) * share).sum(axis=1) / share.sum()
    n_timers = facts.FUNCTIONS_BY_TRIGGER[facts.TIMER] / 100
    return a_day, np.maximum.accumulate(np.maximum((cdf - n_timers * of_timers) / (1 - n_timers), 0.0))


def scaled(rates: Floats, total: float) -> Floats:
    """Invocations that are ``total`` together, if that is at least 1 each.

    More than ``rates`` are a multiple of them. Less are taken from what is above 1.
    """
    if total >= rates.sum():
        return np.asarray(rates * (total / rates.sum()))
    above = np.maximum(rates - 1, 1e-9)
    return np.asarray(1 + above * max(total - len(rates), 0.0) / above.sum())


def assign(rates: Floats, trigger: Ints, app_size: Ints, rng: np.random.Generator) -> Floats:
    """Give ascending rates to functions: the highest first, each to one drawn by odds without replacement.

    The few highest have most of the invocations. So the odds of a function, share of invocations over share of
    functions of its trigger and of its app's size, lead to the published shares of invocations.
    """
    by_trigger = np.array(facts.INVOCATIONS_BY_TRIGGER) / facts.FUNCTIONS_BY_TRIGGER
    size_class = np.searchsorted(facts.INVOCATIONS_APP_SIZE, app_size)
    functions = np.bincount(size_class, minlength=len(facts.INVOCATIONS_APP_SIZE))
    by_size = np.diff(facts.INVOCATIONS_APP_SIZE_CDF, prepend=0) / np.maximum(functions, 1)
    key = rng.standard_exponential(len(rates)) / (by_trigger[trigger] * by_size[size_class])
    assigned = np.empty(len(rates))
    assigned[np.argsort(-key)] = rates
    return assigned
