"""Arrival processes of a whole trace: instants from a mean rate, block by block and in order.

``bursty``, ``periodic`` and ``sporadic`` are the three loads on which INFless (ASPLOS 2022) and StreamBox (USENIX ATC
2024) are evaluated. StreamBox publishes each as a file of counts a minute; here it is the simplest process that has the
file's coefficient of variation (CV), and about its share of idle minutes. The CV is that of the rate over minutes:
the squared CV of counts is larger by 1 / mean count.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from sim.errors import TraceError
from sim.settings import unknown
from traces.units import MINUTE_S, Floats

_BLOCK = 1 << 16  # instants of a block, about
_BASE = 0.15
_CORRELATION_S = 120.0


class Pattern(Protocol):
    """An arrival process. Its parameters are the fields of the class."""

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """Ascending instants in [0, horizon_s), also from block to block, ``rate_per_s`` in the long mean."""


@dataclass(frozen=True)
class Poisson:
    """Independent arrivals at a constant rate."""

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern."""
        return Gamma(cv=1.0).instants(rng, rate_per_s, horizon_s)


@dataclass(frozen=True)
class Gamma:
    """A renewal process with gamma-distributed inter-arrival times of this CV, so of shape 1 / cv^2."""

    cv: float = 4.0

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern. It begins as if an arrival had just been."""
        shape, now_s = self.cv**-2.0, 0.0
        while now_s < horizon_s:
            at_s = now_s + np.cumsum(rng.gamma(shape, 1 / (shape * rate_per_s), _BLOCK))
            now_s = at_s[-1]
            yield at_s[: np.searchsorted(at_s, horizon_s)]


@dataclass(frozen=True)
class Mmpp:
    """A Markov-modulated Poisson process of two states, which last ``high_s`` and ``low_s`` in the mean.

    The rate in the high state is ``ratio`` times that in the low one; both follow from the mean rate.
    """

    ratio: float = 10.0
    high_s: float = 60.0
    low_s: float = 540.0

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern. The first state is drawn by the share of time in it."""
        low = rate_per_s * (self.high_s + self.low_s) / (self.ratio * self.high_s + self.low_s)
        is_high, now_s = bool(rng.random() < self.high_s / (self.high_s + self.low_s)), 0.0
        while now_s < horizon_s:
            end_s = now_s + (self.high_s if is_high else self.low_s) * rng.standard_exponential()
            yield from _poisson(rng, low * (self.ratio if is_high else 1.0), now_s, min(end_s, horizon_s))
            is_high, now_s = not is_high, end_s


@dataclass(frozen=True)
class Bursty:
    """Bursts over a base load: an Mmpp whose minutes have this CV.

    The base is 0.15 of the mean rate, and the states have a correlation time of 2 minutes, as in StreamBox's bursty
    load of CV 0.76 (its low minutes have 0.12 to 0.16 of the mean, and neighbours a correlation of 0.66). INFless's
    has 0.95.
    """

    cv: float = 0.76

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern. Two states of correlation exp(-t / T) have this variance, averaged over a minute, of their own:
        2 (x - 1 + exp(-x)) / x^2 with x = 1 minute / T."""
        x = MINUTE_S / _CORRELATION_S
        cv = self.cv / math.sqrt(2 * (x - 1 + math.exp(-x)) / x**2)
        p_high = 1 / (1 + (cv / (1 - _BASE)) ** 2)
        ratio = (1 - (1 - p_high) * _BASE) / p_high / _BASE
        high_s, low_s = _CORRELATION_S / (1 - p_high), _CORRELATION_S / p_high
        return Mmpp(ratio, high_s, low_s).instants(rng, rate_per_s, horizon_s)


@dataclass(frozen=True)
class Periodic:
    """On for a share of each period, then off, so that the rate has this CV: the share is 1 / (1 + cv^2).

    StreamBox's periodic load has a CV of 1.39, a period of 200 minutes and no invocations in half of its minutes;
    INFless's has a CV of 0.92.
    """

    cv: float = 1.39
    period_s: float = 12_000.0

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern. The phase is drawn."""
        on_frac = 1 / (1 + self.cv**2)
        on_s = (rng.random() - 1) * self.period_s
        while on_s < horizon_s:
            off_s = on_s + on_frac * self.period_s
            yield from _poisson(rng, rate_per_s / on_frac, max(on_s, 0.0), min(off_s, horizon_s))
            on_s += self.period_s


@dataclass(frozen=True)
class Sporadic:
    """Idle but for single minutes, each with invocations at the same odds, 1 / (1 + cv^2), independently.

    StreamBox's sporadic load has a CV of 6.83 and no invocations in 97.6 % of its minutes, here 97.9 %; INFless's has
    a CV of 2.36.
    """

    cv: float = 6.83

    def instants(self, rng: np.random.Generator, rate_per_s: float, horizon_s: float) -> Iterator[Floats]:
        """See Pattern."""
        p = 1 / (1 + self.cv**2)
        minute = int(rng.geometric(p)) - 1
        while minute * MINUTE_S < horizon_s:
            yield from _poisson(rng, rate_per_s / p, minute * MINUTE_S, min((minute + 1) * MINUTE_S, horizon_s))
            minute += int(rng.geometric(p))


PATTERNS: Mapping[str, type[Pattern]] = {
    "poisson": Poisson,
    "gamma": Gamma,
    "mmpp": Mmpp,
    "bursty": Bursty,
    "periodic": Periodic,
    "sporadic": Sporadic,
}


def make_pattern(text: str) -> Pattern:
    """Make a pattern from ``name`` or ``name[k=v,...]``. Raises TraceError naming what is unknown or wrong."""
    match = re.fullmatch(r"([a-z]+)(?:\[([^\[\]]*)\])?", text.strip())
    if match is None:
        raise TraceError(f"arrivals {text!r}: must look like NAME or NAME[k=v,...]")
    name, settings = match.groups()
    if name not in PATTERNS:
        raise TraceError(unknown("arrivals", name, ["azure", *PATTERNS]))
    allowed = [f.name for f in dataclasses.fields(PATTERNS[name])]  # type: ignore[arg-type]
    values = {}
    for setting in filter(None, (s.strip() for s in (settings or "").split(","))):
        key, _, value = (part.strip() for part in setting.partition("="))
        if key in values:
            raise TraceError(f"arrivals {text!r}: {key} stands there twice")
        if key not in allowed:
            raise TraceError(f"arrivals {text!r}: {name} takes {', '.join(allowed) or 'no parameters'}, not {key!r}")
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = math.nan
        least = 1.0 if key.endswith("_s") else 1e-3  # the time to draw a trace grows with their inverse
        if not least <= values[key] < math.inf:
            raise TraceError(f"arrivals {text!r}: {key} is {value!r}, must be a number of {least:g} or more")
    return PATTERNS[name](**values)


def _poisson(rng: np.random.Generator, rate_per_s: float, start_s: float, end_s: float) -> Iterator[Floats]:
    """Instants of a Poisson process in [start_s, end_s), block by block."""
    n_blocks = math.ceil(max(rate_per_s * (end_s - start_s), 0.0) / _BLOCK)
    edges_s = np.linspace(start_s, end_s, n_blocks + 1)
    for low_s, high_s in pairwise(edges_s):
        n = rng.poisson(rate_per_s * (high_s - low_s))
        yield np.minimum(np.sort(rng.uniform(low_s, high_s, n)), np.nextafter(high_s, low_s))
