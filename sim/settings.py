"""Things with a name and parameters, such as policies and loads, as one line of text: ``name[k=v,...]``."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from sim.errors import ScenarioError
from sim.text import shown

T = TypeVar("T")
Kind: TypeAlias = type | tuple[str, ...]  # of a parameter: int, float, or the words of which it is one
_WHOLE_MAX = 2**63

NAME = re.compile(r"[\w-]+")  # of a thing
IN_FILE = ".py:"  # in a text that names a thing in a file: FILE.py:CLASS[k=v,...]


def require(ok: bool, key: str, value: object, rule: str) -> None:
    """Raise ScenarioError, naming the parameter, its value and the rule, unless it is ok."""
    if not ok:
        raise ScenarioError(f"{key} is {shown(value)}, must be {rule}")


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that isn't known: what it may have meant, and all that are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    hint = f", did you mean {near[0]!r}? Known" if near else "; known"
    return f"unknown {what} {shown(name)}{hint} are {', '.join(known)}"


def exact(value: float | str) -> str:
    """A parameter as it is typed: a word, or a number in the fewest digits that read back to it: 10, 0.1234567891."""
    return value if isinstance(value, str) else repr(value).removesuffix(".0")


def parameters(cls: type) -> dict[str, tuple[Kind, object]]:
    """Kind and default of each field of a dataclass; dataclasses.MISSING where it must be given.

    A field ``Literal["a", "b"]`` is one of these words. Of ``float | None`` the kind is float: None can be a default,
    but not be typed.
    """
    hints = get_type_hints(cls)
    return {f.name: (_kind(hints[f.name]), f.default) for f in dataclasses.fields(cls)}


def describe(name: str, thing: Any) -> str:
    """``name[k=v,...]`` with every parameter that is not None; just the name when there are none."""
    values = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    text = ",".join(f"{key}={exact(value)}" for key, value in values.items() if value is not None)
    return f"{name}[{text}]" if text else name


def parse(text: str, classes: Mapping[str, type[T]], what: str) -> T:
    """Make the dataclass that ``name`` or ``name[k=v,...]`` names; ``what`` it is, for errors.

    Raises ScenarioError naming what is unknown, missing or wrong.
    """
    match = re.fullmatch(rf"({NAME.pattern})(?:\[([^\[\]]*)\])?", text.strip())
    if match is None:
        raise ScenarioError(f"{what} {shown(text)} must look like NAME or NAME[k=v,...]")
    name, settings = match.groups()
    cls = classes.get(name)
    if cls is None:
        raise ScenarioError(unknown(what, name, classes))
    allowed = parameters(cls)
    values = {}
    for setting in filter(None, (s.strip() for s in (settings or "").split(","))):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if key in values:
            raise ScenarioError(f"{what} {shown(text)}: the parameter {key} stands there twice")
        if key not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no parameters"
            raise ScenarioError(f"{what} {shown(text)}: unknown parameter {shown(key)}; {name} {takes}")
        try:
            values[key] = _typed(value, allowed[key][0])
        except ValueError as error:
            raise ScenarioError(f"{what} {shown(text)}: {key} is {shown(value or equals)}, must be {error}") from None
    for key, (_, default) in allowed.items():
        if default is dataclasses.MISSING and key not in values:
            takes = ", ".join(allowed)
            raise ScenarioError(f"{what} {shown(text)}: the parameter {key} is missing; {name} takes {takes}")
    try:
        return cls(**values)
    except ScenarioError as error:
        raise ScenarioError(f"{what} {shown(text)}: {error}") from None


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is Literal:
        return get_args(hint)
    kind: type = (*get_args(hint), hint)[0]
    return kind


def _typed(text: str, kind: Kind) -> Any:
    """The value that was typed for a parameter; raises ValueError with the rule."""
    if isinstance(kind, tuple):
        if text not in kind:
            raise ValueError(f"one of {', '.join(kind)}")
        return text
    try:
        value = kind(text)
    except ValueError:
        raise ValueError("a whole number" if kind is int else "a number") from None
    if kind is int and abs(value) >= _WHOLE_MAX:
        raise ValueError("a whole number below 2**63")
    return value
