"""The address of a point: a hash of all that its results follow from, which names its run directory."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from sim.files.fingerprint import sha256_of
from sim.policies.base import BasePolicy
from sim.policies.files import spell
from sim.records.provenance import inputs
from sim.scenario import Scenario
from sim.workload import Workload

_HOME = Path(__file__).resolve().parents[2]
_PACKAGES = ("sim", "traces")  # all that a simulation runs
_DIGITS = 20  # of the hash, 80 bits


def address(scenario: Scenario, workload: Workload, policy: BasePolicy) -> str:
    """The address of a scenario with this one policy: of its keys, the files that it reads, and the code.

    workload: any one of the scenario, whatever its seed, for the files of its trace. Raises TraceError for a file that
    can't be read.
    """
    whole = {
        "scenario": scenario.as_dict() | {"policies": [spell(policy)]},
        "inputs": [
            [entry["role"], entry["path"], entry["sha256"]] for entry in inputs(scenario, workload.inputs, policy)
        ],
        "code": code(),
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@cache
def code() -> str:
    """SHA-256 of the sources that simulate, as this process found them: it tells versions and changes apart alike."""
    digest = hashlib.sha256()
    files = (file for name in _PACKAGES for suffix in ("py", "json") for file in (_HOME / name).rglob(f"*.{suffix}"))
    for file in sorted(files):
        digest.update(f"{file.relative_to(_HOME)} {sha256_of(file)}\n".encode())
    return digest.hexdigest()
