"""Several commands at once, into one place or each into its own."""

from __future__ import annotations

import pytest

from sim.records.results import open_run
from tests.abuse.writers import call, is_one_sentence, left, prepare, start, writers

N = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("many")
    prepare(directory)
    return directory


def at_once(commands, cwd=None):
    """(exit status, stdout, stderr) of commands that are started together."""
    processes = [start(words, cwd) for words in commands]
    return [(process.returncode, *said) for process in processes for said in [process.communicate()]]


@pytest.mark.parametrize("name", ["run", "convert", "synth", "plot"])
def test_into_one_place_the_losers_are_told_and_the_result_is_whole(place, name):
    writer = next(w for w in writers(place) if w.name == name)
    states = set()
    for n in (1, 2):
        call(*writer.words(n))
        states.add(writer.state())
    results = at_once([writer.words(1 + n % 2) for n in range(N)])
    for status, _, errors in results:
        assert status == 0 or (status == 2 and is_one_sentence(errors)), errors
    assert any(status == 0 for status, *_ in results)
    assert writer.state() in states
    assert left(place) == []
    print(writer.name, [status for status, *_ in results])


def test_without_force_one_is_the_first(place):
    words = ("simulate", "run", "--quiet", place / "trace", "--policy", "balance", "-o", place / "first")
    results = at_once([words] * N)
    assert sorted(status for status, *_ in results) == [0] + [2] * (N - 1)
    assert all(is_one_sentence(errors) for status, _, errors in results if status)
    assert open_run(place / "first/balance").manifest["valid"]


@pytest.mark.parametrize("command", ["run", "load"])
def test_without_a_place_each_has_its_own(place, tmp_path, command):
    words = {
        "run": ("simulate", "run", place / "trace", "--policy", "balance", "--limit", 500),
        "load": ("simulate", "load", "nshot[n=20]", "--graph", "resnet50", "--policy", "balance"),
    }[command]
    results = at_once([words] * N, tmp_path)
    assert [status for status, *_ in results] == [0] * N, results
    runs = [open_run(path.parent) for path in (tmp_path / "runs").glob("*/*/manifest.json")]
    assert len(runs) == N
    assert all(run.manifest["valid"] for run in runs)
