"""Colours and dashes of lines, by their place, the same in figures and on pages."""

from __future__ import annotations

# Okabe and Ito, "Color Universal Design" (2008); a grey in place of the yellow, too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.2), (1, 1), (5, 1, 1, 1))  # on and off, in widths of the line


def look_of(place: int) -> tuple[str, tuple[float, ...]]:
    """Colour and dashes of the line at this place: neighbours differ in both, no two of the first 16 share both."""
    turn, colour = divmod(place, len(COLOURS))
    return COLOURS[colour], _DASHES[(colour + turn) % len(_DASHES)]
