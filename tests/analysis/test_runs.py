"""From paths to runs and their names."""

from __future__ import annotations

import json

import pytest

from analysis.runs import fault, open_runs
from sim.errors import RunError


def test_a_folder_stands_for_the_runs_in_and_below_it_sorted_by_path(make_run, tmp_path):
    for name in ("b/2", "b/10", "c/deep/er", "a", ".hidden"):
        make_run(name=name, n=5)
    folder = tmp_path / "runs"
    make_run(name="a/inside", n=5)  # of a run no folder is looked into
    (folder / "study").mkdir()
    (folder / "study" / "manifest.json").write_text('{"study": "kaas", "files": []}')
    (folder / "c" / "round").symlink_to(folder)
    found = [str(run.path.relative_to(folder)) for run in open_runs([folder])]
    assert found == ["a", "b/10", "b/2", "c/deep/er"]


def test_a_folder_of_links_stands_for_runs_too(make_run, tmp_path):
    target = make_run(n=5)
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "one").symlink_to(target)
    assert [run.label for run in open_runs([tmp_path / "chosen"])] == ["fifo"]


def test_a_folder_stands_for_its_runs_sorted_by_name(make_run):
    for name in ("b", "c", "a"):
        folder = make_run(name=name, n=5).parent
    (folder / "notes").mkdir()
    (folder / "readme.txt").touch()
    assert [run.path.name for run in open_runs([folder])] == ["a", "b", "c"]


def test_runs_keep_the_order_given_and_come_once(make_run):
    second, first = make_run(name="b", n=5), make_run(name="a", n=5)
    assert [run.path.name for run in open_runs([second, first.parent, second])] == ["b", "a"]


def test_a_fault_names_reasons_and_error(make_run):
    def of(**manifest):
        return fault(open_runs([make_run(name=str(manifest), n=5, manifest=manifest)])[0])

    assert of(valid=True) == ""
    assert of(valid=False, reasons=["a", "b"]) == "a; b"
    assert of(valid=False, error="PolicyError: no") == "PolicyError: no"
    assert of(valid=False) == "no reason given"


def test_what_is_no_run_is_told(tmp_path, make_run):
    def message(path):
        with pytest.raises(RunError) as caught:
            open_runs([path])
        return str(caught.value)

    assert message(tmp_path / "none") == f"{tmp_path / 'none'}: there is no such run directory"
    (tmp_path / "file").touch()
    assert message(tmp_path / "file") == f"{tmp_path / 'file'}: is a file, not a run directory"
    (tmp_path / "empty").mkdir()
    assert "neither a run directory nor a folder of runs" in message(tmp_path / "empty")
    old = make_run(name="old", n=5, manifest={"schema_version": 99})
    assert "schema_version is 99" in message(old)
    nameless = make_run(name="nameless", n=5)
    manifest = json.loads((nameless / "manifest.json").read_text())
    del manifest["policy"]
    (nameless / "manifest.json").write_text(json.dumps(manifest))
    assert message(nameless) == f"{nameless / 'manifest.json'}: lacks the key 'policy'"
    (nameless / "manifest.json").write_text("{")
    assert "not JSON" in message(nameless)
