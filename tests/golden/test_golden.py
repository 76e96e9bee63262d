"""Golden runs: a small load under each of these policies gives the recorded summary.

A change of the numbers must be meant: ``python -m tests.golden.test_golden`` records new ones, and the commit says why.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from sim.loads import Clients, make_load
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.workload import bind
from tests.support import STANDING, V100, poisson, simulate

RECORDED = Path(__file__).with_name("summaries.json")
POLICIES = (
    "affinity", "balance", "exclusive", "exclusive-random", "fractional", "keepalive", "least-loaded", "static"
)  # fmt: skip


def workload_for(policy):
    """30 functions at 20 invocations/s for 2 minutes; closed loops of 2 or 6 clients where workers stand."""
    if policy not in STANDING:
        return bind(poisson(2400, 20.0, "constant", 4, 30), catalogue=load_catalogue("kaas"))
    entry = {"cGEMM": load_catalogue("kaas-authors")["cGEMM"]}
    clients = Clients(2 if policy == "static" else 6, "cGEMM")
    return bind(make_load("closed[outstanding=4,duration=30]").trace(clients), catalogue=entry)


def summaries(directory):
    """Summary by policy on 2 V100s, as floats of 9 digits."""
    runs = {p: simulate(workload_for(p), make_policy(p), directory / p, gpus=2, calibration=V100) for p in POLICIES}
    return json.loads(json.dumps({p: run.summary for p, run in runs.items()}), parse_float=lambda f: f"{float(f):.9g}")


def test_the_numbers_are_the_recorded_ones(tmp_path):
    assert summaries(tmp_path) == json.loads(RECORDED.read_text())


@pytest.mark.parametrize("policy", POLICIES)
def test_the_recorded_runs_show_what_they_are_there_for(policy):
    """The golden runs queue; where workers don't stand they load; where processes come and go they start cold."""
    summary = json.loads(RECORDED.read_text())[policy]
    assert summary["completed"] == summary["invocations"] > 1000
    assert float(summary["queue_s"]["p90"]) > 0
    assert (summary["h2d_bytes"] > 10**9) is (policy not in STANDING)
    assert (summary["cold_starts"] > 100) is policy.startswith(("exclusive", "keepalive"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        RECORDED.write_text(json.dumps(summaries(Path(scratch)), indent=1) + "\n")
