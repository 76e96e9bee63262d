"""Text that is safe to show, whatever a name, a file or a value holds."""

from __future__ import annotations

import reprlib


def printable(text: str) -> str:
    """The text with escapes in place of what a terminal obeys: control characters but line ends, marks that turn the
    direction of writing, and what is no Unicode, such as parts of file names that aren't UTF-8."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlong = 40


shown = _Short().repr
"""``repr`` for messages: of long or deep values the beginning, so that a message stays a sentence."""
