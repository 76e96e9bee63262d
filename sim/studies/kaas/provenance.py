"""Where every number of a calibration comes from, as a table: ``python -m sim.studies.kaas.provenance v100-kaas``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

# By the end of a key; the longest that fits counts.
_UNITS = {"bytes_per_s": "B/s", "flops_per_s": "1/s", "bytes": "B", "s": "s", "frac": "share"}


class Entry(NamedTuple):
    """A number: where it stands in the file, and what the file says of it. unit: empty for counts and truth values."""

    key: str
    value: float | bool
    unit: str
    source: str


def entries(name: str) -> list[Entry]:
    """All numbers of a built-in calibration, in its order."""
    text = resources.files("sim.models").joinpath("calibrations", f"{name}.json").read_text("utf-8")
    return list(_leaves(json.loads(text), ""))


def as_markdown(name: str) -> str:
    """A table of the numbers."""
    lines = ["| key | value | unit | source |", "|---|---|---|---|"]
    lines += [f"| `{e.key}` | {json.dumps(e.value)} | {e.unit} | {e.source} |" for e in entries(name)]
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


if __name__ == "__main__":
    print(as_markdown(*sys.argv[1:]))
