"""Where every number of a calibration comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sim.models.calibration import load_calibration, read_calibration

KINDS = ("measured", "probe", "derived", "data sheet", "design", "assumed", "none")  # with which a source begins
# By the end of a key; the longest that fits counts.
_UNITS = {"bytes_per_s": "B/s", "flops_per_s": "1/s", "bytes": "B", "s": "s", "frac": "share"}


class Entry(NamedTuple):
    """A number: where it stands in the file, and what the file says of it. unit: empty for counts and truth values."""

    key: str
    value: float | bool | str
    unit: str
    source: str

    @property
    def kind(self) -> str:
        """With what its source begins: one of KINDS, or "other"."""
        return next((kind for kind in KINDS if self.source.startswith(kind)), "other")


def entries(name_or_file: str) -> list[Entry]:
    """All numbers of a calibration, in its order. Raises ScenarioError for one that can't be loaded."""
    load_calibration(name_or_file)
    return list(_leaves(json.loads(read_calibration(name_or_file)), ""))


def as_markdown(numbers: list[Entry]) -> str:
    """A table of the numbers."""
    lines = ["| key | value | unit | source |", "|---|---|---|---|"]
    lines += [f"| `{e.key}` | {json.dumps(e.value)} | {e.unit} | {e.source} |" for e in numbers]
    return "\n".join(lines)


def _leaves(node: Mapping[str, Any], path: str) -> Iterator[Entry]:
    for key, child in node.items():
        if not isinstance(child, Mapping):
            continue  # schema_version, name and provenance
        where = f"{path}.{key}".lstrip(".")
        if "source" in child:
            yield Entry(where, child["value"], _unit(where), child["source"])
        else:
            yield from _leaves(child, where)


def _unit(key: str) -> str:
    """Of the last part of a key that ends in one: kinds of workers and stages have none of their own."""
    for part in reversed(key.split(".")):
        for end, unit in _UNITS.items():
            if part == end or part.endswith(f"_{end}"):
                return unit
    return ""
