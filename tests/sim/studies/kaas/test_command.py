"""``simulate reproduce kaas``."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner

from sim.cli.reproduce import reproduce
from sim.studies.kaas.experiments import SETUPS


def written(tmp_path, text):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return file


def invoke(*words):
    return CliRunner().invoke(reproduce, ["kaas", *map(str, words)])


def test_the_command_completes_a_file_and_writes_everything(tmp_path):
    file = written(
        tmp_path,
        "workload,mode,clients,throughput_qps,p50_s\n"
        "jacobi,exclusive,5,1.56,0.08\ncGEMM,fractional,17,,\njacobi,exclusive,5,1.5,\n",
    )
    out = tmp_path / "out"
    result = invoke("--points", file, "--out", out, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["workload"] for row in rows] == ["jacobi", "cGEMM", "jacobi"]
    assert rows[0]["error_frac"] == pytest.approx(0, abs=0.02)
    assert rows[0]["simulated_p50_s"] > 0
    assert rows[1]["simulated_throughput_qps"] is None
    assert "no room for 17 functions" in rows[1]["note"]
    assert rows[2]["note"] == "the same point as row 2"
    assert json.loads((out / "points.json").read_text()) == rows
    with (out / "points.csv").open() as text:
        assert [row["clients"] for row in csv.DictReader(text)] == ["5", "17", "5"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["calibration"]["sha256"] == SETUPS["arxiv"].calibration().sha256
    assert (manifest["seed"], manifest["setup"]) == (0, "arxiv")
    figures = {
        f"{name}.{kind}" for name in ("throughput", "latency", "latency_cdf", "micro") for kind in ("pdf", "png")
    }
    assert figures <= set(manifest["files"])
    assert {f.name for f in out.iterdir()} == {*manifest["files"], "manifest.json"}
    again = invoke("--points", file, "--figure", "throughput", "--jobs", 1, "--out", out)
    assert "median_frac" in again.stdout
    manifest = json.loads((out / "manifest.json").read_text())
    assert "throughput.pdf" in manifest["files"]
    assert "micro.pdf" not in manifest["files"], "this one is older than the manifest"


def test_mistakes_end_the_command_with_one_sentence(tmp_path):
    file = written(tmp_path, "workload,mode,clients\nbert,kas,1\n")
    result = invoke("--points", file)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "row 2: mode: is 'kas'" in result.stderr
    assert invoke("--setup", "dissertation", "--figure", "micro").exit_code == 2
    assert invoke("--points", file, "--figure", "ablation").exit_code == 2
    assert invoke("--figure", "micro", "--out", file).exit_code == 2


def test_modes_belong_to_a_setup(tmp_path):
    file = written(tmp_path, "workload,mode,clients\nbert,kaas_balance,1\n")
    assert "must be one of kaas, exclusive, static, fractional, balance" in invoke("--points", file).stderr


def test_what_is_refused_throughout_has_a_table_and_no_figure(tmp_path):
    file = written(tmp_path, "workload,mode,clients\ncGEMM,fractional,17\n")
    result = invoke("--points", file, "--figure", "throughput", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "no room for 17 functions" in result.stdout
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["files"] == ["points.csv", "points.json"]
