"""Read a run directory: manifest, summary and tables, whichever world wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import RunError
from sim.records.seal import MANIFEST, check_seal
from sim.records.tables import OPTIONAL, TABLES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = 3  # 2: queue_s is waiting anywhere; 3: host_s of invocations, node and profile of workers
_KINDS: dict[str, type | tuple[type, ...]] = {
    "policy": str,
    "scenario": (dict, type(None)),
    "valid": bool,
    "reasons": list,
    "error": (str, type(None)),
}  # of what a manifest has under these keys


@dataclass(frozen=True)
class Run:
    """One run. Its tables are read from disk when they are asked for, but for those that are held in memory.

    manifest: schema_version, world (sim or replay), policy, scenario, source, versions, machine, interval_s,
    started (UTC text), wall_s, valid, reasons, error. summary: the object that ``simulate run --json`` prints.
    """

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    held: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether the run ended as it should; ``summary["reasons"]`` tell why not."""
        return bool(self.manifest["valid"])

    @property
    def label(self) -> str:
        """What plots and tables call this run: its policy with parameters."""
        return str(self.manifest["policy"])

    @property
    def warnings(self) -> list[str]:
        """What a reader of its numbers should know: what limited it beside the policy, and that work piled up."""
        return list(self.manifest.get("warnings", []))

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of ``sim.records.tables`` as a data frame; text columns are categorical.

        Raises RunError when the file is missing, damaged, lacks a column, or has another type or nulls in it.
        """
        if name in self.held:
            return self.held[name][list(columns or self.held[name].columns)]
        import pyarrow as pa
        import pyarrow.parquet as pq

        spec = next(t for t in (*TABLES, *OPTIONAL) if t.name == name)
        file = self.path / f"{name}.parquet"
        wanted = list(columns or spec.names)
        if file.exists() and not file.is_file():
            raise RunError(f"{file}: is no file")
        try:
            if lost := sorted(set(wanted) - set(pq.read_schema(file).names)):
                raise RunError(f"{file}: lacks the column {lost[0]!r} of schema {SCHEMA_VERSION}")
            table = pq.read_table(file, columns=wanted, page_checksum_verification=True)
            frame: pd.DataFrame = table.to_pandas()
        except FileNotFoundError:
            raise RunError(f"{file}: missing; a run directory has {name}.parquet") from None
        except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
            raise RunError(f"{file}: not a readable Parquet file ({' '.join(str(error).split())})") from None
        for column in table.schema:
            kind = spec.schema.field(column.name).type
            if _family(column.type) != _family(kind):
                raise RunError(f"{file}: column {column.name!r}: is {column.type}; it must be {kind}")
            if table[column.name].null_count and _family(kind) != "real":
                raise RunError(f"{file}: column {column.name!r}: has nulls")
        return frame


def _family(kind: pa.DataType) -> str:
    """What kind of values a column has, whatever their width."""
    import pyarrow.types as types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    families = {
        "text": (types.is_string, types.is_large_string),
        "integer": (types.is_integer,),
        "real": (types.is_floating,),
    }
    return next((name for name, tests in families.items() if any(test(kind) for test in tests)), str(kind))


def open_run(path: str | Path, *, verify: bool = True) -> Run:
    """Open a run directory. Raises RunError when it is none, is of another schema, or is not what a run writes.

    verify: whether the files must have the hashes that the manifest has of them, see ``sim.records.seal``.
    """
    path = Path(path)
    file = path / MANIFEST
    manifest = read_json(file)
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{file}: schema_version is {manifest.get('schema_version')!r}; this version reads {SCHEMA_VERSION}"
        )
    for key, kind in _KINDS.items():
        if key in manifest and not isinstance(manifest[key], kind):
            raise RunError(f"{file}: {key} is {manifest[key]!r}, which no run writes")
    if verify:
        check_seal(path, manifest)
    return Run(path, manifest, read_json(path / "summary.json"))


def hold(run: Run) -> Run:
    """A run with all tables in memory, which needs its directory no longer; ``path`` is then only its name."""
    return Run(Path(run.path.name), run.manifest, run.summary, {table.name: run.table(table.name) for table in TABLES})


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file. Raises RunError when there is none."""
    if file.exists() and not file.is_file():
        raise RunError(f"{file}: is no file")
    try:
        value = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise RunError(f"{file}: missing; {file.parent} is not a run directory") from None
    except OSError as error:
        raise RunError(f"{file}: can't be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise RunError(f"{file}: holds {type(value).__name__}, not an object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
