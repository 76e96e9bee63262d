"""Write a run directory, which appears under its name when it is whole; what is in it, it says by hashes."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from sim.errors import OutputError
from sim.files.output import as_json, fresh_directory, has_keys, new_directory, write_text
from sim.records.results import SCHEMA_VERSION
from sim.records.seal import MANIFEST, seal
from sim.records.sums import FILE as DISTRIBUTIONS
from sim.records.tables import OPTIONAL, TABLES

_LIBRARIES = ("numpy", "pyarrow", "simpy")
FILES = {
    MANIFEST,
    "scenario.yaml",
    "summary.json",
    DISTRIBUTIONS,
    *(f"{table.name}.parquet" for table in (*TABLES, *OPTIONAL)),
}
FILES |= {"decisions.jsonl", "workers.log"}  # of replays


class RunDirectory:
    """A run in the making, see ``run_directory``. path: where its files are written until it is whole."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self._manifest = {
            "schema_version": SCHEMA_VERSION,
            **manifest,
            "versions": {"python": platform.python_version(), **_versions()},
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        if "scenario" in manifest:
            write_text(path / "scenario.yaml", yaml.safe_dump(manifest["scenario"], sort_keys=False))

    def finish(self, summary: dict[str, Any], facts: dict[str, Any], reasons: list[str], error: str | None) -> None:
        """Write summary and manifest; the other files are closed. Valid when there are no reasons against it."""
        write_text(self.path / "summary.json", as_json(summary))
        verdict = {"valid": not reasons, "reasons": reasons, "error": error}
        write_text(self.path / MANIFEST, as_json(seal({**self._manifest, **facts, **verdict}, _sorted(self.path))))


@contextmanager
def run_directory(path: Path, manifest: Mapping[str, Any], *, force: bool) -> Iterator[RunDirectory]:
    """A directory for one run, whose body ends after ``finish``; only then it is at ``path``.

    Refuses what ``check_free`` refuses; with ``force`` an older run directory is replaced, at one instant. Where the
    process is killed, nothing happens to ``path``. Raises OutputError as ``sim.files.output.new_directory`` does.
    """
    with new_directory(path, partial(check_free, force=force), MANIFEST.__eq__) as hidden:
        yield RunDirectory(hidden, manifest)


def drop_tables(path: Path) -> None:
    """Leave of a run its manifest, scenario and summary alone, at one instant. Raises OutputError."""
    kept = [path / name for name in ("scenario.yaml", "summary.json")]
    manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    with new_directory(path, partial(check_free, force=True), MANIFEST.__eq__) as hidden:
        for file in kept:
            shutil.copyfile(file, hidden / file.name)
        write_text(hidden / MANIFEST, as_json(seal(manifest, _sorted(hidden))))


def check_free(path: Path, *, force: bool) -> list[str]:
    """The files of an older run at ``path``, to be replaced. OutputError unless a run may be written there.

    It may in a new or empty directory, or over a run with ``force``. A run is a directory with a manifest of ours and
    nothing else than the files of a run: only those are replaced.
    """
    if not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir())):
        return []
    if not force:
        raise OutputError(f"{path}: exists; choose another directory or give --force to replace the run in it")
    if path.is_symlink() or not has_keys(path / MANIFEST, "schema_version", "world", "policy"):
        raise OutputError(f"{path}: is not a run directory, so --force does not replace it")
    if foreign := [file.name for file in _sorted(path) if file.is_dir() or file.name not in FILES]:
        raise OutputError(f"{path}: holds {foreign[0]}, which is no file of a run, so --force does not replace it")
    return [file.name for file in _sorted(path)]


def new_runs(suffix: str = "") -> Path:
    """Make a directory for runs, ``runs/<time><suffix>``, that no other call has got."""
    return fresh_directory(Path("runs") / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}{suffix}")


def _sorted(path: Path) -> list[Path]:
    return sorted(path.iterdir())


def _versions() -> dict[str, str]:
    """Of the libraries that are installed: a GPU machine may do without SimPy."""
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def peak_rss_bytes() -> int:
    """Largest resident size of this process so far."""
    with suppress(OSError):  # Linux; getrusage counts there what the parent had when it started this process
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
