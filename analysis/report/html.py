"""Pieces of HTML. Every text of a user comes through ``escape``: names in traces and files are hostile."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sim.text import clipped, printable


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. value: the number by which it is sorted, if it has one. kind: its class."""

    text: str
    value: float | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. kind: ``text`` for one that is not of numbers."""

    head: str
    kind: str = ""


def escape(text: object) -> str:
    """Text of a page: no markup, no control characters."""
    return html.escape(printable(str(text)))


def section(name: str, title: str, *parts: str) -> str:
    """A section that links lead to."""
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{"".join(parts)}</section>\n'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{_class(kind)}>{escape(text)}</p>\n"


def bullets(items: Iterable[tuple[str, str]]) -> str:
    """A list, each item after its class; nothing without items."""
    rows = "".join(f"<li{_class(kind)}>{escape(clipped(text))}</li>\n" for kind, text in items)
    return f'<ul class="verdicts">\n{rows}</ul>\n' if rows else ""


def facts(items: Iterable[tuple[str, str]]) -> str:
    """Numbers at a glance, each with what it is."""
    cards = "".join(f"<li><strong>{escape(value)}</strong><span>{escape(what)}</span></li>\n" for value, what in items)
    return f'<ul class="facts">\n{cards}</ul>\n'


def table(name: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> str:
    """A table that can be sorted by each column; a wide one scrolls by itself."""
    heads = "".join(f'<th scope="col"{_class(column.kind)}>{escape(column.head)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row, (column.kind for column in columns)))}</tr>\n" for row in rows)
    return (
        f'<div class="scroll"><table class="sortable" id="{name}">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def pairs(rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of what is what, with a line for each of several values."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{"<br>".join(map(escape, values))}</td></tr>\n'
        for name, values in rows
        if values
    )
    return f'<div class="scroll"><table class="plain"><tbody>\n{body}</tbody></table></div>\n'


def code(text: str) -> str:
    """Commands or a file, as they are."""
    return f"<pre>{escape(text.rstrip())}</pre>\n"


def details(summary: str, body: str) -> str:
    """What is shown on request."""
    return f"<details><summary>{escape(summary)}</summary>\n{body}</details>\n"


def _cell(cell: Cell, kind: str) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{_class(f'{kind} {cell.kind}'.strip())}{value}>{escape(cell.text)}</td>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
