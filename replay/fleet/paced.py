"""A trace at the pace of a replay: stretched in time, and cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from replay.errors import ReplayError
from sim.domain import ArrivalChunk, Trace, TraceFunction, TraceSource

LONGEST_S = 900.0  # of a replay whose length wasn't asked for: a whole day is a forgotten window


@dataclass(frozen=True)
class PacedTrace:
    """``trace`` with all instants times ``time_scale``, of which the first ``limit_s`` seconds; None for all.

    Raises ReplayError unless both are above 0.
    """

    trace: Trace
    time_scale: float = 1.0
    limit_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.time_scale < float("inf"):
            raise ReplayError(f"time_scale is {self.time_scale:g}, must be a finite number above 0")
        if self.limit_s is not None and not self.limit_s > 0:
            raise ReplayError(f"duration is {self.limit_s:g} s, must be above 0")

    @property
    def source(self) -> TraceSource:
        """The source of the trace, with the pace among its options."""
        source = self.trace.source
        pace = {"time_scale": self.time_scale, "duration_s": self.limit_s}
        return replace(source, options={**source.options, **pace})

    @property
    def functions(self) -> Sequence[TraceFunction]:
        """All functions of the trace, whether they are still invoked or not."""
        return self.trace.functions

    @property
    def duration_s(self) -> float:
        """Length at this pace."""
        duration_s = self.trace.duration_s * self.time_scale
        return duration_s if self.limit_s is None else min(duration_s, self.limit_s)

    @property
    def n_arrivals(self) -> int:
        """An estimate when the trace is cut, as if arrivals were even."""
        return round(self.trace.n_arrivals * self.duration_s / (self.trace.duration_s * self.time_scale))

    def chunks(self) -> Iterator[ArrivalChunk]:
        """The arrivals; durations stay those of the trace."""
        for chunk in self.trace.chunks():
            at_s = chunk.at_s * self.time_scale
            n = len(at_s) if self.limit_s is None else int(at_s.searchsorted(self.limit_s))
            if n:
                yield ArrivalChunk(at_s[:n], chunk.function[:n], chunk.duration_s[:n])
            if n < len(at_s):
                return


def announce(trace: Trace, asked_s: float | None) -> str:
    """How long a replay of the trace will take, and of how many arrivals, for people.

    asked_s: how long it was asked for. Raises ReplayError when it wasn't, and is longer than ``LONGEST_S``.
    """
    if asked_s is None and trace.duration_s > LONGEST_S:
        raise ReplayError(
            f"the replay would last {_spelt(trace.duration_s)}, more than {LONGEST_S / 60:g} minutes: take a part of "
            "the trace with --window, shorten its gaps with --time-scale, or say with --duration how long it may last"
        )
    return f"Replaying about {trace.n_arrivals:,} arrivals in {_spelt(trace.duration_s)}."


def _spelt(duration_s: float) -> str:
    """A duration in the largest unit that it has two of."""
    size_s, unit = next((u for u in ((3600, "hours"), (60, "minutes")) if duration_s >= 2 * u[0]), (1, "s"))
    return f"{duration_s / size_s:.3g} {unit}"
