"""Published curves of Azure Functions 2019, and the same of a trace: what the figure of ``traces synth`` overlays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traces.synth import facts
from traces.synth.measure import Measured
from traces.synth.work import burr_mb, normal_quantile
from traces.units import Floats, Ints


@dataclass(frozen=True)
class Curve:
    """A published curve as points, and the same of a trace, both as (x, y)."""

    title: str
    x_label: str
    published: tuple[Floats, Floats]
    measured: tuple[Floats, Floats]


def curves(m: Measured) -> list[Curve]:
    """Curves of a trace beside the published ones."""
    p = np.linspace(0.001, 0.999, 200)
    ranks = np.geomspace(1 / len(m.invocations), 1, 60)
    without_timer = ~m.apps(m.trigger == "timer")
    durations_s = np.exp(facts.DURATION_MU + facts.DURATION_SIGMA * normal_quantile(p))
    return [
        Curve(
            "Rate of functions",
            "Invocations a day",
            if_invoked(facts.RATE_A_DAY, facts.RATE_CDF, m.days),
            _cdf(m.invocations / m.days),
        ),
        Curve(
            "Popularity",
            "Most invoked functions",
            (np.array(facts.TOP_FUNCTIONS), np.array(facts.TOP_FUNCTIONS_SHARE)),
            (ranks, np.array([top_share(m.invocations, rank) for rank in ranks])),
        ),
        Curve(
            "Apps without timer",
            "Inter-arrival CV",
            (np.array(facts.NO_TIMER_CV[1:-1]), np.array(facts.NO_TIMER_CV_CDF[1:-1])),
            _cdf(m.app_cv[without_timer & np.isfinite(m.app_cv)]),
        ),
        Curve(
            "Size of apps",
            "Functions",
            (np.array(facts.APP_SIZE[1:]), np.array(facts.APP_SIZE_CDF[1:])),
            _cdf(m.app_size),
        ),
        Curve("Duration of functions", "Mean (s)", (np.minimum(durations_s, facts.DURATION_MAX_S), p), _cdf(m.mean_s)),
        Curve("Memory of apps", "Mean (MiB)", (burr_mb(p), p), _cdf(m.app_mb[np.isfinite(m.app_mb)])),
    ]


def if_invoked(rates: Sequence[float], cdf: Sequence[float], days: float) -> tuple[Floats, Floats]:
    """The part of a distribution of rates a day that is above one in so many days, as rates and cumulative shares.

    A trace of a few days can't have the functions that are invoked less often.
    """
    least = np.interp(math.log(1 / days), np.log(rates), cdf)
    above = np.array(rates) * days > 1 + 1e-9
    return np.array(rates)[above], (np.array(cdf)[above] - least) / (1 - least)


def top_share(invocations: Floats | Ints, share: float) -> float:
    """Share of invocations that this share of the most invoked has, at least the first of them."""
    n = max(1, round(share * len(invocations)))
    return float(np.sort(invocations)[::-1][:n].sum() / invocations.sum())


def _cdf(values: Floats | Ints) -> tuple[Floats, Floats]:
    return np.sort(values).astype(float), np.arange(1, len(values) + 1) / len(values)
