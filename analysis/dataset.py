"""Data sets: many runs as one table, from a study of ``simulate sweep`` or from any folder of runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.labels import differing_keys, identity
from analysis.runs import fault, flatten, open_runs, warnings
from analysis.study_report import Report, Value, read_report
from sim.errors import RunError
from sim.files.plaindata import read_yaml
from sim.records.backlog import is_steady
from sim.records.results import Run, open_run
from sim.settings import unknown
from sim.text import shown

if TYPE_CHECKING:
    import pandas as pd

STUDY, RESULTS, RUNS = "study.yaml", "results.parquet", "runs"
_TEXT = ("run", "policy", "reasons", "warnings", "error")
_JOINT = "; "  # between sentences of a cell
_FIRST = ("run", "policy", "seed")
_ABOUT = ("valid", "reasons", "warnings", "error")


@dataclass(frozen=True)
class Dataset:
    """Runs of several policies, at every combination of factors, with several seeds.

    path: the folder. frame: one row a run. Columns: ``run`` (text, its folder below ``runs``), ``policy`` (text),
    ``seed`` (int64), the factors (text or numbers), ``valid`` (bool), ``reasons``, ``warnings`` and ``error`` (text),
    then every number of the summaries (float64, NaN where unknown; nested keys are joined by a dot). factors: without
    policy and seed. report: what the study asks for. runs: the folder in which the runs are.
    """

    path: Path
    frame: pd.DataFrame
    factors: tuple[str, ...]
    report: Report
    runs: Path

    def open(self, run: str) -> Run:
        """A run of the column ``run``, for its tables. Raises RunError when it can't be read."""
        return open_run(self.runs / run)

    def where(self, wanted: Mapping[str, Value]) -> pd.DataFrame:
        """The rows whose factors (or policy, or seed) have these values.

        Numbers may be given as text. Raises RunError for an unknown factor, and for a value that no row has.
        """
        frame = self.frame
        for factor, value in wanted.items():
            if factor not in (known := ("policy", *self.factors, "seed")):
                raise RunError(f"{self.path}: {unknown('factor', factor, known)}")
            chosen = frame[factor] == _like(frame[factor], value)
            if not chosen.any():
                values = ", ".join(str(v) for v in sorted(frame[factor].unique()))
                raise RunError(f"{self.path}: no run with {factor}={value}; the values of {factor} are {values}")
            frame = frame[chosen]
        return frame


def open_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open what ``simulate sweep`` made, or a folder of ordinary runs.

    The factors of the latter are the settings in which its runs differ. Raises RunError for a folder that is neither,
    and for tables that are damaged; ScenarioError for a bad ``report`` of the study.
    """
    folder = Path(path)
    return _of_study(folder) if is_study(folder) else dataset_of(open_runs([folder]), folder)


def is_study(folder: Path) -> bool:
    """Whether a folder is what ``simulate sweep`` made."""
    return (folder / RESULTS).is_file() or (folder / STUDY).is_file()


def dataset_of(runs: Sequence[Run], folder: Path) -> Dataset:
    """Ordinary runs as a data set, called by their paths from ``folder``."""
    import pandas as pd

    factors = _factors(runs)
    rows = [
        {
            "run": os.path.relpath(run.path, folder),
            "policy": run.label,
            "seed": identity(run)["seed"] or 0,
            **{name: values[i] for name, values in factors.items()},
            "valid": run.valid,
            "reasons": fault(run),
            "warnings": _JOINT.join(warnings(run)),
            "error": run.manifest.get("error") or "",
            **_numbers(run),
        }
        for i, run in enumerate(runs)
    ]
    frame = pd.DataFrame(rows)
    numbers = [name for name in frame.columns if name not in (*_FIRST, *factors, *_ABOUT)]
    frame = frame.astype({"seed": "int64", **dict.fromkeys(numbers, "float64")})
    frame = frame.sort_values([*factors, "policy", "seed"], kind="stable", ignore_index=True)
    report = read_report({}, f"{folder}: report", _in_order([], frame["policy"]), tuple(factors))
    return Dataset(folder, frame, tuple(factors), report, folder)


def steady(frame: pd.DataFrame) -> pd.Series[bool]:
    """Of each row of a data set, whether no warning says that work piled up, see ``sim.records.backlog``."""
    return frame["warnings"].map(lambda text: is_steady(text.split(_JOINT))).astype(bool)


def _of_study(folder: Path) -> Dataset:
    study = read_yaml(folder / STUDY)
    factors = study.get("factors") if isinstance(study, Mapping) else None
    if not isinstance(factors, Mapping):
        raise RunError(f"{folder / STUDY}: is {shown(study)}, must be a study with factors")
    names = tuple(str(name) for name in factors if name != "policy")
    frame = _read(folder / RESULTS, names)
    policies = _in_order(factors.get("policy", []), frame["policy"])
    report = read_report(study.get("report") or {}, f"{folder / STUDY}: report", policies, names)
    return Dataset(folder, frame, names, report, folder / RUNS)


def _read(file: Path, factors: Sequence[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(file)
    except FileNotFoundError:
        raise RunError(f"{file}: missing; the study has not been run to its end") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{file}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    for column in (*_FIRST, *factors, *_ABOUT):
        if column not in frame:
            raise RunError(f"{file}: lacks the column {column!r}")
    return frame.astype(dict.fromkeys(_TEXT, object)).fillna(dict.fromkeys(_TEXT, ""))


def _factors(runs: Sequence[Run]) -> dict[str, list[Value]]:
    """Settings in which runs differ, by short name, and the value of each run: a number, or else text."""
    factors: dict[str, list[Value]] = {}
    for key, values in differing_keys(runs).items():
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        factors[key] = [value if numbers else _words(value) for value in values]
    return factors


def _words(value: Any) -> str:
    return "-" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _numbers(run: Run) -> dict[str, float | None]:
    flat = flatten(run.summary)
    kept = {k: v for k, v in flat.items() if v is None or (isinstance(v, int | float) and not isinstance(v, bool))}
    return {key: value for key, value in kept.items() if key not in _ABOUT}


def _in_order(named: object, policies: pd.Series[Any]) -> list[str]:
    """The policies of a study in its order, then what else the table has."""
    listed = [str(policy) for policy in named] if isinstance(named, list) else []
    return list(dict.fromkeys([*listed, *(str(policy) for policy in policies)]))


def _like(column: pd.Series[Any], value: Value) -> Value:
    """A value as the column has them: text that is a number, where the column has numbers."""
    if column.dtype == object or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
