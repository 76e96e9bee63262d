"""simulate size: the answer is that of the runs, which stay as a data set; what can't be is refused in a sentence."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from analysis.dataset import open_dataset
from sim.cli import main
from traces.synth.azure2019 import write_azure2019


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("size") / "trace"
    write_azure2019(folder, n_functions=12, minutes=2, rate_per_s=40.0)
    return folder


def size(trace, out, *words, seeds=3):
    arguments = ["size", trace, "--policy", "balance", "--seeds", seeds, "--jobs", 1, "--quiet", "-o", out, *words]
    return CliRunner().invoke(main, [str(word) for word in arguments])


def test_the_smallest_fleet_is_that_of_the_data_set(trace, tmp_path):
    done = size(trace, tmp_path / "out", "--slo", "p99<500ms", "--most", 16, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    frame = open_dataset(tmp_path / "out").frame
    p99_s = frame.groupby("gpus")["latency_s.p99"].mean()
    assert sorted(entry["gpus"] for entry in found["sizes"]) == sorted(p99_s.index)
    assert found["smallest"] == min(p99_s.index[p99_s <= 0.5])
    assert found["low"] <= found["smallest"] <= found["high"]
    assert found["smallest"] - 1 in p99_s.index
    again = size(trace, tmp_path / "out", "--slo", "p99<500ms", "--most", 16, "--json")
    assert json.loads(again.stdout) == found


def test_prices_are_those_of_the_gpus_that_are_there(trace, tmp_path):
    file = tmp_path / "prices.yaml"
    file.write_text("gpu_hour: {Tesla V100-SXM2-16GB: 2.5}\ncurrency: EUR\n")
    done = size(trace, tmp_path / "out", "--slo", "p99<500ms", "--most", 16, "--prices", file, "--json", seeds=2)
    found = json.loads(done.stdout)
    assert found["currency"] == "EUR"
    assert [entry["per_hour"] for entry in found["sizes"]] == pytest.approx([2.5 * e["gpus"] for e in found["sizes"]])
    done = size(trace, tmp_path / "out", "--slo", "p99<500ms", "--most", 16, "--prices", file, seeds=2)
    assert "; 2.5 EUR an hour" in done.output


def test_deadlines_and_memory_that_no_size_or_only_large_ones_meet(trace, tmp_path):
    done = size(trace, tmp_path / "gpus", "--slo", "1.01x", "--attain", "99.9%", "--most", 2, seeds=2)
    assert done.exit_code == 1
    assert "no gpus up to 2 is enough for balance to meet attainment>0.999" in done.output
    words = ["--over", "memory_gib", "--least", 1, "--most", 32, "--set", "gpus=8", "--set", "limit=500"]
    done = size(trace, tmp_path / "memory", "--slo", "hits>50%", *words, seeds=2)
    assert done.exit_code == 0, done.output
    assert "buffers need" in done.output.splitlines()[1]  # 1 GiB can't be run, which is no reason to stop


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "no goal: give --slo"),
        (["--attain", "99%"], "--attain: needs --slo"),
        (["--slo", "p99"], "must be a metric, < or >, and a number"),
        (["--slo", "p98<1s"], "unknown metric 'p98'"),
        (["--slo", "p99<1s", "--least", "9", "--most", "3"], "--least 9: must be at most --most, 3"),
        (["--slo", "p99<1s", "--set", "limit=1,2"], "--set limit: has 2 values"),
        (["--slo", "p99<1s", "--over", "gpsu"], "unknown factor 'gpsu', did you mean 'gpus'"),
        (["--slo", "p99<1s", "--set", "map=nowhere.csv", "--most", "2"], "nowhere.csv"),
    ],
)
def test_what_is_no_question_is_refused_in_a_sentence(trace, tmp_path, words, why):
    done = size(trace, tmp_path / "out", *words)
    assert done.exit_code == 2
    assert why in done.output
    assert "Traceback" not in done.output
