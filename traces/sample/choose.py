"""A representative part of a trace: a few of its functions that together look like all of them.

Every sampled function stands for a slice of the trace's functions that are about as popular. So popularity and the
total are kept by construction: a sample of n of N functions has about n/N of the invocations. Which function of a
slice is taken is free, and used to bring durations, load and the rate over time near those of the trace.

Functions keep their own arrivals, one by one. The exception is a function with more than twice the mean of its slice:
it is thinned at random to that mean. These are the few functions at the head, which may have most of the invocations
of a trace: kept whole, one of them would multiply the load of a small sample, and without it the skew is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np

from sim.domain import ArrivalChunk, Trace, TraceFunction, TraceSource
from sim.errors import TraceError
from traces.arrivals.chunks import rechunk
from traces.sample.distances import Profile, Yardstick, profile
from traces.units import Floats, Ints

_THINNED_ABOVE = 2.0  # times the mean of a slice; below the head, slices are far narrower
_TRIES = 2000  # to take another function of a slice
_UNIFORM_DRAWS = 100  # for comparison


class _Stream(IntEnum):
    """What a random stream is for."""

    CHOICE = 0
    THINNING = 1
    UNIFORM = 2


@dataclass(frozen=True)
class Sample:
    """A trace of some functions of another one (see ``sim.domain.Trace``), and how far it is from it.

    chosen: indices into ``whole.functions``, ascending, (n,). kept_frac: share of its invocations that each keeps, 1
    unless it is thinned, (n,). n_arrivals: exact when none is thinned, else what is expected. distances: by name, see
    ``sample_distances``. uniform_distances: medians of 100 samples of this size, drawn uniformly and not thinned.
    """

    whole: Trace
    seed: int
    chosen: Ints
    kept_frac: Floats
    n_arrivals: int
    distances: Mapping[str, float]
    uniform_distances: Mapping[str, float]

    @cached_property
    def functions(self) -> Sequence[TraceFunction]:
        """The chosen functions, in the order of the whole trace."""
        chosen = (self.whole.functions[i] for i in self.chosen)
        return [
            replace(f, n_invocations=f.n_invocations * kept)
            for f, kept in zip(chosen, self.kept_frac.tolist(), strict=True)
        ]

    @property
    def source(self) -> TraceSource:
        """That of the whole trace, with the sample among the options."""
        options = {"sample_functions": len(self.chosen), "sample_seed": self.seed}
        return replace(self.whole.source, options={**self.whole.source.options, **options})

    @property
    def duration_s(self) -> float:
        """Length of the window."""
        return self.whole.duration_s

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals of these functions in the whole trace, in order; of thinned ones always the same part."""
        return rechunk(self._parts())

    def _parts(self) -> Iterator[ArrivalChunk]:
        n = len(self.whole.functions)
        number = np.full(n, -1, np.int32)
        number[self.chosen] = np.arange(len(self.chosen))
        kept_frac = np.zeros(n)
        kept_frac[self.chosen] = self.kept_frac
        thinning = _rng(self.seed, _Stream.THINNING)
        for chunk in self.whole.chunks():
            stays = thinning.random(len(chunk.at_s)) < kept_frac[chunk.function]
            yield ArrivalChunk(chunk.at_s[stays], number[chunk.function[stays]], chunk.duration_s[stays])


def sample(trace: Trace, n_functions: int, seed: int = 0) -> Sample:
    """Choose functions of a trace; the same arguments choose the same ones.

    The sum of the distances is made small: a random function of each slice is taken, and then 2,000 times another one
    of one slice, if the sum falls. All arrivals are drawn once; memory is 1.2 kB a function.

    Raises TraceError for a number of functions that the trace doesn't have, a negative seed, and a trace without
    arrivals.
    """
    if not 1 <= n_functions <= len(trace.functions):
        raise TraceError(f"functions {n_functions!r}: must be 1 to {len(trace.functions)}, as many as the trace has")
    if seed < 0:
        raise TraceError(f"seed {seed!r}: must be a whole number, 0 or more")
    counted = profile(trace)
    if not counted.invocations.any():
        raise TraceError("placement poisson has drawn no invocation at all: nothing can be sampled")
    yardstick = Yardstick(counted)
    chosen, kept_frac = _choose(counted, yardstick, n_functions, _rng(seed, _Stream.CHOICE))
    return Sample(
        whole=trace,
        seed=seed,
        chosen=chosen,
        kept_frac=kept_frac,
        n_arrivals=round(float(counted.invocations[chosen] @ kept_frac)),
        distances=yardstick.distances(chosen, kept_frac),
        uniform_distances=_uniform_distances(yardstick, len(trace.functions), n_functions, _rng(seed, _Stream.UNIFORM)),
    )


def _choose(counted: Profile, yardstick: Yardstick, n: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Indices of n functions, ascending, and the shares of their invocations that they keep."""
    by_popularity = np.argsort(counted.invocations, kind="stable")
    edges = np.arange(n + 1) * len(by_popularity) // n
    sizes = np.diff(edges)
    means = np.add.reduceat(counted.invocations[by_popularity], edges[:-1]) / sizes

    def kept(chosen: Ints) -> Floats:
        own = counted.invocations[chosen]
        return np.where(own > _THINNED_ABOVE * means, means / np.maximum(own, 1), 1.0)

    def badness(chosen: Ints) -> float:
        return sum(yardstick.distances(chosen, kept(chosen)).values())

    best = by_popularity[edges[:-1] + (rng.random(n) * sizes).astype(np.int64)]
    least = badness(best)
    for _ in range(_TRIES):
        i = n - int((n + 1) ** rng.random())  # log-uniform in rank: the most popular ones matter most
        other = best.copy()
        other[i] = by_popularity[rng.integers(edges[i], edges[i + 1])]
        if (bad := badness(other)) < least:
            best, least = other, bad
    order = np.argsort(best)
    return best[order], kept(best)[order]


def _uniform_distances(yardstick: Yardstick, n_all: int, n: int, rng: np.random.Generator) -> dict[str, float]:
    draws = [yardstick.distances(rng.choice(n_all, n, replace=False), np.ones(n)) for _ in range(_UNIFORM_DRAWS)]
    return {name: float(np.median([distances[name] for distances in draws])) for name in draws[0]}


def _rng(seed: int, stream: _Stream) -> np.random.Generator:
    return np.random.default_rng([seed, stream])
