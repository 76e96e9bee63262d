"""Text for people, and safe to show, whatever a name, a file or a value holds."""

from __future__ import annotations

import re
import reprlib

_CLOCK = r"(\d{2,4}):([0-5]\d)(?::([0-5]\d))?"
_WINDOW = re.compile(rf"{_CLOCK}-{_CLOCK}", re.ASCII)
_LINE_MAX = 2_000  # the longest message of our own, which lists the columns of all formats, has 1,500


def printable(text: str) -> str:
    """The text with escapes in place of what a terminal obeys: control characters but line ends, marks that turn the
    direction of writing, and what is no Unicode, such as parts of file names that aren't UTF-8."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def clipped(text: str) -> str:
    """The text with the middle cut out of lines that nobody would read: names and values have no limit."""
    return "\n".join(
        line if len(line) <= _LINE_MAX else f"{line[: _LINE_MAX // 2]} ... {line[-_LINE_MAX // 2 :]}"
        for line in text.split("\n")
    )


def short(number: float) -> str:
    """Three significant digits, without an exponent for what is large: 0.0123, 12.3, 1,235."""
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


def counted(n: int, what: str) -> str:
    """``1 GPU``, ``1,024 GPUs``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def read_window(text: str, time: str) -> tuple[float, float]:
    """Read ``HH:MM-HH:MM`` (or ``HH:MM:SS``) as half-open seconds (start_s, end_s) of a time, such as "trace time".

    Raises ValueError with a sentence when the text has another form or the end isn't after the start.
    """
    match = _WINDOW.fullmatch(text)
    if not match:
        raise ValueError(f"window {text!r}: write HH:MM-HH:MM in {time}, for instance 08:00-09:00")
    parts = [int(part or 0) for part in match.groups()]
    start_s, end_s = (float(h * 3600 + m * 60 + s) for h, m, s in (parts[:3], parts[3:]))
    if end_s <= start_s:
        raise ValueError(f"window {text!r}: its end must be after its start (hours go on past 23)")
    return start_s, end_s


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlong = 40


shown = _Short().repr
"""``repr`` for messages: of long or deep values the beginning, so that a message stays a sentence."""
