"""An interval from one long run: means of batches, if they don't depend on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.statistics.interval import CONFIDENCE, Floats, Interval, no_interval, t_interval

COUNTS = (20, 10)  # of batches, most first: many say more, few depend less on each other
LEAST_SIZE = 500  # values in a batch: of small ones, too few tell that they depend on each other
_LEVEL = 0.05  # chance that independent batches are taken for dependent ones


@dataclass(frozen=True, slots=True)
class BatchMeans:
    """What one run says of its mean.

    interval: none where even the fewest batches depend on each other. lag1: correlation of neighbouring batches. p:
    chance of such neighbours if they were independent; NaN for too short a run.
    """

    interval: Interval
    lag1: float
    p: float


def batch_means(values: Floats, confidence: float = CONFIDENCE) -> BatchMeans:
    """Mean of a steady, correlated sequence: t interval over the means of equal batches of neighbours.

    Law and Kelton, section 9.5.3. Batches are made fewer and larger until they pass for independent, as in Fishman,
    Grouping Observations in Digital Simulation, Management Science 24(5), 1978. A rest that fills no batch is cut from
    the beginning.
    """
    mean = float(values.mean()) if len(values) else math.nan
    found = BatchMeans(no_interval(mean, confidence, 0, "the run is too short for batches"), math.nan, math.nan)
    for n in COUNTS:
        if len(values) < n * LEAST_SIZE:
            continue
        means = in_batches(values, n)
        lag1, p = lag_1(means), von_neumann(means)
        if p > _LEVEL:
            return BatchMeans(t_interval(means, confidence, f"{n} batch means"), lag1, p)
        reason = f"{n} batches depend on each other, with a correlation of {lag1:.2f} from one to the next"
        found = BatchMeans(no_interval(mean, confidence, n, reason), lag1, p)
    return found


def in_batches(values: Floats, n: int) -> Floats:
    """Means of n equal batches of neighbours."""
    size = len(values) // n
    means: Floats = values[len(values) - n * size :].reshape(n, size).mean(axis=1)
    return means


def lag_1(values: Floats) -> float:
    """Correlation between neighbours; 0 where all are equal."""
    centred = values - values.mean()
    square = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / square if square else 0.0


def von_neumann(values: Floats) -> float:
    """p of the one-sided test that neighbours are not more alike than independent normal values.

    C = 1 - sum (x(i+1) - x(i))^2 / (2 sum (x(i) - mean)^2) is normal about 0 with variance (n-2) / (n^2-1).

    Von Neumann, Distribution of the Ratio of the Mean Square Successive Difference to the Variance, Annals of
    Mathematical Statistics 12(4), 1941; in Fishman 1978 for batches.
    """
    from scipy.stats import norm

    n = len(values)
    square = float(np.sum((values - values.mean()) ** 2))
    if not square:
        return 1.0
    c = 1 - float(np.sum(np.diff(values) ** 2)) / (2 * square)
    return float(norm.sf(c * math.sqrt((n**2 - 1) / (n - 2))))
