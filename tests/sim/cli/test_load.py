"""``simulate load`` as a user meets it."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.cli.load import judge
from sim.loads import known, make_load
from sim.records.results import open_run


def simulate(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_a_closed_loop_runs_under_every_policy_and_is_described(tmp_path):
    flags = ["--graph", "cGEMM", "--clients", 3, "--gpus", 2, "--policy", "affinity", "--policy", "balance"]
    done = simulate("load", "closed[outstanding=2,duration=5]", *flags, "--seed", 3, "--json", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert [s["valid"] for s in json.loads(done.stdout)] == [True, True]
    for policy in ("affinity", "balance"):
        run = open_run(tmp_path / policy)
        assert run.manifest["scenario"]["load"] == {
            "name": "closed[outstanding=2,duration=5]",
            "graph": "cGEMM",
            "clients": 3,
        }
        assert run.manifest["source"]["format"] == "closed"
        assert run.table("functions").key.tolist() == ["cGEMM/0", "cGEMM/1", "cGEMM/2"]
        rows = run.table("invocations").sort_values(["function", "arrival_at_s"])
        assert (rows.groupby("function").arrival_at_s.nth(2) > 0).all()
        assert rows.arrival_at_s.max() < 5 <= rows.completed_at_s.max()
        for at_s in (1.0, 4.9):  # each client has its two in flight
            flying = rows[(rows.arrival_at_s <= at_s) & (rows.completed_at_s > at_s)]
            assert flying.groupby("function").size().tolist() == [2, 2, 2]


def test_workers_of_clients_share_gpus_as_it_is_said(tmp_path):
    flags = ["--graph", "resnet50", "--clients", 3, "--gpus", 1, "--policy", "keepalive"]
    for sharing in ("turns", "mps"):
        load = ("closed[outstanding=1,duration=60]", *flags, "--sharing", sharing, "-o", tmp_path / sharing)
        assert simulate("load", *load).exit_code == 0
    n_turns, n_mps = (open_run(tmp_path / way / "keepalive").summary["completed"] for way in ("turns", "mps"))
    assert n_turns < n_mps


def test_a_saved_load_runs_again_to_the_same_bytes(tmp_path):
    """Also after another policy: a run begins with a fresh load."""
    flags = ["--graph", "jacobi", "--clients", 2, "--policy", "balance", "--policy", "affinity"]
    simulate("load", "nshot[n=20]", *flags, "-o", tmp_path / "a")
    done = simulate("run", "--scenario", tmp_path / "a/affinity/scenario.yaml", "-o", tmp_path / "b")
    assert done.exit_code == 0, done.output
    one, other = (tmp_path / d / "affinity/invocations.parquet" for d in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert len(open_run(tmp_path / "b/affinity").table("invocations")) == 40


def test_the_verdict_of_mlperf_is_printed_and_decides_the_exit_code(tmp_path):
    flags = ["--graph", "resnet50", "--policy", "balance", "--out", tmp_path, "--force"]
    done = simulate("load", "server[rate=20,duration=30,bound=0.2]", *flags)
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'balance'}: MLPerf Server VALID: 20 queries/s, 99 % within 0.2 s, of " in done.stdout
    done = simulate("load", "server[rate=20,duration=30,bound=0.001]", *flags, "--json")
    assert done.exit_code == 1
    (summary,) = json.loads(done.stdout)
    assert summary["valid"] is True
    assert summary["mlperf"]["valid"] is False
    assert summary["mlperf"]["reasons"][0].endswith("had no reply within 0.001 s, and 0 may")


def test_a_stream_of_eight_is_judged_by_its_slowest(tmp_path):
    load = "multi-stream[duration=1,min_queries=662]"
    done = simulate("load", load, "--graph", "jacobi", "--policy", "balance", "--json", "-o", tmp_path)
    (summary,) = json.loads(done.stdout)
    rows = open_run(tmp_path / "balance").table("invocations")
    slowest_s = (rows.completed_at_s - rows.arrival_at_s).groupby(rows.arrival_at_s).max()
    assert summary["mlperf"]["n_queries"] == len(slowest_s) == 662
    assert summary["mlperf"]["value"] == pytest.approx(np.sort(slowest_s)[-1])


def test_what_was_rejected_is_late_and_an_invalid_run_shows_nothing():
    class Hundred:
        """A run of 100 requests, of which the last three were rejected at once."""

        summary: ClassVar = {"reasons": ["interrupted"]}

        def table(self, name, columns):
            at_s = np.arange(100.0)
            latency_s = np.where(at_s < 97, 1 + at_s / 100, 0)
            status = np.where(at_s < 97, "completed", "rejected")
            columns = {"function": np.zeros(100, dtype=np.int32), "status": status, "arrival_at_s": at_s}
            return pd.DataFrame(columns | {"completed_at_s": at_s + latency_s})

    result = judge(make_load("single-stream"), "resnet50", Hundred())
    assert result.value is None
    assert result.reasons == ("interrupted", "too many queries had no reply")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["close", "--graph", "bert"], "unknown load 'close'"),
        (["poisson", "--graph", "bert"], "load 'poisson': the parameter rate is missing"),
        (["nshot", "--graph", "brt"], "unknown graph 'brt', did you mean 'bert'? Known are resnet50, bert,"),
        (["nshot", "--graph", "bert", "--clients", 0], "clients is 0, must be from 1 to 100,000"),
        (["nshot", "--graph", "bert", "--gpus", 0], "gpus is 0, must be at least 1"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(tmp_path, arguments, complaint):
    done = simulate("load", *arguments, "--policy", "balance", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("window: 08:00-09:00", "window is '08:00-09:00', must be left out with a load"),
        ("traces: [x]", "must be left out with a load"),
        ("functions: trace", "functions is 'trace', must be left out with a load"),
        ("limit: 3", "limit is 3, must be left out with a load"),
    ],
)
def test_a_scenario_has_a_trace_or_a_load(tmp_path, line, complaint):
    file = tmp_path / "s.yaml"
    file.write_text(f"policies: [balance]\nload: {{name: nshot, graph: bert}}\n{line}\n")
    done = simulate("run", "--scenario", file, "--out", tmp_path / "out")
    assert (done.exit_code, complaint in done.stderr) == (2, True), done.stderr


def test_the_help_names_every_load():
    assert all(f"{name}" in simulate("load", "--help").stdout for name in known())
