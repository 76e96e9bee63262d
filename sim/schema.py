"""Strict mappings -> frozen dataclasses, for scenarios and calibrations. Every refusal names the key and the rule."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sim.errors import ScenarioError
from sim.text import shown

T = TypeVar("T")


def build(cls: type[T], data: object, where: str) -> T:
    """Make a dataclass from a mapping with exactly its keys (those with defaults may be left out).

    ``where`` names the file or flag in errors. Nested dataclasses, dicts, tuples, Literal, None and Any are understood;
    of several dataclasses, the one is taken whose first key is there. An int is taken where a float is asked for,
    nothing else is converted. Raises ScenarioError.
    """
    if not isinstance(data, Mapping):
        raise ScenarioError(f"{where}: is {shown(data)}, must be a mapping of keys to values")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise ScenarioError(f"{where}: unknown key {shown(key)}; the keys are {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = convert(hints[name], data[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ScenarioError(f"{where}: the key {name!r} is missing")
    try:
        return cls(**values)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None


def convert(hint: Any, value: object, where: str) -> Any:
    """Check a value against a type hint; see ``build``."""
    if hint is Any:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        words = [word for a in args if get_origin(a) is Literal for word in get_args(a)]
        if value in words:
            return value
        others = [a for a in args if a is not type(None) and get_origin(a) is not Literal]
        other = others[0] if len(others) == 1 else _chosen(others, value, where)
        if words and isinstance(value, str):
            raise ScenarioError(f"{where}: is {shown(value)}, must be {', '.join(words)} or {_NAMES[other]}")
        return convert(other, value, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if origin is Literal:
        if value in args:
            return value
        raise ScenarioError(f"{where}: is {shown(value)}, must be one of {', '.join(map(str, args))}")
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        raise ScenarioError(f"{where}: is {shown(value)}, must be a list")
    if origin is dict:
        if isinstance(value, Mapping):
            return {str(k): convert(args[1], v, f"{where}: {k}") for k, v in value.items()}
        raise ScenarioError(f"{where}: is {shown(value)}, must be a mapping")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ScenarioError(f"{where}: is a number beyond 1.8e308, must be smaller") from None
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ScenarioError(f"{where}: is {shown(value)}, must be {_NAMES.get(hint, hint)}")


def _chosen(kinds: list[Any], value: object, where: str) -> Any:
    """Of dataclasses the one whose first field is a key of the value."""
    first = {dataclasses.fields(kind)[0].name: kind for kind in kinds}
    if not isinstance(value, Mapping):
        raise ScenarioError(f"{where}: is {shown(value)}, must be a mapping of keys to values")
    given = [key for key in first if key in value]
    if len(given) != 1:
        has = " and ".join(given) or "none"
        raise ScenarioError(f"{where}: must have one of the keys {', '.join(first)}, but has {has}")
    return first[given[0]]


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
