"""The ``replay`` command, on the CPU device."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner

import sim.policies
from replay.calibration.validate import ToldPolicy
from replay.cli import main
from replay.errors import ReplayError
from replay.fleet.paced import PacedTrace, announce
from sim.models.calibration import load_calibration
from sim.models.workloads import jacobi, sgemm
from sim.models.workloads.catalogue import CatalogueEntry, save_catalogue
from sim.policies.static import Static
from sim.records.results import open_run
from tests.support import ListTrace


def run(*words: object, code: int = 0) -> str:
    """What a command prints: the results, or what it says of its failure."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stderr if code else result.stdout


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(trace, catalogue): two tiny graphs; six functions in turn, ten invocations a second, for two minutes."""
    directory = tmp_path_factory.mktemp("small")
    rows = [f"app{i % 6},func,{0.1 * (i + 1):.1f},0.1" for i in range(1200)]
    (directory / "trace.txt").write_text("\n".join(["app,func,end_timestamp,duration", *rows, ""]))
    entries = [
        CatalogueEntry(sgemm.build(n=64, name="sgemm-64"), fresh_inputs=True),
        CatalogueEntry(jacobi.build(n=32, sweeps=10, name="jacobi-32"), fresh_inputs=False),
    ]
    save_catalogue(entries, directory / "tiny.json")
    return directory / "trace.txt", directory / "tiny.json"


def test_calibrate_and_validate_a_short_run(small, tmp_path):
    trace, catalogue = small
    words = ("--catalogue", catalogue, "--duration", 3, "--memory-limit", 1 << 20, "--policy", "affinity")
    printed = run("run", trace, *words, "--window", "00:00-00:01", "--out", tmp_path / "run", "--json")
    summary = json.loads(printed)
    assert (summary["path"], summary["gpus"], summary["window"]) == (str(tmp_path / "run"), 1, "00:00-00:01")
    assert summary["completed"] > 15
    assert 0 <= summary["lateness_s"]["late_frac"] <= 1
    table = run("probe", "-o", tmp_path / "probe.json")
    assert re.search(r"^fp32_flop_per_s +[\d.]+ GFLOP/s", table, re.MULTILINE)
    assert re.search(r"^device_copy_bytes_per_s +[\d.]+ GB/s", table, re.MULTILINE)
    run("calibrate", tmp_path / "run", "--probe", tmp_path / "probe.json", "-o", tmp_path / "here.json")
    found = load_calibration(str(tmp_path / "here.json"))
    assert found.device.memory_bytes == open_run(tmp_path / "run").manifest["replay"]["device"]["capacity_bytes"]
    measured = json.loads((tmp_path / "probe.json").read_text())["measurements"]
    assert found.roofline.flops_per_s == measured["fp32_flop_per_s"]["value"]
    assert found.roofline.bytes_per_s == measured["device_copy_bytes_per_s"]["value"]
    for name, peak in found.roofline.library_flops_per_s.items():
        assert peak == measured[f"{name.replace('.', '_')}_flop_per_s"]["value"]
    assert found.roofline.library_flops_per_s.keys() == {"cublas.gemm_float32", "cublas.gemm_float16"}
    assert found.library_s == {"cublas": measured["cublas_load_s"]["value"]}
    run_s = open_run(tmp_path / "run").table("invocations").run_s
    assert all(run_s.min() <= c.run_s <= run_s.max() for kinds in found.graphs.values() for c in kinds.values())
    out = tmp_path / "simulated"
    options = ("--calibration", tmp_path / "here.json", "--out", out, "--json")
    compared = json.loads(run("validate", tmp_path / "run", *options))[str(tmp_path / "run")]
    assert compared["evictions"]["error_frac"] == 0
    assert compared["h2d_bytes"]["error_frac"] == 0
    assert compared["throughput_per_s"]["simulated"] > 0
    assert (out / "figures" / "run" / "latency_cdf.png").stat().st_size > 1000


def test_an_invalid_run_is_left_out_of_a_calibration_and_named(small, tmp_path):
    trace, catalogue = small
    words = ("--catalogue", catalogue, "--duration", 3, "--memory-limit", 1 << 20, "--policy", "affinity")
    run("run", trace, *words, "--window", "00:00-00:01", "--out", tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "late")
    manifest = tmp_path / "late" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"valid": False, "reasons": ["it was late"]}
    del content["sha256"], content["files"]
    manifest.write_text(json.dumps(content))
    run("probe", "-o", tmp_path / "probe.json")
    runs = (tmp_path / "late", tmp_path / "run")
    words = ("calibrate", *runs, "--probe", tmp_path / "probe.json", "-o", tmp_path / "here.json")
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0
    assert result.stderr == f"Left out: {tmp_path / 'late'}: is INVALID (it was late)\n"
    assert load_calibration(str(tmp_path / "here.json")).graphs


class Capped(Static):
    """Static workers with a half of their GPUs."""

    name = "capped"

    def _thread_share(self, n_workers):
        return 0.5


def test_static_workers_are_validated_and_shares_need_multiprocessors(small, tmp_path, monkeypatch):
    trace, catalogue = small
    words = ("--catalogue", catalogue, "--duration", 3, "--memory-limit", 1 << 20, "--policy", "static", "--gpus", 6)
    run("run", trace, *words, "--window", "00:00-00:01", "--out", tmp_path / "run")
    run("probe", "-o", tmp_path / "probe.json")
    run("calibrate", tmp_path / "run", "--probe", tmp_path / "probe.json", "-o", tmp_path / "here.json")
    options = ("--calibration", tmp_path / "here.json", "--json")
    compared = json.loads(run("validate", tmp_path / "run", *options))[str(tmp_path / "run")]
    for name in ("cold_starts", "h2d_bytes", "evictions", "cache_hit_frac"):
        assert compared[name]["error_frac"] == 0, name

    monkeypatch.setitem(sim.policies._POLICIES, "capped", Capped)
    manifest = tmp_path / "run" / "manifest.json"
    content = json.loads(manifest.read_text().replace('"static"', '"capped"'))
    del content["sha256"], content["files"]
    manifest.write_text(json.dumps(content))
    printed = run("validate", tmp_path / "run", *options, code=2)
    assert printed == "Error: here: n_multiprocessors is not given, but must be for workers that share a device\n"
    content = json.loads((tmp_path / "here.json").read_text())
    content["n_multiprocessors"] = {"value": 132, "source": "test"}
    (tmp_path / "here.json").write_text(json.dumps(content))
    run("validate", tmp_path / "run", *options)


def test_processes_that_share_a_device_by_memory_are_simulated_as_they_shared_it(small, tmp_path, monkeypatch):
    trace, catalogue = small
    words = ("--catalogue", catalogue, "--duration", 3, "--memory-limit", 1 << 20, "--window", "00:00-00:01")
    run("run", trace, *words, "--policy", "static", "--gpus", 6, "--out", tmp_path / "static")
    run("run", trace, *words, "--policy", "keepalive", "--out", tmp_path / "shared")
    replay = open_run(tmp_path / "shared").manifest["replay"]
    assert replay["mode"] == "shared"
    assert all(0 < told["memory_bytes"] < 1 << 20 for told in replay["told"].values())
    run("probe", "-o", tmp_path / "probe.json")
    calibrate = ("calibrate", "--probe", tmp_path / "probe.json", "-o", tmp_path / "here.json")
    run(*calibrate, tmp_path / "static")
    words = ("--calibration", tmp_path / "here.json", "--out", tmp_path / "simulated", "--json")
    asked = []
    answer = ToldPolicy.on_event
    monkeypatch.setattr(ToldPolicy, "on_event", lambda self, *told: asked.append(self) or answer(self, *told))
    compared = json.loads(run("validate", tmp_path / "shared", *words))[str(tmp_path / "shared")]
    assert len(asked) > 30, "another policy was asked, which was told something else"
    assert asked[0]._device.memory_bytes == 1 << 20
    assert compared["cold_starts"]["simulated"] >= 6, "each of the functions has to start"
    assert compared["cold_starts"]["measured"] >= 6
    twin = open_run(tmp_path / "simulated" / "shared")
    assert twin.manifest["scenario"]["fleet"]["sharing"] == "slices"
    assert twin.summary["completed"] == open_run(tmp_path / "shared").summary["completed"]
    printed = run(*calibrate, tmp_path / "shared", code=2)
    assert "is of the mode 'shared', must be of workers that had their GPUs for themselves" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--policy", "affinity", "--mode", "exclusive"), "mode 'exclusive' does not fit affinity[penalty=10]"),
        (("--policy", "fractional"), "mode 'fractional' needs an NVIDIA GPU, which MPS can share; the device is 'cpu'"),
        (("--policy", "fractional", "--mode", "green"), "mode 'green' needs an NVIDIA GPU"),
        (("--policy", "static"), "static: no room for 6 functions on 1 GPU: "),
        (("--policy", "keepalive", "--mode", "exclusive"), "which is for workers of the mode 'shared'"),
        (("--policy", "keepalive[concurrency=2]"), "needs concurrency, which no mode of a replay can carry; "),
        (("--policy", "keepalive", "--memory-limit", 120_000), "B; a GPU has 120,000 B"),
        (("--policy", "affinity", "--catalogue", "kaas-authors"), "kernel source 'resnet50-tvm' doesn't exist"),
        (("--policy", "fifo"), "unknown policy 'fifo'"),
        (("--policy", "fifo", "--time-scale", 60), "unknown policy 'fifo'"),
        (("--policy", "balance", "--device", "cuda:0"), "the device 'cpu' needs no GPU"),
        (("--policy", "balance", "--device", "tpu"), "device 'tpu' is neither 'cpu' nor 'cuda:N'"),
        (("--policy", "balance", "--memory-limit", 4096), "buffers need"),
        (("--policy", "balance", "--rate-scale", 0), "rate_scale is 0"),
        (("--policy", "balance", "--time-scale", 0), "time_scale is 0"),
        (("--policy", "balance", "--duration", -1), "duration is -1"),
        (
            ("--policy", "balance", "--time-scale", 60),
            "would last 2 hours, more than 15 minutes: take a part of the trace",
        ),
        (("--policy", "balance", "--time-scale", 1e300), "with --window, shorten its gaps with --time-scale, or say"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(small, tmp_path, words, message):
    """What shows on the device, as too little memory, comes after the line that says what would be replayed."""
    trace, catalogue = small
    words = words if "--catalogue" in words else ("--catalogue", catalogue, *words)
    printed = run("run", trace, "--out", tmp_path / "run", *words, code=2)
    *before, error = printed.splitlines()
    assert error.startswith("Error: ")
    assert message in error
    assert before in ([], ["Replaying about 1,200 arrivals in 2 minutes."])
    assert not (tmp_path / "run").exists()


def test_a_replay_says_what_it_is_going_to_do(small, tmp_path):
    trace, catalogue = small
    words = ("--catalogue", catalogue, "--memory-limit", 1 << 20, "--policy", "affinity", "--out", tmp_path / "run")
    command = [str(word) for word in ("run", trace, *words, "--duration", 1, "--json", "--force")]
    said = CliRunner().invoke(main, command)
    assert said.stderr == "Replaying about 10 arrivals in 1 s.\n"
    assert json.loads(said.stdout)["completed"] == 10
    assert CliRunner().invoke(main, [*command, "--quiet"]).stderr == ""


def test_a_replay_of_nothing_is_refused(small, tmp_path):
    file = tmp_path / "late.csv"
    file.write_text("arrival_s,function\n100.0,f\n")
    words = ("--catalogue", small[1], "--policy", "balance", "--duration", 3, "--out", tmp_path / "run")
    printed = run("run", file, *words, code=2)
    assert printed == f"Error: {file}: has no arrival within 3 s, so there is nothing to run\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("duration_s", "asked_s", "said"),
    [(900, None, "15 minutes."), (960, 961, "16 minutes."), (86_400, 1e9, "24 hours."), (119, 60, "60 s.")],
)
def test_a_replay_may_be_long_when_it_is_asked_for_by_its_length(duration_s, asked_s, said):
    trace = ListTrace([0.0, duration_s], [0, 0], [1.0, 1.0])
    assert announce(PacedTrace(trace, 1.0, asked_s), asked_s).endswith(f" arrivals in {said}")


def test_a_long_replay_is_refused_unless_it_is_asked_for():
    trace = PacedTrace(ListTrace([0.0, 960.0], [0, 0], [1.0, 1.0]))
    with pytest.raises(ReplayError, match="would last 16 minutes, more than 15 minutes: take a part"):
        announce(trace, None)


def test_a_file_that_is_no_probe_is_refused(tmp_path):
    for content, message in (("{}", "must be what"), ('{"schema_version": 9}', "schema_version is 9")):
        (tmp_path / "probe.json").write_text(content)
        printed = run("calibrate", tmp_path, "--probe", tmp_path / "probe.json", "-o", tmp_path / "x", code=2)
        assert "Error: " in printed
        assert message in printed or "manifest.json" in printed


@pytest.mark.parametrize("command", ["", *main.commands])
def test_every_help_has_an_example(command):
    assert "Example:" in run(*command.split(), "-h")
