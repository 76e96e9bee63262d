"""Windows of trace time: ``08:00-09:00`` is 28800 s to 32400 s after the trace's first midnight."""

from __future__ import annotations

from sim.errors import TraceError
from sim.text import read_window

LONGEST_S = 10 * 366 * 86_400.0
"""Longer than any data set: an instant beyond is a wrong number, or counts from another start."""


def parse_window(text: str) -> tuple[float, float]:
    """Read ``HH:MM-HH:MM`` (or ``HH:MM:SS``) as half-open seconds of trace time (start_s, end_s).

    Hours go on past 23 on later days: ``32:00-33:00`` is 08:00 of the second day.
    Raises TraceError when the text has another form or the end isn't after the start.
    """
    try:
        return read_window(text, "trace time")
    except ValueError as error:
        raise TraceError(str(error)) from None


def check_span(span_s: tuple[float, float], named: str) -> None:
    """Raise TraceError when a trace covers more than ``LONGEST_S``."""
    if not span_s[1] - span_s[0] <= LONGEST_S:
        raise TraceError(
            f"{named}: covers {span_s[0] / 3600:.6g} h to {span_s[1] / 3600:.6g} h, more than ten years; "
            "instants must be seconds from the start of the trace"
        )


def format_window(window_s: tuple[float, float]) -> str:
    """Write (start_s, end_s) as ``parse_window`` reads it, in whole seconds."""
    return "-".join(_clock(at_s) for at_s in window_s)


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(round(at_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
