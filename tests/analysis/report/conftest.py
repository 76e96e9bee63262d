"""Runs and a study for pages, some with hostile names; and their pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.dataset import RESULTS, RUNS, STUDY, dataset_of
from analysis.report.page import write_report
from analysis.runs import open_runs
from sim.records.parts import PARTS
from tests.analysis.mmc_runs import make_tables, write_run

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">&amp;\u2028'"


@pytest.fixture(scope="session")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on three runs: one of hostile names, one not steady, one invalid."""
    folder = tmp_path_factory.mktemp("report")
    tables = make_tables("fifo", n=800, seed=3)
    tables["functions"]["key"] = [f"{HOSTILE}{i}" for i in range(len(tables["functions"]))]
    scenario = {"traces": [f"/data/{HOSTILE}"], "seed": 0, "fleet": {"gpus": 4}}
    run = write_run(folder / "runs" / "fifo", "fifo", tables, simulated_s=600, manifest={"scenario": scenario})
    (run / "scenario.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
    warnings = ["not steady: 5 waited, then 500"]
    _run(folder / "runs" / "sjf", "sjf", 3, manifest={"scenario": scenario}, warnings=warnings)
    invalid = {"scenario": scenario, "valid": False, "reasons": [f"cut {HOSTILE}"]}
    _run(folder / "runs" / "exclusive", "exclusive", 3, manifest=invalid)
    for run in (folder / "runs").iterdir():
        summary = json.loads((run / "summary.json").read_text("utf-8"))
        summary["latency_parts_s"] = {part: i / 8 for i, part in enumerate(PARTS)}
        (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    write_report([folder / "runs"], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two policies, two fleets, two ways of sharing and three seeds."""
    folder = tmp_path_factory.mktemp("study") / "fleets"
    points = [
        (policy, gpus, sharing, seed)
        for policy in ("fifo", "sjf")
        for gpus in (4, 2)
        for sharing in ("mps", "turns")
        for seed in range(3)
    ]
    for policy, gpus, sharing, seed in points:
        fleet = {"gpus": gpus, "sharing": sharing, "calibration": "v100-kaas"}
        scenario = {"seed": seed, "window": None, "policies": [policy], "fleet": fleet}
        _run(folder / RUNS / f"{policy}-{gpus}-{sharing}-{seed}", policy, seed, manifest={"scenario": scenario})
    frame = dataset_of(open_runs([folder / RUNS]), folder / RUNS).frame
    frame.rename(columns={"fleet.sharing": "sharing"}).to_parquet(folder / RESULTS, index=False)
    factors = {"policy": ["fifo", "sjf"], "gpus": [2, 4], "sharing": ["mps", "turns"]}
    looks: dict[str, Any] = {"sjf": {"label": "Shortest <b>first</b>", "colour": "#123456"}, "fifo": {}}
    report = {"baseline": "fifo", "metrics": ["p99", "max-latency"], "policies": looks}
    text = yaml.safe_dump({"name": "fleets", "scenario": {}, "factors": factors, "report": report}, sort_keys=False)
    (folder / STUDY).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def study_page(study: Path) -> Path:
    """The page on the study."""
    file = study.parent / "study.html"
    write_report([study], file)
    return file


def _run(path: Path, policy: str, seed: int, **options: Any) -> None:
    write_run(path, policy, make_tables(policy, n=400, seed=seed), simulated_s=600, **options)
