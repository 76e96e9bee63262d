"""Which runs a command is about: from paths to open runs, and what their JSON files say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import RunError
from sim.records.histogram import Histogram
from sim.records.prices import Prices
from sim.records.results import Run, open_run
from sim.records.summary import EXACT, spread
from sim.records.totals import TIMES

if TYPE_CHECKING:
    import pandas as pd

    from analysis.metrics import Floats


def open_runs(paths: Iterable[str | os.PathLike[str]], *, verify: bool = True) -> list[Run]:
    """Open the runs at ``paths`` in this order; a folder stands for all runs in and below it, sorted by path.

    A run that is reached twice is opened once. verify: see ``sim.records.results.open_run``. Raises RunError for a path
    that is neither, or a bad run.
    """
    found = {run.resolve(): run for path in paths for run in _expand(Path(path))}
    return [_open(path, verify) for path in found.values()]


def open_one(path: Path, *, verify: bool = True) -> Run:
    """Open the one run that ``path`` stands for. Raises RunError as ``open_runs`` does, and when there are several."""
    runs = open_runs([path], verify=verify)
    if len(runs) > 1:
        raise RunError(f"{path}: holds {len(runs)} runs; name one of them, such as {runs[0].path}")
    return runs[0]


def with_exact_quantiles(run: Run) -> Run:
    """The run with the times of its summary as they are in its table, whatever the summary had them from.

    Raises RunError for a table that can't be read.
    """
    columns = sorted({column for ends in TIMES.values() for column in ends})
    invocations = measured(run, run.table("invocations", ["status", "function", *columns]))
    isolated_s = run.table("functions", ["isolated_s"])["isolated_s"].to_numpy()
    require_functions(run, invocations, len(isolated_s))
    exact = exact_times(invocations) | {"slowdown": exact_slowdown(invocations, isolated_s)}
    return replace(run, summary=run.summary | {"quantiles": EXACT} | exact)


def exact_times(invocations: pd.DataFrame) -> dict[str, Any]:
    """The times of a summary, from a table with status and the columns of ``TIMES``."""
    from analysis.metrics import of_completed

    return {
        name: _spread(of_completed(invocations, to_at_s) - of_completed(invocations, from_at_s))
        for name, (from_at_s, to_at_s) in TIMES.items()
    }


def exact_slowdown(invocations: pd.DataFrame, isolated_s: Floats) -> dict[str, float | None]:
    """The slowdown of a summary, from a table with function too. isolated_s: of each function."""
    from analysis.metrics import latency_s, of_completed

    of_each_s = isolated_s[of_completed(invocations, "function")]
    known = of_each_s > 0
    return _spread(latency_s(invocations)[known] / of_each_s[known])


def _spread(values: Floats) -> dict[str, float | None]:
    found = Histogram(few=len(values))
    found.add(values)
    return spread(found)


def require_functions(run: Run, invocations: pd.DataFrame, n: int) -> None:
    """Raise RunError for an invocation of none of ``n`` functions."""
    if len(invocations) and (number := int(invocations["function"].max())) >= n:
        raise RunError(
            f"{run.path / 'invocations.parquet'}: function {number} is not a row of functions.parquet, which has {n}"
        )


def with_cost(run: Run, prices: Prices) -> Run:
    """The run with ``cost`` in its summary. Raises RunError for a summary without hours, ScenarioError for one with
    those of a GPU that has no price."""
    hours = lookup(run.path / "summary.json", run.summary, "gpu_hours_of")
    return replace(run, summary=run.summary | {"cost": prices.cost(hours)})


def measured(run: Run, invocations: pd.DataFrame) -> pd.DataFrame:
    """The rows that a run's shares and distributions are of: those that arrived between warm-up and cool-down."""
    window = run.summary.get("measured")
    if window is None:  # a run of old, which measured all
        return invocations
    file = run.path / "summary.json"
    from_s, until_s = (number(file, run.summary, "measured", key) for key in ("from_s", "until_s"))
    arrival_at_s = invocations["arrival_at_s"]
    inside = arrival_at_s >= (from_s or 0.0)
    rows: pd.DataFrame = invocations[inside if until_s is None else inside & (arrival_at_s < until_s)]
    return rows


def fault(run: Run) -> str:
    """Why a run is invalid, in words; empty for a valid one. Raises RunError when the manifest doesn't say."""
    file = run.path / "manifest.json"
    if lookup(file, run.manifest, "valid"):
        return ""
    reasons = [*lookup(file, run.manifest, "reasons"), run.manifest.get("error")]
    return "; ".join(str(reason) for reason in reasons if reason) or "no reason given"


def warnings(run: Run) -> list[str]:
    """What a reader must know of a valid run: something that is not a policy limited it, say. Often nothing."""
    return [str(warning) for warning in run.summary.get("warnings", [])]


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A JSON object without nested ones; their keys are joined by a dot."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


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
    inside = list(_find(path, set()))
    if not inside:
        raise RunError(f"{path}: neither a run directory nor a folder of runs; no manifest.json in it or below")
    return inside


def _find(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Run directories in and below a folder, sorted by path; links may lead round in circles."""
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    if _is_of_a_run(folder / "manifest.json"):
        yield folder
        return
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError as error:
        raise RunError(f"{folder}: can't be read ({error.strerror})") from None
    for child in children:
        yield from _find(child, seen)


def _is_of_a_run(manifest: Path) -> bool:
    """Whether a file is there and the manifest of a run, as far as one can tell: studies have others."""
    if not manifest.is_file():  # to open it tells what else it is
        return os.path.lexists(manifest)
    try:
        value = json.loads(manifest.read_text("utf-8"))
    except (ValueError, RecursionError):
        return True  # damaged; to open it tells how
    except OSError:
        return manifest.exists()
    return not isinstance(value, dict) or "study" not in value


def _open(path: Path, verify: bool) -> Run:
    run = open_run(path, verify=verify)
    lookup(path / "manifest.json", run.manifest, "policy")
    return run
