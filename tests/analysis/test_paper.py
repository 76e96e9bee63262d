"""``analyze figure``, ``analyze paper``, the end of ``simulate sweep``: files, what they carry, what is refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from analysis.cli import main as analyze
from analysis.dataset import open_dataset
from analysis.figures.sets.draw import SUFFIXES
from sim.cli import main as simulate
from tests.analysis.studies import write_study
from tests.analysis.sweeps import REPORT, study_keys, write_trace

FIGURES = ("cdf-gpus2", "lines-p99-gpus")
TABLE = [f"comparison{suffix}" for suffix in (".csv", ".md", ".tex")]


def run(command, *words):
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture(scope="module")
def paper(small_sweep, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("paper") / "figures"
    result = run(analyze, "paper", small_sweep.path, "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    names = [f"{name}{suffix}" for name in FIGURES for suffix in SUFFIXES] + TABLE
    assert result.stdout.splitlines() == [str(out / name) for name in names]
    assert sorted(file.name for file in out.iterdir()) == sorted(names)
    return out


def test_a_figure_carries_the_ids_of_its_runs(small_sweep, paper):
    drawn = small_sweep.where({"gpus": 2})["run"]
    others = set(small_sweep.frame["run"]) - set(drawn)
    comment = (paper / "cdf-gpus2.csv").read_text().splitlines()[1]
    assert comment == f"# runs: {' '.join(drawn)}"
    for suffix in (".pdf", ".png"):
        data = (paper / f"cdf-gpus2{suffix}").read_bytes()
        assert all(name.encode() in data for name in drawn), suffix
        assert not any(name.encode() in data for name in others)
    assert b"/Keywords" in (paper / "cdf-gpus2.pdf").read_bytes()


def test_pdfs_are_vectors_with_embedded_truetype(paper):
    for file in paper.glob("*.pdf"):
        data = file.read_bytes()
        assert b"/FontFile2" in data
        assert b"/Type3" not in data
        assert b"/Subtype /Image" not in data


def test_the_csv_of_a_figure_is_read_by_pandas(paper):
    frame = pd.read_csv(paper / "lines-p99-gpus.csv", comment="#")
    assert list(frame.columns) == ["panel", "policy", "x", "mean", "low", "high", "seeds", "unsteady", "runs"]
    assert len(frame) == 9


def test_the_table_compares_with_the_baseline(small_sweep, paper):
    frame = pd.read_csv(paper / "comparison.csv", comment="#")
    assert set(frame["baseline"]) == {REPORT["baseline"]}
    assert set(frame["metric"]) == set(REPORT["metrics"])
    assert "kept warm" in (paper / "comparison.md").read_text()
    assert r"\begin{tabular}" in (paper / "comparison.tex").read_text()
    for name in TABLE:
        assert all(run in (paper / name).read_text() for run in small_sweep.frame["run"])


def test_a_second_call_replaces_the_files_and_gives_the_same_bytes(small_sweep, paper):
    before = {file.name: file.read_bytes() for file in paper.iterdir()}
    assert run(analyze, "paper", small_sweep.path, "-o", paper).exit_code == 0
    assert {file.name: file.read_bytes() for file in paper.iterdir()} == before
    (paper / "cdf-gpus2.csv").write_text("mine")
    result = run(analyze, "paper", small_sweep.path, "-o", paper)
    assert (result.exit_code, "replaces only what it wrote" in result.stderr) == (2, True)
    (paper / "cdf-gpus2.csv").write_bytes(before["cdf-gpus2.csv"])


def test_one_figure_is_as_wide_as_it_is_told(small_sweep, tmp_path):
    words = ["lines", small_sweep.path, "--metric", "jain", "--where", "policy=affinity", "-o", tmp_path / "out"]
    result = run(analyze, "figure", *words, "--width", "5", "--name", "mine")
    assert result.stdout.splitlines() == [str(tmp_path / "out" / f"mine{suffix}") for suffix in SUFFIXES]
    png = (tmp_path / "out" / "mine.png").read_bytes()
    assert int.from_bytes(png[16:20], "big") == 5 * 300
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33], "big")
    assert set(pd.read_csv(tmp_path / "out" / "mine.csv", comment="#")["policy"]) == {"affinity"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure", "line"], "line: unknown figure 'line', did you mean 'lines'?"),
        (["figure", "lines", "--metric", "p98"], "lines: metric: unknown metric 'p98'"),
        (["figure", "lines", "--limit", "1"], "lines: unknown key 'limit'; the keys of lines are where, name, width"),
        (["figure", "cdf", "--where", "gpus=3"], "no run with gpus=3; the values of gpus are 1, 2, 4"),
        (["figure", "heat"], "the runs differ in gpus: 1, 2, 4, which this figure can't show"),
    ],
)
def test_mistakes_are_one_sentence(small_sweep, tmp_path, words, message):
    result = run(analyze, *words, small_sweep.path, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_study_that_asks_for_nothing_is_told(tmp_path):
    result = run(analyze, "paper", write_study(tmp_path / "study"), "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "its study asks for no figures, and names no baseline" in result.stderr


def test_a_sweep_ends_with_what_its_report_asks_for_and_refuses_before_it_runs(tmp_path):
    keys = study_keys(write_trace(tmp_path / "trace"))
    keys |= {"factors": {"policy": ["affinity", "keepalive"]}, "seeds": 1}
    report = {"figures": [{"figure": "cdf"}], "baseline": "affinity"}
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(keys | {"report": {"figures": [{"figure": "lines", "metric": "p98"}]}}))
    result = run(simulate, "sweep", bad, "-o", tmp_path / "bad", "--jobs", "1")
    assert result.exit_code == 2
    assert f"{bad}: report: figures[0]: metric: unknown metric 'p98'" in result.stderr
    assert not (tmp_path / "bad").exists()
    good = tmp_path / "good.yaml"
    good.write_text(yaml.safe_dump(keys | {"report": report}))
    for _ in range(2):
        result = run(simulate, "sweep", good, "-o", tmp_path / "good", "--jobs", "1")
        assert result.exit_code == 0
        files = [tmp_path / "good" / "paper" / name for name in ("cdf.pdf", "cdf.png", "cdf.csv", *TABLE)]
        assert result.stdout.splitlines()[-6:] == [str(file) for file in files]
        assert all(file.exists() for file in files)
    assert len(open_dataset(tmp_path / "good").frame) == 2
