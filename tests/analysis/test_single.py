"""Commands about a single run."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from analysis.cli import main
from sim.api import simulate
from tests.analysis.timeline.checks import check, of, read
from traces.synth.azure2019 import write_azure2019


def analyze(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two policies on ten minutes of a few functions."""
    folder = tmp_path_factory.mktemp("runs")
    write_azure2019(folder / "trace", n_functions=5, minutes=10, rate_per_s=0.5, seed=1)
    options = {"gpus": 2, "decisions": True, "stays": True}
    simulate(folder / "trace", ["affinity", "exclusive"], out=folder / "out", **options)
    return folder / "out"


def check_mistake(result, part):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert part in result.stderr


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_a_timeline_has_orders_and_memory(runs, tmp_path, policy):
    file = tmp_path / "trace.json.gz"
    done = analyze("timeline", runs / policy, "-o", file)
    assert (done.exit_code, done.stdout) == (0, f"{file}\n")
    trace = read(file)
    check(trace)
    told = {e["name"] for e in of(trace, "i")}
    assert {"Run"} | ({"Start", "Stop"} if policy == "exclusive" else set()) <= told
    assert {e["name"] for e in of(trace, "C")} >= {"waiting", "running", "GPU 0 memory of buffers"}


def test_a_window_is_in_time_from_the_start_of_the_run(runs, tmp_path):
    file = tmp_path / "trace.json.gz"
    assert analyze("timeline", runs / "affinity", "--window", "00:02-00:04:30", "-o", file).exit_code == 0
    trace = read(file)
    check(trace)
    assert trace["otherData"]["window_s"] == [120, 270]
    assert all(120e6 - 1 <= e["ts"] <= 270e6 for e in of(trace, "C"))


def test_mistakes_are_told(runs, tmp_path):
    out = ("-o", tmp_path / "x.json.gz")
    check_mistake(analyze("timeline", runs / "affinity", "-o", tmp_path / "x.json"), "must end in .gz")
    check_mistake(analyze("timeline", runs / "affinity", "--window", "2-4", *out), "write HH:MM-HH:MM in time from")
    check_mistake(analyze("timeline", runs / "affinity", "--window", "90:00-91:00", *out), "nothing is in the window")
    check_mistake(analyze("timeline", runs, *out), "holds 2 runs; name one of them, such as ")
    check_mistake(analyze("why", runs / "affinity", "123456"), "has no invocation 123456")
    assert not (tmp_path / "x.json.gz").exists()


def test_why_prints_both_forms(runs):
    shown = analyze("why", runs / "exclusive", 7)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Invocation 7 of ")
    assert max(map(len, shown.stdout.splitlines()[1:])) <= 100
    told = json.loads(analyze("why", runs / "exclusive", 7, "--json").stdout)
    assert told["invocation"] == 7
    assert told["told"] == shown.stdout.splitlines()[0]
