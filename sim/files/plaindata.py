"""YAML and JSON as plain data: without keys that stand twice, and without what stands for more than it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.files.inputs import read_text
from sim.text import shown

_DEEPEST = 50  # a catalogue has 6 levels
_MOST_BITS = 2048  # of a whole number: 616 digits, where a float has 309
_MOST_YAML_BYTES = 1 << 20  # PyYAML takes a minute for 5 MB


def read_yaml(file: Path) -> Any:
    """What a YAML file says. Raises ScenarioError that names file, line and rule.

    Refused are keys that stand twice, aliases (a few lines of them stand for billions of values), and what
    ``_check`` refuses.
    """
    return _parse_yaml(read_text(file), str(file))


def read_json(file: Path) -> Any:
    """What a JSON file says. Raises ScenarioError that names file and rule, for the same as ``read_yaml``."""
    return parse_json(read_text(file), str(file))


def parse_json(text: str, where: str) -> Any:
    """See ``read_json``. where: the file, for messages."""
    try:
        data = json.loads(text, object_pairs_hook=_pairs)
    except _TwiceError as twice:
        _parse_yaml(text.replace("\t", " "), where)  # JSON is YAML but for tabs, and this one knows the line
        raise ScenarioError(f"{where}: the key {shown(twice.args[0])} stands twice in one object") from None
    except RecursionError:
        raise ScenarioError(f"{where}: is nested too deeply, more than {_DEEPEST} levels") from None
    except ValueError as error:
        raise ScenarioError(f"{where}: not JSON ({error})") from None
    _check(data, where)
    return data


def _parse_yaml(text: str, where: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise ScenarioError(f"{where}, line {mark.line + 1}: has an alias, which must be written out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            made = super().construct_mapping(node, deep=deep)
            if len(made) < len(node.value):
                raise _twice(self, node, where)
            return made

    if len(text) > _MOST_YAML_BYTES:
        raise ScenarioError(f"{where}: is larger than {_MOST_YAML_BYTES >> 20} MiB, too much for YAML; write JSON")
    try:
        data = yaml.load(text, Loader)
    except RecursionError:
        raise ScenarioError(f"{where}: is nested too deeply, more than {_DEEPEST} levels") from None
    except (ValueError, yaml.YAMLError) as error:  # ValueError: of dates and numbers that are none
        raise ScenarioError(f"{where}: not YAML ({' '.join(str(error).split())})") from None
    _check(data, where)
    return data


def _twice(loader: Any, node: Any, where: str) -> ScenarioError:
    """The error for the first key of a mapping that repeats one before it."""
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            return ScenarioError(f"{where}, line {line}: the key {shown(key)} stands twice in one mapping")
        seen.add(key)
    raise AssertionError("no key stands twice")


class _TwiceError(Exception):
    """A key of a JSON object stands twice."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for i, key in enumerate(keys) if key in keys[:i]))
    return made


def _check(data: Any, where: str) -> None:
    """Refuse what no later code could bear: deep nesting, giant whole numbers, and text that can't be written."""
    waiting = [(data, 1)]
    while waiting:
        value, level = waiting.pop()
        if level > _DEEPEST:
            raise ScenarioError(f"{where}: is nested too deeply, more than {_DEEPEST} levels")
        if isinstance(value, dict):
            waiting += [(part, level + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list | tuple | set):
            waiting += [(part, level + 1) for part in value]
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise ScenarioError(f"{where}: has a whole number of more than {_MOST_BITS} bits")
        elif isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
            raise ScenarioError(f"{where}: has the text {shown(value)}, which holds a character that no text has")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
