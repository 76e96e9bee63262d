"""Open loads: requests come at their instants, however slow the replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sim.domain import ArrivalChunk
from sim.errors import ScenarioError
from sim.loads.clients import Clients, Load, LoadTrace, chunk
from sim.settings import require

_IN_STEP = 16_384  # arrivals of all clients that are generated together, on average
_TRIES = 10_000


class PoissonTrace(LoadTrace):
    """A Poisson process for each client, at ``rates_per_s[client]``.

    It lasts until ``duration_s``, and until there were ``least`` arrivals of all. The gaps of a client come from a
    stream of its own: other clients change nothing, and another rate only the scale of time.
    """

    def __init__(
        self, load: Load, clients: Clients, rates_per_s: Sequence[float], duration_s: float, least: int = 0
    ) -> None:
        n_expected = round(sum(rates_per_s) * duration_s)
        super().__init__(load, clients, duration_s, max(n_expected, least), rates_per_s)
        self._clients = clients
        self._rates_per_s = rates_per_s
        self._least = least

    def chunks(self) -> Iterator[ArrivalChunk]:
        """See ``Trace``. At the same instant the client with the lower number goes first."""
        streams = [_Stream(self._clients.rng(i), rate_per_s) for i, rate_per_s in enumerate(self._rates_per_s)]
        step_s = min(_IN_STEP, self.n_arrivals + 1) / sum(self._rates_per_s)
        step = n = 0
        while step * step_s < self.duration_s or n < self._least:
            step += 1
            parts = [stream.until(step * step_s) for stream in streams]
            at_s = np.concatenate(parts)
            function = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
            order = np.argsort(at_s, kind="stable")
            at_s, function = at_s[order], function[order]
            wanted = (at_s < self.duration_s) | (np.arange(n, n + len(at_s)) < self._least)
            n += int(wanted.sum())
            if wanted.any():
                yield chunk(at_s[wanted], function[wanted])


class _Stream:
    """The instants of one client. In which pieces they are asked for makes no difference."""

    def __init__(self, rng: np.random.Generator, rate_per_s: float) -> None:
        self._rng = rng
        self._rate_per_s = rate_per_s
        self._last_s = 0.0
        self._ahead_s = np.zeros(0)

    def until(self, end_s: float) -> npt.NDArray[np.float64]:
        """The next instants, up to ``end_s``."""
        while self._last_s < end_s:
            n = int(1.1 * self._rate_per_s * (end_s - self._last_s)) + 16
            gaps_s = self._rng.standard_exponential(n) / self._rate_per_s
            more_s = np.cumsum([self._last_s, *gaps_s])[1:]  # summed from the last, as a sequence without pieces is
            self._last_s = float(more_s[-1])
            self._ahead_s = np.concatenate([self._ahead_s, more_s])
        n = int(np.searchsorted(self._ahead_s, end_s))
        instants_s, self._ahead_s = self._ahead_s[:n], self._ahead_s[n:]
        return instants_s


@dataclass(frozen=True)
class Poisson(Load):
    """Independent requests at ``rate`` a second, of all clients together, for ``duration`` seconds; equal shares."""

    rate: float
    duration: float = 300.0

    name: ClassVar[str] = "poisson"
    source: ClassVar[str] = "Poisson process"

    def __post_init__(self) -> None:
        _check(self.rate, self.duration)

    def trace(self, clients: Clients) -> PoissonTrace:
        """See ``Load``."""
        return PoissonTrace(self, clients, equal_shares(self.rate, clients), self.duration)


@dataclass(frozen=True)
class Zipf(Load):
    """Poisson requests of unequal clients: the heaviest sends ``rate`` / clients a second, the others in proportion.

    So ``rate`` is what as many clients as heavy as the heaviest would send together; in KaaS it is the peak that the
    fleet can serve. The weights are Zipf numbers, the same for every seed: see ``zipf_weights``.
    """

    rate: float
    duration: float = 300.0
    exponent: float = 1.8
    max_ratio: float = 20.0

    name: ClassVar[str] = "zipf"
    source: ClassVar[str] = "KaaS, heterogeneous clients (Pemberton et al., arXiv 2212.08146, public code)"

    def __post_init__(self) -> None:
        _check(self.rate, self.duration)
        require(1 < self.exponent < float("inf"), "exponent", self.exponent, "a finite number above 1")
        require(self.max_ratio >= 1, "max_ratio", self.max_ratio, "at least 1")

    def trace(self, clients: Clients) -> PoissonTrace:
        """See ``Load``. Raises ScenarioError when so many clients have no weights within ``max_ratio``."""
        weights = zipf_weights(clients.n, self.exponent, self.max_ratio)
        heaviest_per_s = self.rate / clients.n
        return PoissonTrace(self, clients, [heaviest_per_s * w / max(weights) for w in weights], self.duration)


def zipf_weights(n: int, exponent: float, max_ratio: float) -> list[int]:
    """Weights of n clients: Zipf numbers from NumPy's generator with seed 0, all drawn again until none is more than
    ``max_ratio`` times another. For 4 clients of exponent 1.8: 3, 1, 8, 11.

    Raises ScenarioError when 10,000 draws bring none.
    """
    rng = np.random.default_rng(0)
    for _ in range(_TRIES):
        weights: list[int] = rng.zipf(exponent, n).tolist()
        if max(weights) <= max_ratio * min(weights):
            return weights
    raise ScenarioError(
        f"max_ratio is {max_ratio:g}, but {n} Zipf numbers of exponent {exponent:g} spread more in each of {_TRIES:,} "
        "draws; take fewer clients, or a larger max_ratio or exponent"
    )


def equal_shares(rate_per_s: float, clients: Clients) -> list[float]:
    """A rate of all clients together, divided."""
    return [rate_per_s / clients.n] * clients.n


def _check(rate_per_s: float, duration_s: float) -> None:
    require(0 < rate_per_s < float("inf"), "rate", rate_per_s, "a finite number above 0")
    require(0 < duration_s < float("inf"), "duration", duration_s, "a finite number above 0")
