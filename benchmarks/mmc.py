"""M/M/c queues whose truth is known: exact mean and quantiles of the sojourn, and many simulated ones at once.

First come, first served, c servers, each of rate mu, arrivals at rate lambda; Kleinrock, Queueing Systems, volume 1,
section 3.5 (Erlang's C), and section 5.12 for times.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Floats = npt.NDArray[np.float64]


def erlang_c(c: int, load: float) -> float:
    """Chance to wait; load: lambda / mu, below c."""
    terms = [load**k / math.factorial(k) for k in range(c)]
    full = load**c / math.factorial(c) * c / (c - load)
    return full / (sum(terms) + full)


def mean_sojourn_s(c: int, arrivals_per_s: float, mu_per_s: float) -> float:
    """Mean of waiting and service: C / (c mu - lambda) + 1 / mu."""
    wait = erlang_c(c, arrivals_per_s / mu_per_s) / (c * mu_per_s - arrivals_per_s)
    return wait + 1 / mu_per_s


def sojourn_tail(t_s: float, c: int, arrivals_per_s: float, mu_per_s: float) -> float:
    """P(sojourn > t): those who wait do so exponentially with rate theta = c mu - lambda, and are served after it.

    (1 - C) exp(-mu t) + C (theta exp(-mu t) - mu exp(-theta t)) / (theta - mu), for theta other than mu.
    """
    waits, theta = erlang_c(c, arrivals_per_s / mu_per_s), c * mu_per_s - arrivals_per_s
    both = (theta * math.exp(-mu_per_s * t_s) - mu_per_s * math.exp(-theta * t_s)) / (theta - mu_per_s)
    return (1 - waits) * math.exp(-mu_per_s * t_s) + waits * both


def sojourn_quantile_s(q: float, c: int, arrivals_per_s: float, mu_per_s: float) -> float:
    """The t with P(sojourn > t) = 1 - q."""
    return float(brentq(lambda t: sojourn_tail(t, c, arrivals_per_s, mu_per_s) - (1 - q), 0, 1e4 / mu_per_s))


def sojourns_s(gaps_s: Floats, services_s: Floats, c: int) -> Floats:
    """Sojourn of each customer, in many queues at once that begin empty: (customers, queues), as are the arguments.

    The recursion of Kiefer and Wolfowitz, On the Theory of Queues with Many Servers, Transactions of the American
    Mathematical Society 78, 1955: each goes to the server that is free first.
    """
    n, queues = services_s.shape
    work_s = np.zeros((queues, c))  # of each server, as the next customer sees it
    every = np.arange(queues)
    sojourn_s = np.empty((n, queues))
    for i in range(n):
        np.maximum(work_s - gaps_s[i][:, None], 0, out=work_s)
        first = work_s.argmin(axis=1)
        work_s[every, first] += services_s[i]
        sojourn_s[i] = work_s[every, first]
    return sojourn_s
