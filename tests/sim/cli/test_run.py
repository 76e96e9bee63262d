"""The ``simulate`` command as a user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import resources
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.models.calibration import built_in, load_calibration
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import known
from sim.protocol import Arrival, Finished, Run, Standing
from sim.records.decisions import FILE_NAME, read_decisions
from sim.records.results import open_run
from sim.terminal.progress import progress
from traces.synth.azure2019 import write_azure2019

KEYS = {
    "policy", "invocations", "completed", "rejected", "failed", "unfinished", "cold_starts", "throughput_per_s",
    "latency_s", "queue_s", "pool_s", "quantiles", "gpu_frac", "gpu_busy_frac", "gpu_occupied_frac", "h2d_bytes",
    "evictions", "jain_fairness", "simulated_s", "wall_s", "invocations_per_wall_s", "peak_rss_bytes", "valid",
    "reasons", "warnings",
}  # fmt: skip
SPREAD = {"mean", "p50", "p90", "p99", "p999", "max"}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trace")
    write_azure2019(directory, n_functions=20, minutes=3, rate_per_s=5.0, seed=1)
    return str(directory)


def simulate(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_every_policy_sees_the_same_arrivals(trace, tmp_path):
    policies = ["balance", "least-loaded", "exclusive", "affinity", "affinity[penalty=2]"]
    flags = [part for p in policies for part in ("--policy", p)]
    done = simulate("run", trace, *flags, "--window", "00:00-00:02", "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    summaries = json.loads(done.stdout)
    assert [s["path"] for s in summaries] == [str(tmp_path / n) for n in (*policies[:4], "affinity-penalty=2")]
    assert {(s["gpus"], s["seed"], s["window"], s["device"]) for s in summaries} == {(4, 0, "00:00-00:02", "v100-kaas")}
    assert [s["policy"] for s in summaries] == [*policies[:3], "affinity[penalty=10]", "affinity[penalty=2]"]
    for summary in summaries:
        assert summary.keys() >= KEYS
        assert summary["latency_s"].keys() == summary["queue_s"].keys() == SPREAD
        assert summary["completed"] == summary["invocations"] > 100
        assert summary["valid"] is True
    runs = [open_run(tmp_path / n) for n in ("balance", "exclusive", "affinity-penalty=2")]
    columns = ["invocation", "function", "arrival_at_s"]
    first, *others = [r.table("invocations").sort_values("invocation")[columns].to_numpy() for r in runs]
    assert all((first == other).all() for other in others)
    assert runs[0].manifest["scenario"]["window"] == "00:00-00:02"
    assert runs[0].manifest["source"]["anomalies"] is not None


def test_a_table_and_the_directories_are_printed(trace, tmp_path):
    done = simulate("run", trace, "--policy", "affinity", "--limit", 50, "--out", tmp_path)
    assert "affinity[penalty=10]" in done.stdout
    assert str(tmp_path / "affinity") in done.stdout
    assert open_run(tmp_path / "affinity").summary["invocations"] == 50


def test_decisions_and_stays_are_kept_when_asked_for_and_change_nothing(trace, tmp_path):
    for place, flags in (("with", ["--decisions", "--stays"]), ("without", [])):
        done = simulate("run", trace, "--policy", "affinity", "--limit", 50, "--out", tmp_path / place, *flags)
        assert done.exit_code == 0, done.output
    run, plain = open_run(tmp_path / "with" / "affinity"), open_run(tmp_path / "without" / "affinity")
    more = {file.name for file in run.path.iterdir()} - {file.name for file in plain.path.iterdir()}
    assert more == {FILE_NAME, "actions.parquet", "residency.parquet"}
    assert len(run.table("actions")) == 50
    assert set(run.table("residency").function) == set(run.table("invocations").function)
    assert sum(isinstance(event, Finished) for _, event, _ in read_decisions(run.path / FILE_NAME)) == 50
    pd.testing.assert_frame_equal(run.table("invocations"), plain.table("invocations"))


def test_the_server_of_kaas_stands_before_the_pool_only_when_it_is_asked_for(trace, tmp_path):
    flags = ("run", trace, "--policy", "affinity", "--gpus", 16, "--rate-scale", 40, "--json", "--out")
    free = json.loads(simulate(*flags, tmp_path / "free").stdout)[0]
    kaas = json.loads(simulate(*flags, tmp_path / "kaas", "--frontend", "kaas").stdout)[0]
    assert free["warnings"] == []
    assert any("its server, which takes at most 172 requests/s" in w for w in kaas["warnings"])
    assert kaas["queue_s"]["p50"] > 10 * free["queue_s"]["p50"], "waiting at its door is waiting"
    assert open_run(tmp_path / "kaas/affinity").warnings == kaas["warnings"]
    rows = open_run(tmp_path / "free/affinity").table("invocations")
    assert (rows.queued_at_s == rows.arrival_at_s).all()
    assert (rows.admitted_at_s == rows.arrival_at_s).all()


def test_a_calibration_without_a_frontend_can_not_bring_one(trace, tmp_path):
    text = resources.files("sim.models").joinpath("calibrations/v100-kaas.json").read_text("utf-8")
    plain = {k: v for k, v in json.loads(text).items() if k not in ("frontend", "graphs")}
    (tmp_path / "plain.json").write_text(json.dumps({**plain, "name": "plain"}))
    flags = ("run", trace, "--policy", "balance", "--calibration", tmp_path / "plain.json", "--out", tmp_path / "out")
    assert simulate(*flags).exit_code == 0
    done = simulate(*flags, "--frontend", "kaas")
    assert done.exit_code == 2
    assert "frontend: is 'kaas', but the calibration plain has none" in done.stderr


def test_the_offered_load_is_told_before_a_run_and_in_its_manifest(trace, tmp_path):
    flags = ("--policy", "balance", "--policy", "exclusive", "--rate-scale", 100, "--gpus", 1, "--limit", 2000)
    done = simulate("run", trace, *flags, "--out", tmp_path)
    assert "kaas workers: offered load: 2,000 invocations" in done.stderr
    assert "exclusive workers: offered load: 2,000 invocations" in done.stderr
    assert "That is more than 1 GPU can serve" in done.stderr
    offered = open_run(tmp_path / "balance").manifest["offered"]
    assert offered["busy_gpus"] > offered["gpus"] == 1
    assert sum(g["invocations_frac"] for g in offered["graphs"].values()) == pytest.approx(1.0)


def test_a_saved_scenario_runs_again_to_the_same_bytes(trace, tmp_path):
    simulate("run", trace, "--policy", "affinity", "--limit", 200, "--gpus", 2, "--out", tmp_path / "a")
    done = simulate("run", "--scenario", tmp_path / "a/affinity/scenario.yaml", "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    for table in ("invocations", "devices", "workers", "functions"):
        one, other = (tmp_path / d / "affinity" / f"{table}.parquet" for d in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_functions_of_the_trace_keep_its_durations(trace, tmp_path):
    done = simulate("run", trace, "--policy", "balance", "--functions", "trace", "--limit", 100, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    run = open_run(tmp_path / "balance")
    assert set(run.table("functions").graph) == {"opaque"}
    assert run.table("invocations").run_s.nunique() > 40


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--policy", "afinity"], "unknown policy 'afinity', did you mean 'affinity'? Known are affinity, "),
        (["--policy", "affinity[x=1]"], "unknown parameter 'x'"),
        (["--policy", "balance", "--policy", "balance"], "the policy balance is given twice"),
        ([], "no policy: give --policy NAME"),
        (
            ["--policy", "balance", "--functions", "trace", "--catalogue", "small"],
            "has no effect with --functions trace",
        ),
        (
            ["--policy", "balance", "--calibration", "nope"],
            "unknown calibration 'nope'; known are a100-80, h100-80, t4, v100-kaas; there is no such file",
        ),
        (["--policy", "balance", "--catalogue", "nope"], "nope"),
        (["--policy", "balance", "--window", "9-8"], "9-8"),
        (["--policy", "balance", "--window", "20:00-21:00"], "20:00-21:00"),
        (["--policy", "balance", "--gpus", "0"], "gpus is 0, must be at least 1"),
        (["--policy", "balance", "--format", "nope"], "nope"),
        (["--policy", "balance", "--scenario", "nope.yaml"], "nope.yaml"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(trace, tmp_path, arguments, complaint):
    done = simulate("run", trace, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_no_trace_at_all_is_told(tmp_path):
    done = simulate("run", "--policy", "balance", "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr.partition(":")[0]) == (2, "Error")
    assert "no trace: name files or directories" in done.stderr


def test_a_directory_that_can_not_be_made_is_named(trace, tmp_path):
    (tmp_path / "file").write_text("")
    done = simulate("run", trace, "--policy", "balance", "--limit", 5, "--out", tmp_path / "file")
    assert done.exit_code == 2
    assert "can't be written (Not a directory)" in done.stderr


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((), "the policy left 5 invocations waiting for ever"),
        ((Run(99, 0),), "the policy ordered something impossible"),
    ],
)
def test_a_policy_that_fails_makes_the_run_invalid(trace, tmp_path, monkeypatch, answer, reason):
    monkeypatch.setattr(known()["balance"], "on_event", lambda self, now_s, event, view: answer)
    done = simulate("run", trace, "--policy", "balance", "--limit", 5, "--out", tmp_path)
    assert done.exit_code == 1
    assert done.stdout.count(reason) == 1
    manifest = json.loads((tmp_path / "balance/manifest.json").read_text())
    assert (manifest["valid"], manifest["reasons"]) == (False, [reason])
    assert (manifest["error"] is None) is (answer == ())


def test_workers_that_can_not_stand_are_refused_before_anything_is_written(trace, tmp_path, monkeypatch):
    monkeypatch.setattr(known()["balance"], "standing", lambda self, fleet: [Standing(9, -1)])
    done = simulate("run", trace, "--policy", "affinity", "--policy", "balance", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: balance begins with Standing(device=9, ")
    assert not (tmp_path / "out").exists()


def test_a_calibration_that_can_not_share_devices_is_refused_before_anything_is_written(trace, tmp_path):
    built_in = resources.files("sim.models").joinpath("calibrations", "v100-kaas.json").read_text("utf-8")
    (tmp_path / "v100.json").write_text(json.dumps(json.loads(built_in) | {"n_multiprocessors": None}))
    flags = ["--policy", "balance", "--policy", "fractional", "--calibration", tmp_path / "v100.json", "--gpus", 16]
    done = simulate("run", trace, *flags, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "n_multiprocessors is not given" in done.stderr
    assert not (tmp_path / "out").exists()


def test_how_gpus_are_shared_is_a_flag_and_needs_kernels_only_under_mps(trace, tmp_path):
    flags = ["--policy", "keepalive[ttl=60,reuse=oldest]", "--functions", "trace", "--limit", 200, "--out", tmp_path]
    done = simulate("run", trace, *flags)
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: fleet.sharing is 'mps', which must know the kernels of functions, and those of the trace "
        "(functions: trace) have none: choose slices or turns\n"
    )
    assert not list(tmp_path.iterdir())
    done = simulate("run", trace, *flags, "--sharing", "slices[length=0.01]")
    assert done.exit_code == 0, done.output
    run = open_run(tmp_path / "keepalive-ttl=60-reuse=oldest")
    assert run.manifest["scenario"]["fleet"]["sharing"] == "slices[length=0.01]"
    assert run.manifest["policy"] == "keepalive[ttl=60,reuse=oldest,restart=completion,concurrency=1]"
    done = simulate("run", trace, *flags, "--sharing", "slice")
    assert done.exit_code == 2
    assert "unknown sharing 'slice', did you mean 'slices'? Known are mps, slices, turns" in done.stderr


def test_a_crash_of_a_policy_leaves_what_was_completed(trace, tmp_path, monkeypatch):
    def crash(self, now_s, event, view):
        return (Run(0, 0),) if event == Arrival(0, event.function) else {}["no such key"]

    monkeypatch.setattr(known()["balance"], "on_event", crash)
    with pytest.raises(KeyError, match="no such key"):
        simulate("run", trace, "--policy", "balance", "--limit", 5, "--out", tmp_path)
    run = open_run(tmp_path / "balance")
    assert (run.manifest["valid"], run.manifest["error"]) == (False, "KeyError('no such key')")
    assert len(run.table("invocations")) == run.summary["invocations"] > 0


def test_a_run_of_nothing_is_refused(tmp_path):
    """The minute has an invocation, but it comes before the window."""
    file = tmp_path / "counts.csv"
    file.write_text("HashFunction,1\nf,1\n")
    flags = ("--policy", "balance", "--placement", "start", "--window", "00:00:30-00:01:00", "--out", tmp_path / "out")
    done = simulate("run", file, *flags)
    said = f"Error: {file}: has no arrival within 30 s, so there is nothing to run\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("n", [300, 100_000])
def test_a_bar_on_a_terminal_moves_however_few_arrivals_there_are(monkeypatch, n):
    class Terminal(StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress("affinity", n) as tell:
        for _ in range(n):
            tell(1)
    drawn = sys.stderr.getvalue()
    assert len(set(re.findall(r"\d+%", drawn))) > 90
    assert drawn.count("affinity") < 400, "drawing it takes longer than simulating an arrival"


def test_a_missing_trace_is_named(tmp_path):
    done = simulate("run", tmp_path / "none", "--policy", "balance", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert str(tmp_path / "none") in done.stderr


def test_a_function_that_fits_on_no_gpu_is_named(trace, tmp_path):
    (tmp_path / "big.json").write_text(
        json.dumps(
            {
                "entries": [{
                    "fresh_inputs": True,
                    "graph": {
                        "name": "huge",
                        "kernels": [{"source": "k", "name": "k", "grid": [1, 1, 1], "block": [1, 1, 1],
                                     "args": [["c", "in"]]}],
                        "buffers": [{"name": "c", "size_bytes": 10**12, "role": "constant"}],
                    },
                }]
            }
        )
    )  # fmt: skip
    flags = ["--policy", "balance", "--catalogue", tmp_path / "big.json", "--out", tmp_path / "out"]
    done = simulate("run", trace, *flags)
    assert done.exit_code == 2
    assert "runs huge, whose buffers need 1,000,000,000,000 B" in done.stderr
    assert not (tmp_path / "out").exists()


def test_runs_are_not_overwritten_without_force(trace, tmp_path):
    flags = ["run", trace, "--policy", "balance", "--limit", 10, "--out", tmp_path]
    assert simulate(*flags).exit_code == 0
    before = (tmp_path / "balance/manifest.json").read_bytes()
    done = simulate(*flags)
    assert done.exit_code == 2
    assert "exists; choose another directory or give --force" in done.stderr
    assert (tmp_path / "balance/manifest.json").read_bytes() == before
    assert simulate(*flags, "--force").exit_code == 0


def test_force_deletes_nothing_but_runs(trace, tmp_path):
    (tmp_path / "balance").mkdir()
    (tmp_path / "balance/thesis.tex").write_text("years of work")
    done = simulate("run", trace, "--policy", "balance", "--limit", 10, "--out", tmp_path, "--force")
    assert done.exit_code == 2
    assert "is not a run directory" in done.stderr
    assert (tmp_path / "balance/thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("manifest", ['{"name": "my web app"}', '{"schema_version": 1, "world": "sim", "policy": "x"}'])
def test_force_deletes_no_other_file_beside_a_manifest(trace, tmp_path, manifest):
    (tmp_path / "balance/precious").mkdir(parents=True)
    (tmp_path / "balance/manifest.json").write_text(manifest)
    done = simulate("run", trace, "--policy", "balance", "--limit", 10, "--out", tmp_path, "--force")
    assert done.exit_code == 2
    assert "so --force does not replace it" in done.stderr
    assert (tmp_path / "balance/precious").is_dir()


def test_directories_are_checked_before_the_first_run(trace, tmp_path):
    assert simulate("run", trace, "--policy", "affinity", "--limit", 10, "--out", tmp_path).exit_code == 0
    flags = ["--policy", "balance", "--policy", "affinity", "--limit", 10, "--out", tmp_path]
    done = simulate("run", trace, *flags)
    assert done.exit_code == 2
    assert "affinity: exists" in done.stderr
    assert not (tmp_path / "balance").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_marked_invalid_with_what_completed(tmp_path, number):
    write_azure2019(tmp_path / "trace", n_functions=20, minutes=60, rate_per_s=500.0, seed=1)
    arguments = ["run", tmp_path / "trace", "--policy", "affinity", "--policy", "balance", "--out", tmp_path / "out"]
    command = [sys.executable, "-c", "from sim.cli import main; main()", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 600
    while not any(file.stat().st_size > 100_000 for file in tmp_path.glob("out/.gpu-faas-*/new/invocations.parquet")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    assert not (tmp_path / "out/affinity").exists()
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["affinity"]
    run = open_run(tmp_path / "out/affinity")
    assert run.manifest["valid"] is False
    assert "interrupted at" in run.manifest["reasons"][0]
    assert 0 < run.summary["completed"] == (run.table("invocations").status == "completed").sum()
    assert run.summary["invocations"] == run.summary["completed"] + run.summary["unfinished"]
    assert "affinity" in output
    assert not Path(tmp_path / "out/balance").exists()


def test_policies_are_listed_with_parameters_and_source():
    listed = json.loads(simulate("policies", "--json").stdout)
    assert [p["name"] for p in listed] == sorted(known())
    assert listed[0]["parameters"] == {"penalty": 10.0}
    text = simulate("policies").stdout
    assert all(p["source"] in text and p["summary"] in text for p in listed)


def test_policies_are_listed_with_what_they_need():
    needs = {p["name"]: p["needs"] for p in json.loads(simulate("policies", "--json").stdout)}
    assert needs["keepalive"] == ["timers", "shared devices"]
    assert needs["exclusive"] == []
    text = simulate("policies").stdout
    assert "workers: exclusive   needs: timers, shared devices\n" in text
    assert "workers: exclusive   needs: none\n" in text


def test_calibrations_are_listed_with_where_their_numbers_come_from():
    listed = {c["name"]: c for c in json.loads(simulate("calibrations", "--json").stdout)}
    assert list(listed) == built_in()
    assert listed["v100-kaas"]["graphs"] == list(load_calibration("v100-kaas").graphs)
    assert listed["v100-kaas"]["sources"]["measured"] > 20
    assert "measured" not in listed["h100-80"]["sources"]
    text = simulate("calibrations").stdout
    assert all(c["provenance"] in text and c["device"] in text for c in listed.values())
    for name, entry in listed.items():
        numbers = json.loads(simulate("calibrations", name, "--json").stdout)
        assert len(numbers) == sum(entry["sources"].values())
        assert f"| `{numbers[0]['key']}` | {numbers[0]['value']} | B |" in simulate("calibrations", name).stdout
    done = CliRunner().invoke(main, ["calibrations", "h999"])
    assert done.exit_code == 2
    assert "unknown calibration 'h999'; known are a100-80, h100-80, t4, v100-kaas" in done.stderr


@pytest.mark.parametrize("name", built_in())
def test_a_run_says_which_run_times_nobody_measured(trace, tmp_path, name):
    flags = ["--calibration", name, "--policy", "exclusive", "--policy", "affinity", "--out", tmp_path]
    done = simulate("run", trace, *flags)
    told = f"predicted run times: {name} has no measurement of "
    assert done.stderr.count(f"Note: {told}") == (name != "v100-kaas")
    for policy in ("exclusive", "affinity"):
        manifest = json.loads((tmp_path / policy / "manifest.json").read_text())
        assert manifest["valid"]
        assert sum(w.startswith(told) for w in manifest["warnings"]) == (name != "v100-kaas")
    small = simulate("run", trace, *flags, "--catalogue", "small", "--force")
    graphs = next(line for line in small.stderr.splitlines() if told in line)
    assert all(graph in graphs for graph in load_catalogue("small"))


def test_the_spread_of_run_times_is_the_calibrations_or_the_users(trace, tmp_path):
    flags = ("run", trace, "--policy", "balance", "--limit", 50, "--force", "--out", tmp_path)
    for given, kept in (("calibration", "calibration"), ("0", 0.0), ("0.2", 0.2)):
        simulate(*flags, "--spread", given)
        assert json.loads((tmp_path / "balance/manifest.json").read_text())["scenario"]["spread"] == kept
    refused = CliRunner().invoke(main, ["run", str(trace), "--policy", "balance", "--spread", "wide"])
    assert refused.exit_code == 2
    assert "'wide' is neither 'calibration' nor a number" in refused.stderr


@pytest.mark.parametrize("command", [[], ["run"], ["policies"], ["calibrations"]])
def test_every_help_has_an_example(command):
    done = simulate(*command, "-h")
    assert done.exit_code == 0
    assert "Example:" in done.stdout
