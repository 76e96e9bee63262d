"""What independent replications, one a seed, say: of one policy, and of two on the same arrivals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.bootstrap import LEAST, bca
from analysis.statistics.interval import (
    CONFIDENCE,
    Floats,
    Interval,
    no_interval,
    standard_error,
    t_interval,
    t_quantile,
)

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two policies, pair by pair.

    difference: of the means, value - baseline. ratio: of the means, value / baseline; NaN where the baseline is not
    above 0 in all pairs. p: chance of so large a difference, or a larger one, if there is none; NaN for fewer than two
    pairs.
    """

    difference: Interval
    ratio: Interval
    p: float


def replicated(values: Floats, *, skewed: bool = False, confidence: float = CONFIDENCE) -> Interval:
    """Interval for the expectation of what one replication gives.

    skewed: whether it is a quantile or the like, whose error is not symmetric: then by BCa, of enough values.
    """
    if not skewed:
        return t_interval(values, confidence)
    if len(values) < LEAST:
        return t_interval(values, confidence, _few("t"))
    if np.ptp(values) == 0:
        return t_interval(values, confidence)
    return bca((values,), np.mean, confidence)


def paired(value: Floats, baseline: Floats, *, skewed: bool = False, confidence: float = CONFIDENCE) -> Pairing:
    """Compare two policies over pairs that share their seed, so that what both suffer cancels out.

    Law and Kelton, section 10.2.1 (paired t) and 11.2 (common random numbers). The difference is that of ``replicated``
    over pairs; p is that of the paired t test in any case, since the differences of two equal policies are symmetric.
    """
    differences = value - baseline
    found = replicated(differences, skewed=skewed, confidence=confidence)
    return Pairing(found, _ratio(value, baseline, confidence), _p(differences))


def _p(differences: Floats) -> float:
    """Of the two-sided t test that their expectation is 0."""
    from scipy.stats import t

    if len(differences) < 2:
        return math.nan
    mean, error = float(differences.mean()), standard_error(differences)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / error, len(differences) - 1))


def _ratio(value: Floats, baseline: Floats, confidence: float) -> Interval:
    """Of the means: by BCa; of few pairs by the delta method, t s(value - ratio baseline) / (sqrt(n) mean(baseline)).

    The latter: Cochran, Sampling Techniques, chapter 6.
    """
    n = len(value)
    if n == 0 or not baseline.min() > 0:
        reason = "the baseline is not above 0 in all pairs" if n else "no values"
        return no_interval(math.nan, confidence, n, reason)
    ratio = float(value.mean() / baseline.mean())
    if n < 2:
        return no_interval(ratio, confidence, n, "fewer than two values")
    rest = value - ratio * baseline
    if np.abs(rest).max() <= _ROUNDING * np.abs(value).max():
        return Interval(ratio, ratio, ratio, confidence, n, "equality of all pairs")
    if n >= LEAST:
        return bca((value, baseline), _ratio_of_means, confidence)
    half = t_quantile(confidence, n - 1) * standard_error(rest) / float(baseline.mean())
    return Interval(ratio, ratio - half, ratio + half, confidence, n, _few("delta method"))


def _ratio_of_means(value: Floats, baseline: Floats, axis: int) -> Floats:
    ratio: Floats = value.mean(axis=axis) / baseline.mean(axis=axis)
    return ratio


def _few(method: str) -> str:
    return f"{method} (fewer than {LEAST} values are too few for BCa)"
