"""A synthetic trace of instants: one arrival process, and the functions of a synthetic Azure trace.

The process is that of the whole trace. Each arrival belongs to a function that is drawn by popularity, independently:
so with Poisson arrivals every function's are Poisson too, and with bursts all functions burst together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.errors import TraceError
from traces.arrivals.durations import DurationTable, duration_table
from traces.synth import facts
from traces.synth.files import ARRIVALS, publish
from traces.synth.ids import Ids
from traces.synth.patterns import Pattern
from traces.synth.population import draw_population
from traces.synth.tables import write_loads
from traces.synth.work import SERVICES
from traces.units import MIB, MINUTE_S, Floats
from traces.writer import write_native


@dataclass(frozen=True)
class PatternTrace:
    """Arrivals of a pattern (see ``sim.domain.Trace``), drawn when ``chunks`` reaches them.

    popularity: share of arrivals of each function, (n_functions,). durations: one row a function.
    """

    source: TraceSource
    functions: Sequence[TraceFunction]
    pattern: Pattern
    rate_per_s: float
    popularity: Floats
    durations: DurationTable
    seed: int

    @property
    def duration_s(self) -> float:
        """Length of the trace."""
        return self.source.duration_s

    @property
    def n_arrivals(self) -> int:
        """The expected number."""
        return round(self.rate_per_s * self.duration_s)

    @cached_property
    def _cdf(self) -> Floats:
        cumulative = np.cumsum(self.popularity)
        return np.asarray(cumulative / cumulative[-1])

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals in order. Each call draws the same ones."""
        when, who, how_long = (np.random.default_rng([self.seed, 5, stream]) for stream in range(3))
        for at_s in self.pattern.instants(when, self.rate_per_s, self.duration_s):
            function = np.searchsorted(self._cdf, who.random(len(at_s)), side="right").astype(np.int32)
            yield ArrivalChunk(at_s, function, self.durations.draw_s(function, how_long))


def write_pattern(
    directory: Path,
    *,
    pattern: Pattern,
    n_functions: int = 100,
    minutes: int = 60,
    rate_per_s: float | None = None,
    service: str = "azure",
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write ``arrivals.parquet`` in the native format; returns the files. Memory is that of the functions.

    Functions, popularity, durations and memory are those of ``write_azure2019`` with the same arguments. But a function
    may be without an arrival, and is then not in the file.

    Raises TraceError like ``write_azure2019``, and when there isn't a single arrival.
    """
    population = draw_population(n_functions, minutes, rate_per_s, seed)
    work = SERVICES[service](population, np.random.default_rng([seed, 2]))
    ids = Ids(population, seed)
    durations, _ = duration_table(work.average_ms.astype(float), work.points_ms.astype(float))
    memory_bytes = (work.memory_mb * MIB // population.app_size)[population.app].tolist()
    functions = [
        TraceFunction(key, key.partition("/")[0], facts.TRIGGERS[trigger], mean_s, size, expected)
        for key, trigger, mean_s, size, expected in zip(
            ids.keys(),
            population.trigger,
            durations.mean_s[:-1].tolist(),
            memory_bytes,
            population.expected.tolist(),
            strict=True,
        )
    ]
    trace = PatternTrace(
        TraceSource("synthetic", (), (0.0, minutes * MINUTE_S), {"arrivals": str(pattern), "seed": seed}),
        functions,
        pattern,
        population.expected.sum() / (minutes * MINUTE_S) if rate_per_s is None else rate_per_s,
        population.expected,
        durations,
        seed,
    )
    with publish(directory, overwrite) as hidden:
        if not write_native(trace, hidden / ARRIVALS):
            raise TraceError(
                f"arrivals {pattern}: none in {minutes} min; take more minutes, a higher rate, or another seed"
            )
        if work.load_s is not None:
            write_loads(hidden, ids, work.load_s)
        return sorted(directory / file.name for file in hidden.iterdir())
