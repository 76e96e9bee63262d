"""The errors of a simulation against recorded replays, and whether they stay within their budget.

A folder has a ``calibration.json``, the ``trace`` that was replayed, ``runs/SCENE-N`` for repeat N of each scene, and
``errors.json``, the budget.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from replay.calibration.repeats import Judged, judge
from replay.calibration.validate import compare
from replay.cli import simulate_twin
from sim.files.output import scratch
from sim.records.results import Run, open_run

HERE = Path(__file__).parent
BUDGET = "errors.json"
GROWTH = 1.2  # an error may grow by a fifth ...
SLACK = 0.005  # ... and by half a per cent of the value: an error of nearly nothing has no fifth

Scenes = dict[str, list[Judged]]  # what each quantity of a scene is, measured and simulated
Errors = dict[str, dict[str, float | None]]  # by scene and quantity: simulated / measured - 1, None where undefined


def folders() -> list[Path]:
    """A folder for each calibration."""
    return sorted(file.parent for file in HERE.glob("*/calibration.json"))


def repeats(folder: Path) -> dict[str, list[Run]]:
    """The runs of each scene."""
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for file in sorted((folder / "runs").glob("*/manifest.json")):
        found[file.parent.name.rpartition("-")[0]].append(open_run(file.parent))
    return dict(found)


def simulate(folder: Path) -> Scenes:
    """Simulate each scene of a folder, and compare it with its repeats."""
    found: Scenes = {}
    with scratch() as place:
        for scene, runs in repeats(folder).items():
            twin = simulate_twin(_here(runs[0], folder), str(folder / "calibration.json"), place / scene, force=False)
            found[scene] = judge([compare(run.summary, twin) for run in runs])
    return found


def errors_of(scenes: Scenes) -> Errors:
    """The errors alone."""
    return {scene: {row.name: row.middle.error_frac for row in rows} for scene, rows in scenes.items()}


def budget(folder: Path) -> Errors:
    """The errors that were accepted."""
    found: Errors = json.loads((folder / BUDGET).read_text("utf-8"))
    return found


def accept(folder: Path, errors: Errors) -> None:
    """Make these errors the budget."""
    (folder / BUDGET).write_text(json.dumps(errors, indent=1) + "\n", "utf-8")


def beyond(errors: Mapping[str, Mapping[str, float | None]], allowed: Errors) -> list[str]:
    """A sentence for each error that is larger than its budget, and for each that is not to be had any more."""
    told = []
    for scene, rows in allowed.items():
        for name, was in rows.items():
            now = errors.get(scene, {}).get(name)
            if was is None:
                continue
            if now is None:
                told.append(f"{scene}, {name}: has no error any more, must have one as in {BUDGET}")
            elif abs(now) > (most := GROWTH * abs(was) + SLACK):
                told.append(f"{scene}, {name}: is off by {now:+.2%}, may be by {most:.2%} at most")
    return told


def _here(run: Run, folder: Path) -> Run:
    """The run, whose trace lies where the folder is now."""
    scenario = run.manifest["scenario"]
    traces = [str(folder / trace) for trace in scenario["traces"]]
    return replace(run, manifest={**run.manifest, "scenario": {**scenario, "traces": traces}})
