"""A small data set of real runs: policies of three kinds, of which one can't keep up on one GPU."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from sim.cli import main as simulate
from sim.sweeps.study import make_study
from sim.sweeps.sweep import run_study
from traces.cli import main as traces

POLICIES = ("affinity", "keepalive", "exclusive")
GPUS, SEEDS = (1, 2, 4), 2
REPORT = {
    "baseline": "affinity",
    "metrics": ["p99", "jain"],
    "policies": {"keepalive": {"label": "kept warm", "colour": "#AA3377"}},
    "figures": [{"figure": "cdf", "where": {"gpus": 2}}, {"figure": "lines", "metric": "p99", "x": "gpus"}],
}


def study_keys(trace: Path) -> dict[str, object]:
    """The study as its file has it."""
    scenario = {"traces": [str(trace)], "window": "00:00-00:01", "slo": "5x"}
    factors = {"policy": list(POLICIES), "gpus": list(GPUS)}
    return {"name": "small", "scenario": scenario, "factors": factors, "seeds": SEEDS, "report": REPORT}


def write_trace(folder: Path) -> Path:
    """One minute of ten functions."""
    words = ["synth", "--functions", "10", "--minutes", "1", "--rate", "25", "--seed", "3", "-o", str(folder)]
    assert CliRunner().invoke(traces, words).exit_code == 0
    return folder


def write_sweep(home: Path) -> Path:
    """The folder of the sweep."""
    run_study(make_study(study_keys(write_trace(home / "trace")), {}, "study", home), home / "sweep", jobs=1)
    return home / "sweep"


def write_stays(home: Path) -> Path:
    """A folder of two runs with the table of residency."""
    words = ["run", str(write_trace(home / "trace")), "--window", "00:00-00:01", "--gpus", "2", "--stays"]
    policies = ["--policy", "affinity", "--policy", "keepalive"]
    assert CliRunner().invoke(simulate, [*words, *policies, "-o", str(home / "runs")]).exit_code == 0
    return home / "runs"
