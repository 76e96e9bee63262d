"""How wide figures are."""

from __future__ import annotations

WIDTH_IN = 3.3  # one column of the ACM and USENIX templates
TEXT_WIDTH_IN = 7.0  # both columns
_LEAST_IN, _MOST_IN = 3, 30
_NAMED = {"column": WIDTH_IN, "text": TEXT_WIDTH_IN}


def width_in(value: str | float) -> float:
    """Inches of a width that a user gives: column, text or a number. Raises ValueError with the rule."""
    if value in _NAMED:
        return _NAMED[str(value)]
    try:
        inches = float(value)
    except ValueError:
        inches = 0.0
    if not _LEAST_IN <= inches <= _MOST_IN:
        raise ValueError(f"{value!r} must be column, text or a number of inches from {_LEAST_IN} to {_MOST_IN}")
    return inches
