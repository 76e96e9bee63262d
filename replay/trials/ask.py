"""One trial by its name: its rows, with where they are from, for a file; and a table of medians for people."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from replay.errors import ReplayError
from replay.trials import copies, kernels, libraries, neighbours, starts
from sim.files.output import has_keys
from sim.models.workloads.catalogue import load_catalogue
from sim.settings import unknown

SCHEMA_VERSION = 1
Rows = list[dict[str, Any]]
TRIALS: dict[str, tuple[Callable[..., Rows], Sequence[str]]] = {  # function, and the keys of its rows
    "kernels": (kernels.kernels, kernels.KEYS),
    "libraries": (libraries.libraries, libraries.KEYS),
    "starts": (starts.starts, starts.KEYS),
    "copies": (copies.copies, copies.KEYS),
    "neighbours": (neighbours.neighbours, neighbours.KEYS),
}
OF_GRAPHS = ("kernels", "libraries", "starts", "neighbours")


def ask(
    name: str, device: str, catalogue: str, memory_limit_bytes: int, mode: str | None, **options: Any
) -> dict[str, Any]:
    """What a trial found, for JSON. mode: of "neighbours" alone, which needs one. options: of its function.

    Raises ReplayError for an unknown trial, and for what it lacks.
    """
    if name not in TRIALS:
        raise ReplayError(unknown("trial", name, TRIALS))
    if (mode is not None) != (name == "neighbours"):
        rule = "needs --mode static, fractional or green" if mode is None else "has no --mode"
        raise ReplayError(f"the trial {name!r} {rule}")
    given: tuple[Any, ...] = (load_catalogue(catalogue), memory_limit_bytes) if name in OF_GRAPHS else ()
    if mode is not None:
        options["mode"] = mode
    rows = TRIALS[name][0](device, *given, **options)
    facts = {"device": device, "catalogue": catalogue, "mode": mode, "system": platform.platform()}
    return {"schema_version": SCHEMA_VERSION, "trial": name, **facts, "rows": rows}


def is_answer(file: Path) -> bool:
    """Whether a file has what ``ask`` gave, and may thus be replaced."""
    return has_keys(file, "schema_version", "trial", "rows")


def as_text(found: dict[str, Any]) -> str:
    """Medians of the rows of equal keys, aligned."""
    keys = TRIALS[found["trial"]][1]
    groups: dict[tuple[Any, ...], Rows] = {}
    for row in found["rows"]:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    values = list(dict.fromkeys(name for row in found["rows"] for name in row if name not in keys))
    table = [(*keys, "n", *values)]
    for key, rows in groups.items():
        told = [[row[name] for row in rows if name in row] for name in values]
        table.append((*map(str, key), str(len(rows)), *(f"{median(v):.4g}" if v else "" for v in told)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    n = len(keys)
    return "\n".join(
        "  ".join([*map(str.ljust, row[:n], widths), *map(str.rjust, row[n:], widths[n:])]).rstrip() for row in table
    )
