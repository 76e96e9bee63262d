"""Simulations from Python: the same as by command, in memory or in directories."""

from __future__ import annotations

import pandas as pd
import pytest
from click.testing import CliRunner

import analysis
import sim
from analysis import open_runs, plot, table
from sim import simulate
from sim.cli import main
from sim.errors import ProjectError
from sim.records.decisions import FILE_NAME
from sim.records.tables import TABLES
from traces.cli import main as traces


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    place = tmp_path_factory.mktemp("api") / "trace"
    done = CliRunner().invoke(traces, f"synth --functions 8 --minutes 3 --rate 5 -o {place}".split())
    assert done.exit_code == 0, done.output
    return place


def test_tables_in_memory_are_those_of_the_command(trace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = simulate(trace, ["balance", "affinity[penalty=2]"], gpus=2, seed=3)
    assert list(tmp_path.iterdir()) == [], "nothing is left on disk"
    words = ["--policy", "balance", "--policy", "affinity[penalty=2]", "--gpus", "2", "--seed", "3", "-o", "runs"]
    assert CliRunner().invoke(main, ["run", str(trace), *words]).exit_code == 0
    written = {run.label: run for run in open_runs(["runs"])}
    assert len(runs) == len(written) == 2
    for run in runs.values():
        assert run.valid
        for name in (t.name for t in TABLES):
            pd.testing.assert_frame_equal(run.table(name), written[run.label].table(name))
        assert list(run.table("invocations", ["status", "function"]).columns) == ["status", "function"]
    pd.testing.assert_frame_equal(
        table(list(runs.values()))[["policy", "latency_s.p99"]],
        table([written[run.label] for run in runs.values()])[["policy", "latency_s.p99"]],
    )


def test_runs_in_a_directory_and_their_figures(trace, tmp_path):
    notes = []
    runs = simulate([trace], "balance", out=tmp_path / "runs", decisions=True, limit=50, note=notes.append)
    assert any(note.startswith("offered load: 50 invocations") for note in notes)
    assert (tmp_path / "runs" / "balance" / FILE_NAME).exists()
    files = plot(list(runs.values()), tmp_path / "figures")
    assert files
    assert all(file.stat().st_size for file in files)
    with pytest.raises(ProjectError, match="exists"):
        simulate(trace, "balance", out=tmp_path / "runs")
    simulate(trace, "balance", out=tmp_path / "runs", force=True, limit=50)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"gpus": 0}, "gpus is 0"), ({"gpu": 1}, "gpu"), ({"window": "9"}, "window"), ({"limit": "x"}, "limit")],
)
def test_a_mistake_is_one_sentence(trace, options, said):
    with pytest.raises(ProjectError, match=said) as told:
        simulate(trace, "balance", **options)
    assert "\n" not in str(told.value)


def test_a_name_that_is_not_there_is_not_there():
    for package in (sim, analysis):
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            package.nothing  # noqa: B018
