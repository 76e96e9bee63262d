"""Where in its minute a counted invocation arrives.

A minute's counts don't say. The four rules are those of published simulators: ``uniform`` and ``equidistant``
(InVitro), ``start`` (FaasCache, for single invocations) and ``poisson`` (dslab-faas).
"""

from __future__ import annotations

import numpy as np

from traces.units import MINUTE_S, Floats, Ints


def place(counts: Ints, placement: str, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Spread one minute's invocations over the minute.

    counts: invocations of each cell, one cell a function. Returns, for every arrival, its cell and its offset
    in [0, 60) s; grouped by cell, within a cell in no particular order.

    uniform: independent, uniform instants. equidistant: the k-th of n at (k + 1/2) * 60 / n.
    poisson: the count is a rate: Poisson(count) arrivals at uniform instants. start: all at the minute's start.
    """
    if placement == "poisson":
        counts = rng.poisson(counts)
    cell = np.repeat(np.arange(len(counts)), counts)
    if placement == "start":
        return cell, np.zeros(len(cell))
    if placement == "equidistant":
        nth = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        return cell, (nth + 0.5) * MINUTE_S / counts[cell]
    return cell, rng.random(len(cell)) * MINUTE_S


def scale_counts(counts: Ints, rate_scale: float, rng: np.random.Generator) -> Ints:
    """Counts times ``rate_scale``: the whole part exactly, the fraction by binomial thinning of each cell."""
    whole = int(rate_scale)
    return counts * whole + rng.binomial(counts, rate_scale - whole)
