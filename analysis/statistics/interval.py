"""An estimate with its confidence interval, and Student's interval for a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where the truth lies with this confidence.

    n: independent values that it is from (replications, pairs or batches). method: how, or why there is none; without
    one, low and high are NaN.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    n: int
    method: str

    @property
    def known(self) -> bool:
        """Whether there is one at all."""
        return not math.isnan(self.low)

    @property
    def half_width(self) -> float:
        """Half of what lies between its ends."""
        return (self.high - self.low) / 2


def no_interval(estimate: float, confidence: float, n: int, reason: str) -> Interval:
    """An estimate whose interval nobody can tell, and why."""
    return Interval(estimate, math.nan, math.nan, confidence, n, f"none: {reason}")


def t_interval(values: Floats, confidence: float = CONFIDENCE, method: str = "t") -> Interval:
    """Student's interval for the mean of independent values: mean +- t(n-1) s / sqrt(n).

    Law and Kelton, Simulation Modeling and Analysis, section 4.5. None for fewer than two values.
    """
    n = len(values)
    mean = float(np.mean(values)) if n else math.nan
    if n < 2:
        return no_interval(mean, confidence, n, "fewer than two values")
    half = t_quantile(confidence, n - 1) * standard_error(values)
    return Interval(mean, mean - half, mean + half, confidence, n, method)


def t_quantile(confidence: float, degrees: int) -> float:
    """How many standard errors an interval of this confidence reaches to each side."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, degrees))


def standard_error(values: Floats) -> float:
    """Of the mean of independent values: s / sqrt(n); 0 where all are equal, whatever rounding says."""
    if np.ptp(values) == 0:
        return 0.0
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
