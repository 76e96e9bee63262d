"""A run says what it was made from, and a repetition says what is no longer so."""

from __future__ import annotations

import hashlib
import json
import tarfile

import pytest
from click.testing import CliRunner

from sim import __version__
from sim.cli import main
from sim.files.fingerprint import Fingerprint
from sim.policies import make_policy
from sim.records import provenance
from sim.scenario import Scenario
from traces.synth.azure2019 import write_azure2019

COMMIT = {"version": __version__, "commit": "c" * 40, "dirty": False}


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.setattr(provenance, "project", lambda: COMMIT)
    monkeypatch.setattr("sim.records.manifest.project", lambda: COMMIT)


@pytest.fixture
def trace(tmp_path):
    write_azure2019(tmp_path / "trace", n_functions=10, minutes=2, rate_per_s=3.0, seed=1)
    return tmp_path / "trace"


def simulate(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def manifest(directory):
    return json.loads((directory / "manifest.json").read_text())


def test_every_file_of_a_trace_is_named_with_its_hash(tmp_path, trace):
    simulate("run", trace, "--policy", "balance", "--limit", 5, "-o", tmp_path / "out")
    told = manifest(tmp_path / "out/balance")
    assert told["project"] == COMMIT
    assert {entry["path"] for entry in told["inputs"]} == {str(file) for file in trace.glob("*.csv")}
    for entry in told["inputs"]:
        content = (trace / entry["path"]).read_bytes()
        assert (entry["role"], entry["size_bytes"]) == ("trace", len(content))
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_trace_is_told_as_it_was_when_it_was_opened(tmp_path):
    """It is not read again for each policy, and may be another one by then."""
    opened = {str(tmp_path / "gone.csv"): Fingerprint(7, 0, "5ea1")}
    (told,) = provenance.inputs(Scenario(traces=("gone.csv",), policies=("balance",)), opened, make_policy("balance"))
    assert told == {"role": "trace", "path": str(tmp_path / "gone.csv"), "sha256": "5ea1", "size_bytes": 7}


def test_of_an_archive_it_is_the_archive(tmp_path, trace):
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for file in trace.iterdir():
            archive.add(file, file.name)
    simulate("run", tmp_path / "all.tar.gz", "--policy", "balance", "--limit", 5, "-o", tmp_path / "out")
    (entry,) = manifest(tmp_path / "out/balance")["inputs"]
    assert entry["path"] == str(tmp_path / "all.tar.gz")


def test_a_repetition_tells_in_one_line_what_has_changed(tmp_path, trace, monkeypatch):
    simulate("run", trace, "--policy", "balance", "--limit", 5, "-o", tmp_path / "out")
    scenario = tmp_path / "out/balance/scenario.yaml"
    same = simulate("run", "--scenario", scenario, "-o", tmp_path / "same")
    assert "Note" not in same.stderr
    file = next(trace.glob("invocations*"))
    file.write_bytes(file.read_bytes().replace(b",0,", b",1,", 1))
    other = simulate("run", "--scenario", scenario, "-o", tmp_path / "other")
    assert other.stderr.startswith(f"Note: not all is as it was in {scenario.parent}: {file} has changed\n")
    assert "Note" not in simulate("run", "--scenario", scenario, "-q", "-o", tmp_path / "quiet").stderr
    monkeypatch.setattr(provenance, "project", lambda: {**COMMIT, "commit": "d" * 40, "dirty": True})
    third = simulate("run", "--scenario", scenario, "-o", tmp_path / "third")
    made = (
        f"version {__version__}, commit cccccccccc, and this is version {__version__}, commit dddddddddd with changes"
    )
    assert made in third.stderr


def test_a_scenario_beside_no_run_has_nothing_to_tell(tmp_path, trace):
    (tmp_path / "s.yaml").write_text(f"traces: [{trace}]\npolicies: [balance]\nlimit: 5\n")
    (tmp_path / "manifest.json").write_text("[]")
    assert "Note" not in simulate("run", "--scenario", tmp_path / "s.yaml", "-o", tmp_path / "out").stderr


def test_a_checkout_tells_its_commit_and_what_is_not_in_one_tells_none(tmp_path, monkeypatch):
    monkeypatch.undo()
    provenance.project.cache_clear()
    told = provenance.project()
    assert told["version"] == __version__
    assert (told["commit"] is None) is (told["dirty"] is None)
    provenance.project.cache_clear()
    monkeypatch.setattr(provenance, "_HOME", tmp_path)
    assert provenance.project() == {"version": __version__, "commit": None, "dirty": None}
    monkeypatch.undo()
    provenance.project.cache_clear()
