"""A histogram with logarithmic buckets: quantiles of any number of values, in memory that their number doesn't change.

The rule is that of DDSketch (Masson, Rim and Lee, *DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees*, VLDB 2019): each bucket is as wide as a fixed share of what is in it, and any value of it
stands for all. The bucket of a number is here the first bits of its float64, exponent and 7 bits of the mantissa (the
paper's fast mapping, linear between powers of two), so that no logarithm is taken and no range has to be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEW = 4_096
_MANTISSA_BITS = 7
_SHIFT = 52 - _MANTISSA_BITS
RELATIVE_ERROR = 2.0 ** -(_MANTISSA_BITS + 1)  # half the width of a bucket at its lower edge, 0.4 %
_LEAST = np.finfo(np.float64).smallest_normal  # numbers below have no first bits to go by


class Histogram:
    """Counts of finite numbers >= 0; what is below 2.3e-308, or below 0, counts as 0.

    few: so many numbers are kept as they are. count, total, least, most: how many were added, their sum, and the ends;
    exact. least and most are NaN for none.
    """

    def __init__(self, few: int = FEW) -> None:
        self.count = 0
        self.total = 0.0
        self.least = self.most = np.nan
        self._n_zero = 0
        self._first = 0  # the bucket of _counts[0]
        self._counts = np.zeros(0, dtype=np.int64)
        self._few = few
        self._values: Floats | None = np.empty(0)

    @property
    def mean(self) -> float:
        """The arithmetic mean; there must be a number."""
        return self.total / self.count

    @property
    def exact(self) -> bool:
        """Whether quantiles are those of the numbers themselves: there are no more than few."""
        return self._values is not None

    def add(self, values: Floats) -> None:
        """Count these numbers, (n,). Raises ValueError for one that is not finite."""
        if not len(values):
            return
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            raise ValueError("a histogram counts finite numbers alone")
        positive = values if least >= _LEAST else values[values >= _LEAST]
        if len(positive):
            bucket = positive.astype(np.float64, copy=False).view(np.int64) >> _SHIFT
            first = int(bucket.min())
            self._add_counts(first, np.bincount(bucket - first))
        self._add_facts(len(values), float(values.sum()), least, most, len(values) - len(positive), values)

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted, as if it had been added here."""
        if not other.count:
            return
        self._add_counts(other._first, other._counts)
        self._add_facts(other.count, other.total, other.least, other.most, other._n_zero, other._values)

    def quantiles(self, shares: Sequence[float] | Floats) -> Floats:
        """Quantiles at these shares from 0 to 1, (n,), linear between neighbours in order (Hyndman and Fan, type 7).

        Of more than few numbers, each is within RELATIVE_ERROR of what it would be of the numbers themselves, since so
        are both of its neighbours; those at 0 and 1 are exact. There must be a number.
        """
        share = np.asarray(shares, dtype=np.float64)
        if self._values is not None:
            return np.asarray(np.quantile(self._values, share))
        edges = (self._first + np.arange(len(self._counts) + 1)) << _SHIFT
        edge = edges.view(np.float64)
        middle = np.append(0.0, edge[:-1] + (edge[1:] - edge[:-1]) / 2).clip(self.least, self.most)
        cumulative = np.cumsum(np.append(self._n_zero, self._counts))
        place = share * (self.count - 1)
        rank = np.stack([np.floor(place), np.ceil(place)])
        below, above = middle[np.searchsorted(cumulative, rank, side="right")]
        ends = [rank[1] == 0, rank[0] == self.count - 1]
        return np.select(ends, [self.least, self.most], below + place % 1 * (above - below))

    def as_plain(self) -> dict[str, Any]:
        """All of it as numbers, lists and None, which JSON can hold."""
        return {
            "count": self.count,
            "sum": self.total,
            "least": self.least if self.count else None,
            "most": self.most if self.count else None,
            "n_zero": self._n_zero,
            "first_bucket": self._first,
            "counts": self._counts.tolist(),
            "few": self._few,
            "values": None if self._values is None else self._values.tolist(),
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Histogram:
        """The histogram that gave ``as_plain()``."""
        made = cls(plain["few"])
        if plain["count"]:
            made._add_counts(plain["first_bucket"], np.array(plain["counts"], dtype=np.int64))
            values = None if plain["values"] is None else np.array(plain["values"])
            made._add_facts(plain["count"], plain["sum"], plain["least"], plain["most"], plain["n_zero"], values)
        return made

    def _add_counts(self, first: int, counts: npt.NDArray[np.int64]) -> None:
        """Add to buckets, which are as many as lie between the least and the greatest number."""
        if not len(counts):
            return
        if not len(self._counts):
            self._first = first
        before = max(self._first - first, 0)
        after = max(first + len(counts) - self._first - len(self._counts), 0)
        if before or after:
            self._counts = np.pad(self._counts, (before, after))
            self._first -= before
        at = first - self._first
        self._counts[at : at + len(counts)] += counts

    def _add_facts(
        self, count: int, total: float, least: float, most: float, n_zero: int, values: Floats | None
    ) -> None:
        self.count += count
        self.total += total
        self.least = float(np.fmin(self.least, least))
        self.most = float(np.fmax(self.most, most))
        self._n_zero += n_zero
        if self._values is not None and values is not None and self.count <= self._few:
            self._values = np.append(self._values, values)
        else:
            self._values = None
