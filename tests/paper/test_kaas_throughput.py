"""The KaaS paper's throughput from causes: predictions against the published measurements, where those are at hand.

n clients, each with a private copy of one model, saturate 4 V100s. The paper's clients are closed loops of 8; here
arrivals come faster than they can be served, which saturates alike. What each number of the calibration was derived
from is written beside it: of these figures only resnet50's ceiling and cGEMM at 32 clients.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.workload import bind
from tests.support import V100, ListTrace, simulate

FILE = Path(__file__).parents[2].parent / "shared" / "reference" / "kaas_throughput.csv"


@pytest.fixture(scope="module")
def published():
    if not FILE.is_file():
        pytest.skip("the published measurements (shared/reference) are not here")
    with FILE.open() as file:
        return {(r["workload"], r["mode"], int(r["clients"])): float(r["throughput_qps"]) for r in csv.DictReader(file)}


def throughput_per_s(directory, workload, policy, clients, duration_s, rate_per_s):
    """Completions per second from the first third of the run on."""
    n = int(duration_s * rate_per_s)
    at_s = np.sort(np.random.default_rng(1).random(n)) * duration_s
    trace = ListTrace(at_s, np.arange(n) % clients, np.ones(n), clients)
    bound = bind(trace, catalogue={workload: load_catalogue("kaas")[workload]}, seed=0)
    run = simulate(bound, make_policy(policy), directory, gpus=4, calibration=V100, check=False)
    ended = run.table("invocations", ["completed_at_s"]).completed_at_s
    return float(((ended > duration_s / 3) & (ended < duration_s)).sum()) / (duration_s * 2 / 3)


@pytest.mark.parametrize(
    ("workload", "clients", "tolerance"),
    [
        ("resnet50", 4, 0.05),
        ("resnet50", 32, 0.05),
        ("bert", 4, 0.05),
        ("jacobi", 4, 0.05),
        ("cGEMM", 4, 0.05),
        ("cGEMM", 16, 0.05),
        ("cGEMM", 26, 0.05),
        ("cGEMM", 27, 0.05),
        ("cGEMM", 28, 0.05),
        ("cGEMM", 30, 0.10),
        ("cGEMM", 31, 0.05),
        ("cGEMM", 32, 0.05),
    ],
)
def test_kaas_with_affinity(tmp_path, published, workload, clients, tolerance):
    predicted = throughput_per_s(tmp_path, workload, "affinity", clients, 200, 250 if workload == "resnet50" else 120)
    assert predicted == pytest.approx(published[workload, "kaas", clients], rel=tolerance)


def test_the_29th_client_of_cgemm_collapses_the_fleet(tmp_path, published):
    """The authors' own test gave 34.1 there; their file has 45.9, set by hand (kaas.md, (h))."""
    assert throughput_per_s(tmp_path, "cGEMM", "affinity", 29, 200, 120) == pytest.approx(34.1, rel=0.15)


@pytest.mark.parametrize(
    ("workload", "clients", "tolerance"),
    [
        ("resnet50", 4, 0.05),
        ("resnet50", 5, 0.02),
        ("resnet50", 16, 0.10),
        ("bert", 5, 0.02),
        ("jacobi", 5, 0.02),
        ("cGEMM", 4, 0.05),
        ("cGEMM", 5, 0.10),
        ("cGEMM", 8, 0.15),
        ("cGEMM", 16, 0.10),
    ],
)
def test_exclusive_falls_off_the_cliff(tmp_path, published, workload, clients, tolerance):
    duration_s = 60 if clients <= 4 else 1200
    predicted = throughput_per_s(tmp_path, workload, "exclusive", clients, duration_s, 250 if clients <= 4 else 10)
    assert predicted == pytest.approx(published[workload, "exclusive", clients], rel=tolerance)


def test_the_gain_is_what_the_paper_claims(tmp_path):
    """Up to 50x throughput when GPUs are contended (abstract), without any published number at hand."""
    kaas = throughput_per_s(tmp_path / "kaas", "cGEMM", "affinity", 8, 100, 120)
    exclusive = throughput_per_s(tmp_path / "exclusive", "cGEMM", "exclusive", 8, 600, 10)
    assert 50 < kaas / exclusive < 75
