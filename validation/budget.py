"""The errors of a simulation against recorded replays, and whether they stay within their budget.

A folder has a ``calibration.json``, the ``trace`` that was replayed, ``runs/SCENE-N`` for repeat N of each scene, and
``errors.json``, the budget.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from replay.calibration.validate import compare
from replay.cli import simulate_twin
from sim.files.output import scratch
from sim.records.results import Run, open_run

HERE = Path(__file__).parent
BUDGET = "errors.json"
GROWTH = 1.2  # an error may grow by a fifth ...
SLACK = 0.005  # ... and by half a per cent of the value: an error of nearly nothing has no fifth


@dataclass(frozen=True)
class Error:
    """Of a quantity in a scene. measured: the median of the repeats. error_frac: simulated / measured - 1.
    spread_frac: (most - least) / median of the repeats; both None where that is not defined."""

    measured: float | None
    simulated: float | None
    error_frac: float | None
    spread_frac: float | None


Errors = dict[str, dict[str, Error]]  # by scene and quantity


def folders() -> list[Path]:
    """A folder for each calibration."""
    return sorted(file.parent for file in HERE.glob("*/calibration.json"))


def repeats(folder: Path) -> dict[str, list[Run]]:
    """The runs of each scene."""
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for file in sorted((folder / "runs").glob("*/manifest.json")):
        found[file.parent.name.rpartition("-")[0]].append(open_run(file.parent))
    return dict(found)


def errors_of(folder: Path) -> Errors:
    """Simulate each scene of a folder, and compare it with its repeats."""
    found: Errors = {}
    with scratch() as place:
        for scene, runs in repeats(folder).items():
            twin = simulate_twin(_here(runs[0], folder), str(folder / "calibration.json"), place / scene, force=False)
            compared = [compare(run.summary, twin) for run in runs]
            found[scene] = {values[0].name: _error([v.measured for v in values], values[0].simulated)
                            for values in zip(*compared, strict=True)}  # fmt: skip
    return found


def budget(folder: Path) -> Errors:
    """The errors that were accepted."""
    plain = json.loads((folder / BUDGET).read_text("utf-8"))
    return {scene: {name: Error(**error) for name, error in rows.items()} for scene, rows in plain.items()}


def accept(folder: Path, errors: Errors) -> None:
    """Make these errors the budget."""
    plain = {scene: {name: asdict(error) for name, error in rows.items()} for scene, rows in errors.items()}
    (folder / BUDGET).write_text(json.dumps(plain, indent=1) + "\n", "utf-8")


def beyond(errors: Errors, allowed: Errors) -> list[str]:
    """A sentence for each error that is larger than its budget, and for each that is not to be had any more."""
    told = []
    for scene, rows in allowed.items():
        for name, was in rows.items():
            now = errors.get(scene, {}).get(name)
            if was.error_frac is None:
                continue
            if now is None or now.error_frac is None:
                told.append(f"{scene}, {name}: has no error any more, must have one as in {BUDGET}")
            elif abs(now.error_frac) > (most := GROWTH * abs(was.error_frac) + SLACK):
                told.append(f"{scene}, {name}: is off by {now.error_frac:+.2%}, may be by {most:.2%} at most")
    return told


def as_text(errors: Errors) -> str:
    """A table for people."""
    table = [("scene", "quantity", "measured", "simulated", "error", "spread of repeats")]
    for scene, rows in errors.items():
        for name, error in rows.items():
            values = [_number(error.measured), _number(error.simulated), _share(error.error_frac, "+")]
            table.append((scene, name, *values, _share(error.spread_frac, "")))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])]) for row in table
    )


def _here(run: Run, folder: Path) -> Run:
    """The run, whose trace lies where the folder is now."""
    scenario = run.manifest["scenario"]
    return replace(run, manifest={**run.manifest, "scenario": {**scenario, "traces": _traces(scenario, folder)}})


def _traces(scenario: dict[str, list[str]], folder: Path) -> list[str]:
    return [str(folder / trace) for trace in scenario["traces"]]


def _error(measured: list[float | None], simulated: float | None) -> Error:
    values = [value for value in measured if value is not None]
    middle = median(values) if values else None
    if middle is None or simulated is None:
        return Error(middle, simulated, None, None)
    if middle == 0:
        return Error(middle, simulated, 0.0 if simulated == 0 else None, None)
    return Error(middle, simulated, simulated / middle - 1, (max(values) - min(values)) / middle)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def _share(value: float | None, sign: str) -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f} %"
