"""Read the keys of a mapping one by one, strictly: errors name the path, the value and the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any, TypeVar

from sim.errors import ScenarioError

T = TypeVar("T")
_REQUIRED: Any = object()


def broken(where: str, rule: str) -> ScenarioError:
    """The error for what stands at ``where`` (file and path of keys): its value and the rule it breaks."""
    return ScenarioError(f"{where} {rule}")


class Fields:
    """The keys of one mapping. Every key is taken at most once; ``done`` refuses those that nobody took."""

    def __init__(self, data: object, where: str) -> None:
        """``where``: file and path of keys of this mapping, for messages."""
        if not isinstance(data, dict):
            raise broken(where, f"is {data!r}, but must be a mapping")
        self._data: dict[Any, Any] = dict(data)
        self._where = where
        self._known: list[str] = []

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value of ``key`` as it is."""
        self._known.append(key)
        value = self._data.pop(key, default)
        if value is _REQUIRED:
            raise broken(self._where, f"has no key {key!r}")
        return value

    def path(self, key: str) -> str:
        """File and path of ``key``, for messages."""
        return f"{self._where}.{key}"

    def text(self, key: str) -> str:
        """A string that isn't empty."""
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise broken(self.path(key), f"is {value!r}, but must be a text")
        return value

    def choice(self, key: str, choices: Sequence[str], default: Any = _REQUIRED) -> str:
        """One of ``choices``."""
        value = self.take(key, default)
        if not isinstance(value, str) or value not in choices:
            raise broken(self.path(key), f"is {value!r}, but must be one of {', '.join(choices)}")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.take(key)
        if not isinstance(value, bool):
            raise broken(self.path(key), f"is {value!r}, but must be true or false")
        return value

    def integer(self, key: str, least: int, default: Any = _REQUIRED) -> int:
        """An integer of at least ``least``."""
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise broken(self.path(key), f"is {value!r}, but must be an integer of at least {least}")
        return value

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """A finite number."""
        value = self.take(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
            raise broken(self.path(key), f"is {value!r}, but must be a number")
        return value

    def dimensions(self, key: str, most: tuple[int, int, int]) -> tuple[int, int, int]:
        """Three integers of at least 1 and at most ``most``."""
        match value := self.take(key):
            case [int(x), int(y), int(z)] if all(1 <= n <= m for n, m in zip((x, y, z), most, strict=True)):
                return x, y, z
        raise broken(self.path(key), f"is {value!r}, but must be three integers from 1 to {list(most)}")

    def items(self, key: str, read: Callable[[object, str], T], default: Any = _REQUIRED) -> Iterator[T]:
        """The items of a list, each read by ``read(item, path of the item)``."""
        value = self.take(key, default)
        if not isinstance(value, (list, tuple)):
            raise broken(self.path(key), f"is {value!r}, but must be a list")
        return (read(item, f"{self.path(key)}[{i}]") for i, item in enumerate(value))

    def rest(self) -> dict[Any, Any]:
        """The keys that nobody took, for another reader of the same mapping."""
        return self._data

    def done(self) -> None:
        """Refuse the keys that nobody took."""
        if self._data:
            raise broken(self.path(str(next(iter(self._data)))), f"is no known key; known are {', '.join(self._known)}")
