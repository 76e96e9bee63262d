"""The KaaS paper's throughput and latency from causes: predictions against published measurements, where they are here.

A reduced set of points; ``simulate reproduce kaas --points`` does all of them. What each number of the calibration was
derived from is written beside it: of these figures only resnet50 with 2 to 4 clients, and exclusive with 5.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest

from sim.studies.kaas.experiments import N_GPUS, SETUPS, WORKLOADS, Point
from sim.studies.kaas.points import complete, read_points
from sim.studies.kaas.report import errors, is_fitted
from sim.studies.kaas.run import measure

REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference"
THROUGHPUT, LATENCY = REFERENCE / "kaas_throughput.csv", REFERENCE / "kaas_latency_digitised.csv"


@cache
def simulated(workload, mode, clients, wants_latency=False, offered_per_s=None):
    point = Point(workload, mode, clients, offered_per_s)
    return measure(SETUPS["arxiv"].system(point), point, 0, wants_latency=wants_latency)


def throughput(workload, mode, clients):
    return simulated(workload, mode, clients).throughput_qps


def read(file, columns):
    if not file.is_file():
        pytest.skip("the published measurements (shared/reference) are not here")
    with file.open() as text:
        return {(r["workload"], r["mode"], int(r["clients"])): [r[c] for c in columns] for r in csv.DictReader(text)}


@pytest.fixture(scope="module")
def published():
    return {key: float(value) for key, (value,) in read(THROUGHPUT, ["throughput_qps"]).items()}


@pytest.mark.parametrize(
    ("workload", "clients", "tolerance"),
    [
        ("resnet50", 1, 0.06),
        ("resnet50", 4, 0.02),
        ("resnet50", 32, 0.05),
        ("bert", 4, 0.02),
        ("jacobi", 4, 0.02),
        ("cGEMM", 4, 0.03),
        ("cGEMM", 16, 0.03),
        ("cGEMM", 26, 0.05),
        ("cGEMM", 27, 0.03),
        ("cGEMM", 28, 0.03),
        ("cGEMM", 30, 0.12),
        ("cGEMM", 31, 0.05),
        ("cGEMM", 32, 0.02),
    ],
)
def test_kaas_with_affinity(published, workload, clients, tolerance):
    assert throughput(workload, "kaas", clients) == pytest.approx(published[workload, "kaas", clients], rel=tolerance)


def test_the_29th_client_of_cgemm_collapses_the_fleet():
    """The authors' own test gave 34.1 there; their file has 45.9, set by hand (docs/kaas-study.md)."""
    assert throughput("cGEMM", "kaas", 29) == pytest.approx(34.1, rel=0.08)


@pytest.mark.parametrize(
    ("workload", "clients", "tolerance"),
    [
        ("resnet50", 4, 0.02),
        ("resnet50", 5, 0.02),
        ("resnet50", 16, 0.08),
        ("bert", 5, 0.02),
        ("jacobi", 5, 0.02),
        ("cGEMM", 4, 0.03),
        ("cGEMM", 5, 0.02),
        ("cGEMM", 8, 0.05),
        ("cGEMM", 16, 0.05),
    ],
)
def test_exclusive_falls_off_the_cliff(published, workload, clients, tolerance):
    predicted = throughput(workload, "exclusive", clients)
    assert predicted == pytest.approx(published[workload, "exclusive", clients], rel=tolerance)


@pytest.mark.parametrize(
    ("workload", "clients", "tolerance"),
    [
        ("resnet50", 8, 0.03),
        ("resnet50", 28, 0.20),
        ("bert", 4, 0.01),
        ("jacobi", 4, 0.01),
        ("cGEMM", 5, 0.04),
        ("cGEMM", 8, 0.04),
        ("cGEMM", 12, 0.17),
        ("cGEMM", 16, 0.18),
    ],
)
def test_fractional_shares_gpus(published, workload, clients, tolerance):
    predicted = throughput(workload, "fractional", clients)
    assert predicted == pytest.approx(published[workload, "fractional", clients], rel=tolerance)


def test_exclusive_collapses_exactly_when_there_are_more_clients_than_gpus():
    four, five = (throughput("cGEMM", "exclusive", n) for n in (4, 5))
    assert four > 50 * five


def test_the_knee_of_kaas_is_after_the_28th_client_of_cgemm():
    four, last, over = (throughput("cGEMM", "kaas", n) for n in (4, 28, 29))
    assert last == pytest.approx(four, rel=0.02)
    assert over < 0.6 * last


def test_fractional_has_the_teeth_of_a_saw():
    eight, twelve, sixteen = (throughput("cGEMM", "fractional", n) for n in (8, 12, 16))
    assert eight > 1.05 * twelve
    assert sixteen > 1.05 * twelve


def test_the_gain_is_what_the_paper_claims():
    """Up to 50x throughput and 16x lower latency when GPUs are contended (abstract)."""
    kaas, exclusive = (simulated("cGEMM", mode, 8, wants_latency=True) for mode in ("kaas", "exclusive"))
    assert 50 < kaas.throughput_qps / exclusive.throughput_qps < 75
    assert exclusive.latency(0.5) / kaas.latency(0.5) > 12


@pytest.mark.parametrize(("clients", "offered_per_s"), [(8, None), (28, 0.7 * 45.9), (30, None), (32, None)])
def test_latency_of_cgemm_in_mode_kaas(clients, offered_per_s):
    p50_s, p90_s = map(float, read(LATENCY, ["p50_s", "p90_s"])["cGEMM", "kaas", clients])
    result = simulated("cGEMM", "kaas", clients, wants_latency=True, offered_per_s=offered_per_s)
    assert result.latency(0.5) == pytest.approx(p50_s, rel=0.25)
    assert result.latency(0.9) == pytest.approx(p90_s, rel=0.35)


def test_latency_of_contended_exclusive_is_near_what_was_read_off_the_plot():
    """No latency was used to set a number: starts are of the micro-benchmark and of throughput with 5 clients."""
    if not LATENCY.is_file():
        pytest.skip("the published measurements (shared/reference) are not here")
    rows = [row for row in read_points(LATENCY, SETUPS["arxiv"], WORKLOADS) if row.point.mode == "exclusive"]
    rows = [row for row in rows if row.point.clients > N_GPUS]
    table = errors([complete(row, simulated(*row.point[:3], wants_latency=True)) for row in rows])
    p50, p90 = (next(e for e in table if e["quantity"] == f"{q} latency") for q in ("p50", "p90"))
    assert p50["n"] == p90["n"] == 12
    assert p50["median_frac"] < 0.12
    assert p90["median_frac"] < 0.10
    assert p90["p90_frac"] < 0.20


def test_predictions_are_off_by_at_most_3_percent_at_the_median_and_20_at_worst():
    """Every fourth point that the calibration was not derived from."""
    if not THROUGHPUT.is_file():
        pytest.skip("the published measurements (shared/reference) are not here")
    rows = [row for row in read_points(THROUGHPUT, SETUPS["arxiv"], WORKLOADS) if not is_fitted(row.point)][::4]
    (total, *_) = errors([complete(row, simulated(*row.point[:3])) for row in rows])
    assert total["points"] == "all"
    assert total["n"] > 25
    assert total["median_frac"] <= 0.03
    assert total["p90_frac"] <= 0.08
    assert abs(total["worst_error_frac"]) <= 0.20
