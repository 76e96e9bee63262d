"""How near a trace comes to the published numbers of Azure Functions 2019, each with a tolerance.

Published numbers are those of ``facts``. They are read off figures to 0.02, and some contradict each other.
Tolerances up to 0.03 are of that size. All wider ones were set after seeing how near the synthesis comes, of a day of
20,000 functions: they are marked "as found", say what is to be expected, and keep it so. They are no evidence that it
is near enough for a purpose. The widest ones are those of shares of invocations, which depend on a few functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from traces.synth import facts
from traces.synth.curves import if_invoked, top_share
from traces.synth.measure import Measured
from traces.synth.work import burr_mb
from traces.units import Floats, Ints


@dataclass(frozen=True)
class Statistic:
    """A published number and the same of a trace, which should differ by no more than ``tolerance``."""

    name: str
    published: float
    measured: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the trace is near enough."""
        return bool(abs(self.measured - self.published) <= self.tolerance)


_Row: TypeAlias = tuple[str, float, float, float]


def compare(measured: Measured) -> list[Statistic]:
    """The statistics of a trace, but for those that it is too short or too small to have."""
    rows = [row for part in _PARTS for row in part(measured)]
    return [Statistic(*row) for row in rows if math.isfinite(row[2])]


def _rates(m: Measured) -> Iterator[_Row]:
    for what, invocations, rates, cdf, tolerance in (
        ("functions", m.invocations, facts.RATE_A_DAY, facts.RATE_CDF, 0.05),  # as found
        ("apps", np.bincount(m.app, m.invocations), facts.APP_RATE_A_DAY, facts.APP_RATE_CDF, 0.15),  # as found
    ):
        for rate, p in zip(*if_invoked(rates, cdf, m.days), strict=True):
            yield f"{what} with at most {rate:g} invocations a day", p, _share(invocations / m.days <= rate), tolerance


def _popularity(m: Measured) -> Iterator[_Row]:
    for top, share in zip(facts.TOP_FUNCTIONS, facts.TOP_FUNCTIONS_SHARE, strict=True):
        of_top = top_share(m.invocations, top)
        yield f"invocations of the top {100 * top:g} % of functions", share, of_top, 0.10  # as found
    apps = np.bincount(m.app, m.invocations)
    yield (
        f"invocations of the top {100 * facts.TOP_APPS:g} % of apps",
        facts.TOP_APPS_SHARE,
        top_share(apps, facts.TOP_APPS),
        0.02,
    )


def _triggers(m: Measured) -> Iterator[_Row]:
    for name, functions, invocations, apps in zip(
        facts.TRIGGERS,
        facts.FUNCTIONS_BY_TRIGGER,
        facts.INVOCATIONS_BY_TRIGGER,
        facts.APPS_WITH_TRIGGER,
        strict=True,
    ):
        is_it = m.trigger == name
        # As found: orchestrations.
        yield f"functions: {name}", functions / 100, _share(is_it), 0.04 if name == "orchestration" else 0.025
        yield f"apps: {name}", apps / 100, _share(m.apps(is_it)), 0.025
        yield f"invocations: {name}", invocations / 100, _of_all(m, is_it), 0.25  # as found


def _apps(m: Measured) -> Iterator[_Row]:
    for size, p in ((1, 0.54), (3, 0.80), (10, 0.95)):
        yield f"apps of at most {size} functions", p, _share(m.app_size <= size), 0.03
    for size, p in zip(facts.INVOCATIONS_APP_SIZE[:-1], facts.INVOCATIONS_APP_SIZE_CDF, strict=False):
        of_apps = _of_all(m, m.app_size[m.app] <= size)
        yield f"invocations of apps of at most {size} functions", p, of_apps, 0.25  # as found


def _irregularity(m: Measured) -> Iterator[_Row]:
    is_timer = m.trigger == "timer"
    known, with_timer, with_other = np.isfinite(m.app_cv), m.apps(is_timer), m.apps(~is_timer)
    for what, apps, cv, cdf, tolerance in (  # as found
        ("apps without timer", ~with_timer, facts.NO_TIMER_CV[1:-1], facts.NO_TIMER_CV_CDF[1:-1], 0.10),
        ("apps of timers", ~with_other, facts.TIMER_CV, facts.TIMER_CV_CDF, 0.10),
        ("all apps", known, facts.ALL_CV, facts.ALL_CV_CDF, 0.15),  # contradicts the two others at 1
    ):
        for limit, p in zip(cv, cdf, strict=True):
            yield f"{what} with a CV of at most {limit:g}", p, _share(m.app_cv[apps & known] <= limit), tolerance
    for length, ratio in facts.VARIANCE_TO_MEAN.items():
        yield f"variance / mean of counts in {length} min", ratio, m.variance_to_mean[length], 0.3 * ratio  # as found


def _durations(m: Measured) -> Iterator[_Row]:
    """All tolerances are as found."""
    for limit, p in zip(facts.DURATION_S, facts.DURATION_CDF, strict=True):
        yield f"functions with a mean of at most {limit:g} s", p, _share(m.mean_s <= limit), 0.08
    yield "logarithm of the mean in s, mean", facts.DURATION_MU, np.log(m.mean_s).mean(), 0.15
    yield "logarithm of the mean in s, deviation", facts.DURATION_SIGMA, np.log(m.mean_s).std(), 0.2
    for limit, p in ((facts.DURATION_MAX_P50_S, 0.50), (facts.DURATION_MAX_P75_S, 0.75)):
        yield f"functions with a maximum of at most {limit:g} s", p, _share(m.max_s <= limit), 0.12
    yield "rank correlation of rate and mean", facts.RATE_DURATION_CORRELATION, _spearman(m.invocations, m.mean_s), 0.06


def _memory(m: Measured) -> Iterator[_Row]:
    """All tolerances are as found."""
    known = m.app_mb[np.isfinite(m.app_mb)]
    for percent in (1, 10, 50, 90, 99):
        mb = float(burr_mb(np.array(percent / 100)))
        measured = np.percentile(known, percent) if len(known) else math.nan
        yield f"memory of apps, p{percent}, in MiB", mb, measured, (0.25 if percent == 99 else 0.08) * mb


def _hours(m: Measured) -> Iterator[_Row]:
    """Of traces of whole weeks only: the published range is that of two."""
    if m.days % 7 == 0:
        per_hour = m.per_minute.reshape(-1, 60).sum(axis=1)
        for name, published, value in zip(
            ("quietest", "busiest"), facts.HOURLY_VOLUME, (per_hour.min(), per_hour.max()), strict=True
        ):
            yield f"{name} hour over the mean", published, value / per_hour.mean(), 0.1  # as found


_PARTS: Sequence[Callable[[Measured], Iterator[_Row]]] = (
    _rates,
    _popularity,
    _triggers,
    _apps,
    _irregularity,
    _durations,
    _memory,
    _hours,
)


def _of_all(m: Measured, which: npt.NDArray[np.bool_]) -> float:
    """Share of all invocations that these functions have."""
    return float(m.invocations[which].sum() / m.invocations.sum())


def _share(which: npt.NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else math.nan


def _spearman(x: Ints, y: Floats) -> float:
    """Correlation of ranks, equal values in random order."""
    if len(x) < 2:
        return math.nan
    tie = np.random.default_rng(0).random(len(x))
    rank_x, rank_y = (np.argsort(np.lexsort((tie, values))).astype(np.float64) for values in (x, y))
    return float(np.corrcoef(rank_x, rank_y)[0, 1])
