"""Golden runs: a small synthetic trace under every policy gives the recorded summary.

A change of the numbers must be meant: ``python -m tests.golden.test_golden`` records new ones, and the commit says why.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from sim.models.workloads.catalogue import load_catalogue
from sim.policies import known, make_policy
from sim.workload import bind
from tests.support import V100, simulate
from traces.open import open_trace
from traces.synth import write_azure2019

RECORDED = Path(__file__).with_name("summaries.json")


def summaries(directory):
    """Summary by policy: 30 functions at 20 invocations/s for 2 minutes on 2 V100s, as floats of 9 digits."""
    write_azure2019(directory / "trace", n_functions=30, minutes=2, rate_per_s=20.0, seed=4)
    trace = open_trace([directory / "trace"], window="00:00-00:02", seed=4)
    workload = bind(trace, catalogue=load_catalogue("kaas"), seed=4)
    runs = {p: simulate(workload, make_policy(p), directory / p, gpus=2, calibration=V100) for p in known()}
    return json.loads(json.dumps({p: run.summary for p, run in runs.items()}), parse_float=lambda f: f"{float(f):.9g}")


def test_the_numbers_are_the_recorded_ones(tmp_path):
    assert summaries(tmp_path) == json.loads(RECORDED.read_text())


@pytest.mark.parametrize("policy", sorted(known()))
def test_the_recorded_runs_show_what_they_are_there_for(policy):
    """The golden runs queue, and load; the exclusive one starts cold, the others evict nothing but by pressure."""
    summary = json.loads(RECORDED.read_text())[policy]
    assert summary["completed"] == summary["invocations"] > 1000
    assert float(summary["queue_s"]["p90"]) > 0
    assert summary["h2d_bytes"] > 10**9
    assert (summary["cold_starts"] > 100) is (policy == "exclusive")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        RECORDED.write_text(json.dumps(summaries(Path(scratch)), indent=1) + "\n")
