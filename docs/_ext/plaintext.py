"""Plain docstrings and helps of commands, made into what Sphinx sets well."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

_ARRAY = r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)\]\]"


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("sphinx-click-process-description", _help)
    app.connect("sphinx-click-process-options", _options)
    app.connect("sphinx-click-process-arguments", _arguments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def docstring(text: str, names: Sequence[str]) -> str:
    """A docstring as reStructuredText: what it says of parameters is a list, what is indented stays as it is."""
    return "\n\n".join(_paragraph(p, names) for p in re.split(r"\n\s*\n", text))


def help_text(lines: Sequence[str]) -> Iterator[str]:
    r"""A help whose lines after a ``\b`` begin with a bar: of these the indented ones are an example."""
    for (barred, indented), group in groupby(lines, lambda line: (line.startswith("|"), line.startswith("|  "))):
        block = [line.removeprefix("| ") if barred else line for line in group]
        yield from _literal(block) if indented else map(_linked, block)


def _paragraph(text: str, names: Sequence[str]) -> str:
    if text.startswith("    "):
        return "\n".join(_literal(text.splitlines()))
    text = re.sub(r"(``.+?``)|([\\*|`]|_(?!\w))", lambda found: found[1] or f"\\{found[2]}", text, flags=re.DOTALL)
    text = _linked(text)
    if not names:
        return text
    one = "``(?:{0})``|(?:{0})".format("|".join(map(re.escape, names)))
    before, *found = re.split(rf"(?:^|(?<=[.;)])\s+)((?:{one})(?:,\s(?:{one}))*):\s+", text)
    if not found:
        return text
    pairs = zip(found[::2], found[1::2], strict=True)
    told = "\n".join(f"* {_code(named)}: {' '.join(what.split())}" for named, what in pairs)
    told, raises, errors = told.partition(" Raises ")
    return "\n\n".join(filter(None, (before, told, f"Raises {errors}" if raises else "")))


def _linked(text: str) -> str:
    """Links where pages are named by their files."""
    return re.sub(r"(?<![\w/`])docs/([\w/-]+)\.md", r":doc:`/docs/\1`", text)


def _code(names: str) -> str:
    return ", ".join(f"``{name.strip().strip('`')}``" for name in names.split(","))


def _literal(lines: Sequence[str]) -> list[str]:
    return ["", ".. code-block:: text", "", *(f"    {line}" for line in lines), ""]


def _docstring(_app: Any, _kind: str, _name: str, thing: Any, _options: Any, lines: list[str]) -> None:
    try:
        names = [*inspect.signature(thing).parameters]
    except (TypeError, ValueError):
        names = []
    lines[:] = docstring("\n".join(lines), names).split("\n")


def _signature(
    _app: Any, _kind: str, _name: str, thing: Any, _options: Any, given: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write what Sphinx takes from the source as it stands so that it finds the classes that are meant."""
    there = vars(sys.modules.get(getattr(thing, "__module__", ""), object))

    def full(name: re.Match[str]) -> str:
        found = there.get(name[0])
        return f"~{found.__module__}.{name[0]}" if isinstance(found, type) else name[0]

    def readable(text: str | None) -> str | None:
        text = re.sub(_ARRAY, r"NDArray[\1]", text or "")
        text = re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"~\1", text).replace("<factory>", "...")
        return re.sub(r"(?<![\w.~'])[A-Z]\w+(?![\w.'(])", full, text) or None

    return readable(given), readable(returned)


def _skip(_app: Any, _kind: str, _name: str, thing: Any, _skipped: bool, _options: Any) -> bool | None:
    """Leave out the fields of named tuples, of which the docstring of their class tells."""
    return True if (thing.__doc__ or "").startswith("Alias for field number") else None


def _help(_app: Any, _context: Any, lines: list[str]) -> None:
    lines[:] = [*help_text(lines)]


def _options(_app: Any, _context: Any, lines: list[str]) -> None:
    """Give ``NAME[k=v]`` the bracket back, at which sphinx-click ends it."""
    lines[:] = [re.sub(r"^(\.\. option:: .*<[^\]]*\[[^\]]*)>$", r"\1]>", line) for line in lines]


def _arguments(_app: Any, _context: Any, lines: list[str]) -> None:
    """Leave out the arguments, which the usage shows and the help explains."""
    lines.clear()
