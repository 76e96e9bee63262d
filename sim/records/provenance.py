"""What a run is made from: the version and commit of this project, and every file that it reads."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sim import __version__
from sim.errors import TraceError
from sim.files.fingerprint import Fingerprint, fingerprint
from sim.models.calibration import built_in
from sim.models.workloads.catalogue import BUILT_IN
from sim.policies.base import BasePolicy
from sim.policies.files import file_of
from sim.scenario import Scenario

_HOME = Path(__file__).resolve().parents[2]


@cache
def project() -> dict[str, Any]:
    """Version of the project; commit, and whether files differ from it. Outside a checkout both are None."""
    commit = _git("rev-parse", "HEAD") if (_HOME / ".git").exists() else None
    changes = None if commit is None else _git("status", "--porcelain", "--", "sim", "replay", "traces", "analysis")
    return {"version": __version__, "commit": commit, "dirty": None if changes is None else bool(changes)}


def inputs(scenario: Scenario, trace: Mapping[str, Fingerprint], policy: BasePolicy) -> list[dict[str, Any]]:
    """Role, path, SHA-256 and size of every file that a run reads, those of this project aside.

    trace: its files as they were when it was opened. The file of an archive's member is the archive.
    """
    fleet = scenario.fleet
    calibrations = [node.calibration for node in fleet.nodes] or [fleet.calibration]
    files: dict[str, list[str | Path | None]] = {
        "catalogue": [scenario.catalogue] if scenario.functions == "catalogue" else [],
        "map": [scenario.map],
        "slo": [scenario.slo_file],
        "calibration": [*calibrations],
        "policy": [file_of(policy)],
    }
    ours = {*BUILT_IN, *built_in()}
    found = [("trace", trace)]
    for role, named in files.items():
        found.append((role, fingerprint(file for file in named if file is not None and file not in ours)))
    return [
        {"role": role, "path": str(Path(path).resolve()), "sha256": facts.sha256, "size_bytes": facts.size_bytes}
        for role, prints in found
        for path, facts in prints.items()
    ]


def changes(manifest: Mapping[str, Any]) -> list[str]:
    """What is no longer as a manifest says that it was, in words: files, and this project."""
    found = []
    for entry in manifest.get("inputs", []):
        path = entry["path"]
        try:
            sha256 = fingerprint([path])[path].sha256
        except TraceError:
            found.append(f"{path} is gone")
        else:
            found += [f"{path} has changed"] if sha256 != entry["sha256"] else []
    was = manifest.get("project", {})
    if was.get("dirty") or was != project():
        found.append(f"it was made by {_in_words(was)}, and this is {_in_words(project())}")
    return found


def _in_words(facts: Mapping[str, Any]) -> str:
    commit = facts.get("commit")
    changed = " with changes" if facts.get("dirty") else ""
    return f"version {facts.get('version')}" + (f", commit {commit[:10]}{changed}" if commit else "")


def _git(*arguments: str) -> str | None:
    """What git prints, None when it can't be asked."""
    try:
        done = subprocess.run(["git", "-C", str(_HOME), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
