"""BCa bootstrap over independent values, or pairs of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.statistics.interval import Floats, Interval, t_quantile

LEAST = 8  # values: of fewer there are too few different resamples to have tails (of 7 there are 1,716)
RESAMPLES = 9_999
_AT_ONCE = 10**7  # numbers that are held
_SEED = 20_260_101  # the same values have the same interval, every time

Statistic = Callable[..., Any]  # of arrays, along axis


def bca(samples: tuple[Floats, ...], statistic: Statistic, confidence: float) -> Interval:
    """Bias-corrected and accelerated interval of ``statistic(*samples, axis=-1)``, resampled together.

    Efron, Better Bootstrap Confidence Intervals, JASA 82(397), 1987, by ``scipy.stats.bootstrap``. What is resampled
    from n values varies less than new ones would, by (n-1)/n, and has no t in it; so the level is widened to what makes
    it agree with Student's interval where that is right: alpha/2 -> Phi(-sqrt(n/(n-1)) t(n-1)), Hesterberg, What
    Teachers Should Know About the Bootstrap, The American Statistician 69(4), 2015. Needs ``LEAST`` values, of which
    not all give the same statistic.
    """
    from scipy.stats import bootstrap, norm

    n = len(samples[0])
    estimate = float(statistic(*samples, axis=-1))
    reach = math.sqrt(n / (n - 1)) * t_quantile(confidence, n - 1)
    found = bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        method="BCa",
        confidence_level=1 - 2 * float(norm.cdf(-reach)),
        n_resamples=RESAMPLES,
        batch=max(1, _AT_ONCE // n),
        random_state=np.random.default_rng(_SEED),
    ).confidence_interval
    return Interval(estimate, float(found.low), float(found.high), confidence, n, "BCa")
