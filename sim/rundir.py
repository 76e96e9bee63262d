"""Write a run directory so that it never looks more whole than it is."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from sim.errors import RunError
from sim.results import SCHEMA_VERSION
from sim.tables import TABLES

_LIBRARIES = ("numpy", "pyarrow", "simpy")
FILES = {"manifest.json", "scenario.yaml", "summary.json", *(f"{table.name}.parquet" for table in TABLES)}
FILES |= {"decisions.jsonl", "workers.log"}  # of replays


class RunDirectory:
    """A directory for one run. Its manifest says invalid until ``finish`` has said otherwise.

    Refuses what ``check_free`` refuses; with ``force`` an older run directory is replaced.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, force: bool) -> None:
        check_free(path, force=force)
        try:
            if path.exists():
                for file in path.iterdir():
                    file.unlink()
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path}: can't be made ({error.strerror})") from None
        self.path = path
        self._manifest = {
            "schema_version": SCHEMA_VERSION,
            **manifest,
            "versions": {"python": platform.python_version(), **_versions()},
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "valid": False,
            "reasons": ["the run was not finished"],
            "error": None,
        }
        write_json(path / "manifest.json", self._manifest)
        if "scenario" in manifest:
            (path / "scenario.yaml").write_text(yaml.safe_dump(manifest["scenario"], sort_keys=False), encoding="utf-8")

    def finish(self, summary: dict[str, Any], facts: dict[str, Any], reasons: list[str], error: str | None) -> None:
        """Write summary and final manifest. The run is valid when there are no reasons against it."""
        write_json(self.path / "summary.json", summary)
        verdict = {"valid": not reasons, "reasons": reasons, "error": error}
        write_json(self.path / "manifest.json", {**self._manifest, **facts, **verdict})


def check_free(path: Path, *, force: bool) -> None:
    """Raise RunError unless a run may be written to ``path``: a new or empty directory, or a run with ``force``.

    A run is a directory with a manifest of ours and nothing else than the files of a run: only those are deleted.
    """
    if not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir())):
        return
    if not force:
        raise RunError(f"{path}: exists; choose another directory or give --force to replace the run in it")
    if path.is_symlink() or not path.is_dir() or not _has_manifest(path):
        raise RunError(f"{path}: is not a run directory, so --force does not replace it")
    if foreign := sorted(f.name for f in path.iterdir() if f.is_dir() or f.name.removesuffix(".part") not in FILES):
        raise RunError(f"{path}: holds {foreign[0]}, which is no file of a run, so --force does not replace it")


def _versions() -> dict[str, str]:
    """Of the libraries that are installed: a GPU machine may do without SimPy."""
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _has_manifest(path: Path) -> bool:
    try:
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.keys() >= {"schema_version", "world", "policy"}


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Replace a JSON file at once: readers see the old or the new content, nothing between."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, file)


def peak_rss_bytes() -> int:
    """Largest resident size of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
