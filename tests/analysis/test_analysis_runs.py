"""From paths to runs and their names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.runs import fault, labels, open_runs, wrap_label
from sim.errors import RunError


def test_a_folder_stands_for_its_runs_sorted_by_name(make_run):
    for name in ("b", "c", "a"):
        folder = make_run(name=name, n=5).parent
    (folder / "notes").mkdir()
    (folder / "readme.txt").touch()
    assert [run.path.name for run in open_runs([folder])] == ["a", "b", "c"]


def test_runs_keep_the_order_given_and_come_once(make_run):
    second, first = make_run(name="b", n=5), make_run(name="a", n=5)
    assert [run.path.name for run in open_runs([second, first.parent, second])] == ["b", "a"]


def test_labels_are_policies_with_the_folder_where_they_are_shared(make_run, tmp_path):
    make_run("fifo", name="x", n=5)
    make_run("fifo", name="y", n=5)
    make_run("sjf", n=5)
    runs = open_runs([tmp_path / "runs"])
    assert labels(runs) == ["sjf", "fifo (x)", "fifo (y)"]
    make_run("fifo", name="deep/x", n=5)
    runs = open_runs([tmp_path / "runs" / "x", tmp_path / "runs" / "deep" / "x"])
    assert labels(runs) == [f"fifo ({run.path})" for run in runs]


def test_a_fault_names_reasons_and_error(make_run):
    def of(**manifest):
        return fault(open_runs([make_run(name=str(manifest), n=5, manifest=manifest)])[0])

    assert of(valid=True) == ""
    assert of(valid=False, reasons=["a", "b"]) == "a; b"
    assert of(valid=False, error="PolicyError: no") == "PolicyError: no"
    assert of(valid=False) == "no reason given"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200), st.integers(5, 60))
def test_wrapping_loses_nothing_but_spaces_and_fits(label, most):
    lines = wrap_label(label, most)
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    assert all(len(line) <= most for line in lines)


def test_wrapping_breaks_after_commas():
    assert wrap_label("mqfq[T=10,alpha=2,beta=3]", 18) == ["mqfq[T=10,alpha=2,", "beta=3]"]


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
