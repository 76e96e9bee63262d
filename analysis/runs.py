"""Which runs a command is about: from paths to open runs with distinct labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.errors import RunError
from sim.results import Run, open_run


def open_runs(paths: Iterable[Path], *, verify: bool = True) -> list[Run]:
    """Open the runs at ``paths`` in this order; a folder of runs stands for the runs in it, sorted by name.

    A run that is reached twice is opened once. verify: see ``sim.results.open_run``. Raises RunError for a path that
    is neither, or a bad run.
    """
    found = {run.resolve(): run for path in paths for run in _expand(path)}
    return [_open(path, verify) for path in found.values()]


def labels(runs: Sequence[Run]) -> list[str]:
    """What to call each run: its policy, with the run's folder added where runs share a policy.

    Distinct: runs that share policy and folder name get their whole path.
    """
    names = [run.label for run in runs]
    for part in (lambda run: run.path.resolve().name, lambda run: str(run.path)):
        seen = Counter(names)
        names = [
            f"{run.label} ({part(run)})" if seen[name] > 1 else name for run, name in zip(runs, names, strict=True)
        ]
    return names


def fault(run: Run) -> str:
    """Why a run is invalid, in words; empty for a valid one. Raises RunError when the manifest doesn't say."""
    file = run.path / "manifest.json"
    if lookup(file, run.manifest, "valid"):
        return ""
    reasons = [*lookup(file, run.manifest, "reasons"), run.manifest.get("error")]
    return "; ".join(str(reason) for reason in reasons if reason) or "no reason given"


def wrap_label(label: str, most: int) -> list[str]:
    """A label in lines of at most ``most`` characters, broken after a comma, bracket or space where there is one."""
    lines = [""]
    for piece in re.findall(rf".{{0,{most - 1}}}?[,\[ ]|.{{1,{most}}}", label):
        if len(lines[-1]) + len(piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def lookup(file: Path, value: Mapping[str, Any], *keys: str) -> Any:
    """The entry of a JSON object of ``file`` under nested keys. Raises RunError when it is absent."""
    entry: Any = value
    for key in keys:
        if not isinstance(entry, Mapping) or key not in entry:
            raise RunError(f"{file}: lacks the key {'.'.join(keys)!r}")
        entry = entry[key]
    return entry


def number(file: Path, value: Mapping[str, Any], *keys: str) -> float | None:
    """A finite number, or None, of a JSON object of ``file``. Raises RunError when there is something else."""
    found = lookup(file, value, *keys)
    if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float)) or abs(found) > 1e300):
        raise RunError(f"{file}: {'.'.join(keys)} is {found!r:.80}; it must be a number")
    return found


def positive(run: Run, *keys: str) -> float:
    """A number above 0 of the manifest, under nested keys. Raises RunError when there is no such number."""
    file = run.path / "manifest.json"
    value = lookup(file, run.manifest, *keys)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise RunError(f"{file}: {'.'.join(keys)} is {value!r}; it must be a number above 0")
    return float(value)


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        raise RunError(f"{path}: {'is a file, not a' if path.exists() else 'there is no such'} run directory")
    if (path / "manifest.json").exists():
        return [path]
    inside = sorted(manifest.parent for manifest in path.glob("*/manifest.json"))
    if not inside:
        raise RunError(f"{path}: neither a run directory nor a folder of runs; no manifest.json in it or one below")
    return inside


def _open(path: Path, verify: bool) -> Run:
    run = open_run(path, verify=verify)
    lookup(path / "manifest.json", run.manifest, "policy")
    return run
