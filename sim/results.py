"""Read a run directory: manifest, summary and tables, whichever world wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import RunError
from sim.tables import TABLES

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Run:
    """One run on disk. Tables are read when they are asked for.

    manifest: schema_version, world (sim or replay), policy, scenario, source, versions, machine, interval_s,
    started (UTC text), wall_s, valid, reasons, error. summary: the object that ``simulate run --json`` prints.
    """

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]

    @property
    def label(self) -> str:
        """What plots and tables call this run: its policy with parameters."""
        return str(self.manifest["policy"])

    @property
    def warnings(self) -> list[str]:
        """What a reader of its numbers should know: what limited it beside the policy, and that work piled up."""
        return list(self.manifest.get("warnings", []))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of ``sim.tables`` as a data frame; text columns are categorical.

        Raises RunError when the file is missing or lacks a column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        spec = next(t for t in TABLES if t.name == name)
        file = self.path / f"{name}.parquet"
        wanted = list(columns or spec.names)
        try:
            if lost := sorted(set(wanted) - set(pq.read_schema(file).names)):
                raise RunError(f"{file}: lacks the column {lost[0]!r} of schema {SCHEMA_VERSION}")
            table = pq.read_table(file, columns=wanted)
        except FileNotFoundError:
            raise RunError(f"{file}: missing; a run directory has {name}.parquet") from None
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{file}: not a readable Parquet file ({error})") from None
        frame: pd.DataFrame = table.to_pandas()
        return frame


def open_run(path: str | Path) -> Run:
    """Open a run directory. Raises RunError when it is none, or of another schema."""
    path = Path(path)
    manifest = _read_json(path / "manifest.json")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{path / 'manifest.json'}: schema_version is {manifest.get('schema_version')!r}; "
            f"this version reads {SCHEMA_VERSION}"
        )
    if not (path / "summary.json").exists() and not manifest.get("valid"):
        reasons = "; ".join(map(str, manifest.get("reasons", [])))
        raise RunError(f"{path}: INVALID: {reasons}; it has no summary.json")
    return Run(path, manifest, _read_json(path / "summary.json"))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{file}: missing; {file.parent} is not a run directory") from None
    except OSError as error:
        raise RunError(f"{file}: can't be read ({error.strerror})") from None
    except ValueError as error:
        raise RunError(f"{file}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunError(f"{file}: holds {type(value).__name__}, not an object")
    return value
