"""Run times that vary: worlds draw factors on what is expected, with mean 1."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from math import log1p, sqrt

import numpy as np
import numpy.typing as npt

from sim.settings import require

MOST_SPREAD = 10.0  # with more, the mean of a million draws is still far from 1
_BLOCK = 4_096  # factors drawn at once, so that one costs little more than a call


class Variation:
    """Independent factors on the run times of functions, lognormal, with mean 1 and a spread of each function's own.

    Times are positive and have a longer tail above than below, and a product of many small disturbances is lognormal
    (Limpert, Stahel and Abbt, Log-normal Distributions across the Sciences, BioScience 51(5), 2001). With a coefficient
    of variation c, the variance of the logarithm is ln(1 + c^2), and its mean minus half of that.

    spread: coefficient of variation by function, at least 0, float64 (functions,). Functions of the same spread take
    their factors from one sequence, in the order in which they ask; each sequence has a random stream of its own, so
    what is drawn for one spread shifts no other. Where the spread is 0 the factor is 1.0, and nothing is drawn.
    varies: whether any spread is above 0.
    """

    def __init__(self, spread: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
        levels, of_function = np.unique(spread, return_inverse=True)
        streams = rng.spawn(len(levels))
        sequences = [_factors(level, own) for level, own in zip(levels.tolist(), streams, strict=True)]
        self._factors: list[Iterator[float]] = [sequences[i] for i in of_function.tolist()]
        self.varies = bool((spread > 0).any())

    def factor(self, function: int) -> float:
        """The factor of the next invocation of a function."""
        return next(self._factors[function])


def require_spread(spread: float) -> None:
    """Raise ScenarioError for a coefficient of variation that no run times have."""
    require(0 <= spread <= MOST_SPREAD, "spread", spread, f"from 0 to {MOST_SPREAD:g}")


def _factors(spread: float, rng: np.random.Generator) -> Iterator[float]:
    """Without end."""
    if not spread:
        return repeat(1.0)
    variance = log1p(spread * spread)
    blocks = (rng.lognormal(-variance / 2, sqrt(variance), _BLOCK).tolist() for _ in repeat(None))
    return chain.from_iterable(blocks)
