"""Write a run directory so that it never looks more whole than it is."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.errors import RunError
from sim.results import SCHEMA_VERSION

_LIBRARIES = ("numpy", "pyarrow", "simpy")


class RunDirectory:
    """A directory for one run. Its manifest says invalid until ``finish`` has said otherwise.

    Refuses to reuse an existing path, unless ``force``: then an older run directory is replaced; anything else is
    never deleted.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, force: bool) -> None:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            if not force:
                raise RunError(f"{path}: exists; choose another directory or give --force to replace the run in it")
            if not (path / "manifest.json").is_file():
                raise RunError(f"{path}: is not a run directory, so --force does not replace it")
            shutil.rmtree(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path}: can't be made ({error.strerror})") from None
        self.path = path
        self._manifest = {
            "schema_version": SCHEMA_VERSION,
            **manifest,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "valid": False,
            "reasons": ["the run was not finished"],
            "error": None,
        }
        write_json(path / "manifest.json", self._manifest)

    def finish(self, summary: dict[str, Any], facts: dict[str, Any], reasons: list[str], error: str | None) -> None:
        """Write summary and final manifest. The run is valid when there are no reasons against it."""
        write_json(self.path / "summary.json", summary)
        verdict = {"valid": not reasons, "reasons": reasons, "error": error}
        write_json(self.path / "manifest.json", {**self._manifest, **facts, **verdict})


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
