"""How a trace is to be turned into arrivals: placement, window, rate and seed, checked once for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.errors import TraceError
from sim.settings import unknown
from sim.streams import Stream, generator
from traces.window import format_window, parse_window

_RATE_SCALE_MAX = 1e6
PLACEMENTS = ("uniform", "equidistant", "poisson", "start")


@dataclass(frozen=True)
class ReadOptions:
    """Checked options of ``open_trace``; ``window_s`` is None for the whole trace."""

    placement: str
    window_s: tuple[float, float] | None
    rate_scale: float
    seed: int

    def rng(self, stream: Stream, *where: int) -> np.random.Generator:
        """The generator of a stream at a place, such as (day, minute).

        It depends on nothing else: any window of a trace sees the same instants as the whole trace.
        """
        return generator(self.seed, stream, *where)

    def narrow(self, span_s: tuple[float, float], files: str) -> tuple[float, float]:
        """The window within the span that the trace covers; the span itself when no window was asked for.

        Raises TraceError when the window reaches beyond the span: missing data isn't an idle platform.
        """
        if self.window_s is None:
            return span_s
        if self.window_s[0] < span_s[0] or self.window_s[1] > span_s[1]:
            raise TraceError(
                f"{files}: the window {format_window(self.window_s)} reaches beyond the trace, "
                f"which covers {format_window(span_s)}"
            )
        return self.window_s

    def as_dict(self) -> dict[str, Any]:
        """The options for the manifest; the window is kept beside them, in ``TraceSource.window_s``."""
        return {"placement": self.placement, "rate_scale": self.rate_scale, "seed": self.seed}


def read_options(placement: str, window: str | None, rate_scale: float, seed: int) -> ReadOptions:
    """Check the options. Raises TraceError for an unknown placement, a bad window, rate or seed."""
    if placement not in PLACEMENTS:
        raise TraceError(unknown("placement", placement, PLACEMENTS))
    if not 0 < rate_scale <= _RATE_SCALE_MAX:
        raise TraceError(f"rate_scale {rate_scale!r}: must be a number above 0, up to {_RATE_SCALE_MAX:g}")
    if seed < 0:
        raise TraceError(f"seed {seed!r}: must be a whole number, 0 or more")
    return ReadOptions(placement, None if window is None else parse_window(window), float(rate_scale), seed)
