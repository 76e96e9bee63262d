"""Calibration and validation: what was put into a simulation comes out again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from replay.calibration.calibrate import calibrate
from replay.calibration.fits import Fits
from replay.calibration.probe import read_probe
from replay.calibration.samples import read_samples, valid_of
from replay.calibration.validate import ToldPolicy, check_pair, compare
from replay.errors import ReplayError
from replay.run import adapt
from sim.domain import DeviceSpec, FleetSpec, Function, WorkerKind
from sim.errors import ScenarioError
from sim.models.calibration import ByKind, Copies, GraphCosts, Startup, load_calibration
from sim.models.costs import CostModel
from sim.models.layout import layout
from sim.models.workloads.catalogue import load_catalogue
from sim.models.workloads.gemm import Gemm
from sim.models.workloads.matrices import Matrix
from sim.records.results import SCHEMA_VERSION, open_run
from sim.workload import Workload
from tests.replay.worlds import experiment
from tests.support import ListTrace, simulate

SMALL = load_catalogue("small")
CAPACITY_BYTES = 20_000_000
DEVICE = {"name": "test GPU", "capacity_bytes": CAPACITY_BYTES}
PROBE = {
    "device": {"name": "test GPU", "cuda_driver": 0, "cuda_runtime": 0, "n_multiprocessors": None},
    "machine": {"cpus": 1, "system": "none"},
    "measurements": {
        name: {"value": value, "n": 5, "least": value, "most": value}
        for name, value in {
            "d2h_pinned_bytes_per_s": 1e10, "h2d_pinned_bytes_per_s": 1e10, "launch_s": 2e-6, "module_s": 1e-3,
            "fp32_flop_per_s": 6e13, "device_copy_bytes_per_s": 3e12,
            "kill_release_s": 0.1, "process_s": 0.02, "runtime_s": 0.1, "context_s": 0.3,
        }.items()
    },
}  # fmt: skip


def truth():
    """A calibration whose numbers the fits have to find again."""
    base = adapt(load_calibration("v100-kaas"), "test GPU", CAPACITY_BYTES)
    run_s = {name: 0.004 + 0.002 * i for i, name in enumerate(SMALL)}
    alike = {name: GraphCosts(s, host_s=s / 10) for name, s in run_s.items()}
    kinds = {name: {"kaas": costs, "exclusive": costs} for name, costs in alike.items()}  # as executors are
    return replace(
        base,
        graphs=kinds,
        dispatch_s=ByKind(kaas=0.0003, exclusive=0.0002),
        module_s=ByKind(kaas=0.0007, exclusive=0.0007),
        executor_first_use_s=0.002,
        executor_alloc_s=0.0,
        copies=Copies(h2d_bytes_per_s=4e9, h2d_first_bytes_per_s=2e9, d2h_bytes_per_s=1e10),
        startup_s=Startup(kill_release=0.11, process=0.03, runtime=0.12, context=0.25, first_run=0.0),
    )


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Simulations under the truth, labelled as replays: call with a policy and the number of GPUs."""
    names = list(SMALL)
    rng = np.random.default_rng(0)
    at_s = np.cumsum(rng.exponential(0.1, 400))
    trace = ListTrace(at_s, rng.integers(0, 16, 400), [1.0] * 400, n_functions=16)
    served = tuple(Function(i, f"f{i}", SMALL[names[i % 8]].graph, SMALL[names[i % 8]].fresh_inputs) for i in range(16))
    workload = Workload(trace, served, own_durations=False)

    def make(policy, gpus=1):
        real = experiment(served, [(0.0, 0)], policy, gpus=gpus)
        directory = tmp_path_factory.mktemp("runs") / policy
        run = simulate(workload, real.policy, directory, gpus=gpus, calibration=truth(), check=False)
        manifest = {
            "schema_version": SCHEMA_VERSION, "world": "replay", "policy": policy,
            "valid": True, "reasons": [], "error": None, "started": "today", "simulated_s": float(at_s[-1]),
            "scenario": {"catalogue": "small", "policies": [policy]},
            "replay": {"mode": real.mode, "device": DEVICE},
        }  # fmt: skip
        (directory / "manifest.json").write_text(json.dumps(manifest))
        (directory / "summary.json").write_text(json.dumps(run.summary))
        return open_run(directory)

    return make


@pytest.fixture(scope="module")
def runs(labelled):
    """One for each kind of worker."""
    return [labelled("affinity"), labelled("exclusive")]


@pytest.fixture(scope="module")
def found(runs, tmp_path_factory):
    """The calibration fitted to them, read back."""
    file = tmp_path_factory.mktemp("calibration") / "found.json"
    file.write_text(json.dumps(calibrate(runs, PROBE, "found")))
    return load_calibration(str(file))


def test_the_truth_is_found_again(found):
    true = truth()
    assert found.device == true.device
    assert found.executor == true.executor
    for name, kinds in found.graphs.items():
        io = SMALL[name].fresh_inputs
        for kind, costs in kinds.items():
            assert costs.run_s == pytest.approx(true.graphs[name][kind].run_s, rel=0.01), (name, kind, io)
            assert costs.host_s == pytest.approx(true.graphs[name][kind].host_s, rel=0.01), (name, kind, io)
    assert found.dispatch_s.kaas == pytest.approx(true.dispatch_s.kaas, rel=0.05)
    assert found.copies.h2d_bytes_per_s == pytest.approx(true.copies.h2d_bytes_per_s, rel=0.01)
    assert found.copies.h2d_first_bytes_per_s == pytest.approx(true.copies.h2d_first_bytes_per_s, rel=0.01)
    assert found.executor_first_use_s == pytest.approx(true.executor_first_use_s, rel=0.01)
    assert found.module_s.exclusive == pytest.approx(true.module_s.exclusive, rel=0.01)
    for stage in ("kill_release", "process", "runtime", "context"):
        assert getattr(found.startup_s, stage) == pytest.approx(getattr(true.startup_s, stage), rel=0.01), stage
    assert found.startup_s.first_run == pytest.approx(0, abs=1e-4)


def test_the_simulation_under_the_found_calibration_is_the_measured_run(found, runs, tmp_path):
    for run in runs:
        rows = run.table("invocations").sort_values("invocation")
        names = list(SMALL)
        served = tuple(
            Function(i, f"f{i}", SMALL[names[i % 8]].graph, SMALL[names[i % 8]].fresh_inputs) for i in range(16)
        )
        trace = ListTrace(rows.arrival_at_s.tolist(), rows.function.tolist(), [1.0] * len(rows), n_functions=16)
        policy = experiment(served, [(0.0, 0)], run.label).policy
        twin = simulate(
            Workload(trace, served, own_durations=False), policy, tmp_path / run.label, calibration=found, check=False
        )
        for row in compare(run.summary, twin.summary):
            assert row.error_frac == pytest.approx(0, abs=0.02), row


def test_a_calibration_keeps_how_samples_are_distributed(runs, tmp_path):
    content = calibrate(runs, PROBE, "found")
    entry = content["graphs"]["jacobi-small"]["kaas"]["run_s"]
    of = entry["distribution"]
    assert of["n"] > 5
    assert of["least"] <= of["p50"] <= of["most"]
    assert of["p50"] == pytest.approx(entry["value"])
    assert content["copies"]["h2d_bytes_per_s"]["distribution"]["p50"] == pytest.approx(4e9)
    assert "distribution" not in content["executor_first_use_s"], "one invocation says nothing of a line"
    assert "distribution" not in content["copies"]["d2h_bytes_per_s"], "the probe says a median"
    for wrong in ([1, 2], {"p50": "1 s"}, {"p50": None}, {"p50": True}):
        entry["distribution"] = wrong
        (tmp_path / "wrong.json").write_text(json.dumps(content))
        with pytest.raises(
            ScenarioError, match=r"kaas: run_s: distribution is .*, must be an object of finite numbers"
        ):
            load_calibration(str(tmp_path / "wrong.json"))


def test_how_much_run_times_vary_is_found_for_each_graph_and_kind(runs, found, tmp_path):
    assert found.spread == pytest.approx(0, abs=1e-9)  # as nothing varied
    varied = tmp_path / "varied"
    shutil.copytree(runs[0].path, varied)
    rows = runs[0].table("invocations")
    spread_of = {name: 0.05 * i for i, name in enumerate(SMALL)}
    graph = rows.function.map(runs[0].table("functions").graph.astype(str))
    rng = np.random.default_rng(0)
    factors = 1 + graph.map(spread_of).to_numpy() * rng.choice([-1, 1], len(rows))
    rows.assign(run_s=rows.run_s * factors).to_parquet(varied / "invocations.parquet")
    content = calibrate([open_run(varied)], PROBE, "varied")
    for name, true in spread_of.items():
        entry = content["graphs"][name]["kaas"]["spread"]
        assert entry["value"] == pytest.approx(true, rel=0.3, abs=1e-9), name
        assert entry["source"].startswith("measured: standard deviation / mean of run_s on kaas workers, warm; n = ")
    typical = sorted(c["kaas"]["spread"]["value"] for c in content["graphs"].values())
    assert content["spread"]["value"] == pytest.approx((typical[3] + typical[4]) / 2)
    assert content["spread"]["source"] == "derived: median of the 8 of graphs and kinds"
    (tmp_path / "varied.json").write_text(json.dumps(content))
    assert load_calibration(str(tmp_path / "varied.json")).graphs["superres-small"]["kaas"].spread > 0.1


def test_too_few_samples_are_refused(runs, tmp_path):
    first = runs[0]
    rows = first.table("invocations")
    few = tmp_path / "few"
    few.mkdir()
    for file in first.path.iterdir():
        (few / file.name).write_bytes(file.read_bytes())
    name = first.table("functions").graph[0]
    functions = first.table("functions")
    rare = functions[functions.graph == name].function
    dropped = rows[rows.function.isin(rare)].invocation.iloc[4:]
    rows[~rows.invocation.isin(dropped)].to_parquet(few / "invocations.parquet")
    with pytest.raises(ReplayError, match=rf"graphs\.{name}\.kaas\.run_s: the runs have 4 samples, must be at least 5"):
        calibrate([open_run(few)], PROBE, "few")


def test_other_runs_and_probes_are_refused(runs, tmp_path):
    with pytest.raises(ReplayError, match="must be of the runs' test GPU"):
        calibrate(runs, {**PROBE, "device": {"name": "another"}}, "x")
    simulated = replace(runs[0], manifest={**runs[0].manifest, "world": "sim"})
    with pytest.raises(ReplayError, match="must be one of 'replay run'"):
        calibrate([simulated], PROBE, "x")
    invalid = replace(runs[0], manifest={**runs[0].manifest, "valid": False, "reasons": ["late"]})
    with pytest.raises(ReplayError, match=r"INVALID \(late\)"):
        calibrate([invalid], PROBE, "x")
    larger = {"mode": "exclusive", "device": {**DEVICE, "capacity_bytes": 1}}
    with pytest.raises(ReplayError, match="equal devices and memory"):
        calibrate([runs[0], replace(runs[1], manifest={**runs[1].manifest, "replay": larger})], PROBE, "x")


def test_a_calibration_is_made_from_the_valid_runs(runs):
    late = replace(runs[1], manifest={**runs[1].manifest, "valid": False, "reasons": ["late", "later"]})
    assert valid_of([runs[0], late]) == ([runs[0]], [f"{runs[1].path}: is INVALID (late; later)"])
    assert valid_of([late]) == ([late], [])


def test_what_the_runs_do_not_need_comes_from_the_probe(runs):
    content = calibrate(runs[:1], PROBE, "kaas only")
    assert content["startup_s"]["context"] == {"value": 0.3, "source": "probe: context_s, median of 5, 0.3 to 0.3"}
    assert content["dispatch_s"]["exclusive"] == content["dispatch_s"]["kaas"]
    assert {kind for kinds in content["graphs"].values() for kind in kinds} == {"kaas"}


def test_pinning_is_a_part_of_the_start_of_a_graph_and_not_of_copies(labelled, tmp_path):
    exclusive = labelled("exclusive", gpus=16)
    copied = tmp_path / "pins"
    shutil.copytree(exclusive.path, copied)
    workers = exclusive.table("workers")
    workers.assign(constants_s=workers.constants_s + 0.05).to_parquet(copied / "workers.parquet")
    without, pinning = (calibrate([run], PROBE, "exclusive only") for run in (exclusive, open_run(copied)))
    assert without["copies"]["h2d_bytes_per_s"] == pinning["copies"]["h2d_bytes_per_s"]
    assert pinning["copies"]["h2d_bytes_per_s"]["value"] == 1e10
    for graph, kinds in pinning["graphs"].items():
        before_s = without["graphs"][graph]["exclusive"]["runtime_s"]["value"]
        assert kinds["exclusive"]["runtime_s"]["value"] == pytest.approx(before_s + 0.05), graph


def test_loading_a_library_is_not_loading_a_module(runs):
    """One graph asks a library, which takes 50 ms to load; the modules are found as before."""
    samples = read_samples(runs)
    name, entry = next(iter(samples.graphs.items()))
    product = Gemm("float32", (1, 1, 1), Matrix("a", 1), Matrix("b", 1), Matrix("c", 1), "float32").kernel()
    asking = replace(entry, graph=replace(entry.graph, kernels=(*entry.graph.kernels, product)))
    workers, rows = samples.workers.copy(), samples.invocations.copy()
    workers.loc[workers.graph == name, "modules_s"] += 0.05
    first = (rows.graph == name) & (rows.kind == "kaas") & (rows.graph_rank == 0)
    rows.loc[first, "load_s"] += 0.05
    assert first.any()
    before = Fits(samples, PROBE["measurements"])
    later = replace(samples, graphs={**samples.graphs, name: asking}, workers=workers, invocations=rows)
    load = {"value": 0.05, "n": 5, "least": 0.05, "most": 0.05}
    fits = Fits(later, {**PROBE["measurements"], "cublas_load_s": load})
    assert fits.module_s.value == pytest.approx(before.module_s.value)
    assert fits.first_use_s.value == pytest.approx(before.first_use_s.value, rel=1e-6)
    assert {name: found.value for name, found in fits.library_s().items()} == {"cublas": 0.05}
    assert before.library_s() == {}
    assert Fits(later, PROBE["measurements"]).module_s.value > 2 * before.module_s.value


def test_a_calibration_has_what_the_probe_tells_of_a_library(runs, tmp_path):
    names = ("cublas_load_s", "cublas_gemm_float32_flop_per_s", "cublas_gemm_float16_flop_per_s")
    told = {name: {"value": v, "n": 5, "least": v, "most": v} for name, v in zip(names, (0.2, 5e13, 6e14), strict=True)}
    probe = {**PROBE, "measurements": {**PROBE["measurements"], **told}}
    content = calibrate(runs[:1], probe, "x")
    (tmp_path / "found.json").write_text(json.dumps(content))
    found = load_calibration(str(tmp_path / "found.json"))
    assert found.library_s == {"cublas": 0.2}
    assert found.roofline.library_flops_per_s == {"cublas.gemm_float32": 5e13, "cublas.gemm_float16": 6e14}
    assert found.roofline.library_frac == 1.0
    without = calibrate(runs[:1], PROBE, "x")
    assert without == {k: v for k, v in content.items() if k != "library_s"} | {"roofline": without["roofline"]}
    assert not {"library_flops_per_s", "library_frac"} & without["roofline"].keys()


def test_peaks_come_from_the_probe(found, runs):
    assert (found.roofline.flops_per_s, found.roofline.bytes_per_s) == (6e13, 3e12)
    peak = calibrate(runs[:1], PROBE, "x")["roofline"]["flops_per_s"]
    assert peak["source"] == "probe: fp32_flop_per_s, median of 5, 6e+13 to 6e+13"


def test_a_probe_of_before_peaks_were_measured_is_refused(tmp_path):
    old = tmp_path / "probe.json"
    old.write_text(json.dumps({"schema_version": 2, **PROBE}))
    with pytest.raises(ReplayError, match=r"probe\.json: schema_version is 2; this version reads 3"):
        read_probe(old)


def test_multiprocessors_come_from_the_probe_where_it_saw_some(runs, tmp_path):
    assert "n_multiprocessors" not in calibrate(runs[:1], PROBE, "of a CPU")
    probe = {**PROBE, "device": {**PROBE["device"], "n_multiprocessors": 132}}
    (tmp_path / "gpu.json").write_text(json.dumps(calibrate(runs[:1], probe, "of a GPU")))
    assert load_calibration(str(tmp_path / "gpu.json")).n_multiprocessors == 132


def test_workers_that_stood_before_a_run_tell_nothing_of_starts(labelled):
    run = labelled("static", gpus=16)
    assert len(read_samples([run]).workers) == 0
    content = calibrate([run], PROBE, "static only")
    assert content["startup_s"]["process"] == {"value": 0.02, "source": "probe: process_s, median of 5, 0.02 to 0.02"}
    assert {kind for kinds in content["graphs"].values() for kind in kinds} == {"exclusive"}


@pytest.mark.parametrize("mode", ["fractional", "green", "shared"])
def test_times_of_workers_that_shared_a_gpu_are_refused(runs, mode):
    shared = replace(runs[0], manifest={**runs[0].manifest, "replay": {"mode": mode, "device": DEVICE}})
    with pytest.raises(
        ReplayError, match=f"is of the mode '{mode}', must be of workers that had their GPUs for themse"
    ):
        calibrate([shared], PROBE, "x")


def test_what_a_worker_needs_follows_from_its_buffers_whatever_was_measured_elsewhere():
    graph = load_catalogue("kaas")["resnet50"].graph
    v100 = load_calibration("v100-kaas")
    assert any(costs.memory_bytes for kinds in v100.graphs.values() for costs in kinds.values()), "nothing could leak"
    costs = CostModel(adapt(v100, "test GPU", 1 << 30), [Function(0, "f0", graph)], WorkerKind.EXCLUSIVE)
    its = layout(graph, fresh_inputs=True)
    assert costs.memory_bytes(0) == its.cached_set.total_bytes + its.scratch_set.total_bytes


def test_the_policy_of_a_simulation_believes_what_it_believed_in_the_replay(runs):
    told = {name: {"expected_s": 0.5 + i, "memory_bytes": 100 + i} for i, name in enumerate(SMALL)}
    run = replace(runs[0], manifest={**runs[0].manifest, "replay": {"mode": "kaas", "told": told, "device": DEVICE}})
    policy = ToldPolicy(run)
    seen = []

    class Watch:
        workers, needs = policy.workers, policy.needs

        def reset(self, fleet, functions, costs, rng):
            seen.extend(
                {"expected_s": costs.expected_s(f.id), "memory_bytes": costs.memory_bytes(f.id)} for f in functions
            )
            assert fleet.device.memory_bytes == CAPACITY_BYTES

    policy._policy = Watch()
    fleet = FleetSpec(DeviceSpec("another GPU", 1), 1)
    served = [Function(0, "a", SMALL["jacobi-small"].graph), Function(1, "b", SMALL["resnet50-small"].graph)]
    policy.reset(fleet, served, None, None)
    assert seen == [told["jacobi-small"], told["resnet50-small"]]
    with pytest.raises(ReplayError, match="its catalogue has changed"):
        policy.reset(fleet, [Function(0, "a", replace(SMALL["jacobi-small"].graph, name="new"))], None, None)


def test_a_calibration_for_other_memory_is_no_match(found, runs):
    check_pair(runs[0], found)
    with pytest.raises(ReplayError, match="had 20,000,000 B for buffers, but v100-kaas has"):
        check_pair(runs[0], load_calibration("v100-kaas"))
    with pytest.raises(ReplayError, match="must be one of 'replay run'"):
        check_pair(replace(runs[0], manifest={"world": "sim"}), found)


def test_errors_are_parts_of_what_was_measured():
    measured = {"throughput_per_s": 2.0, "latency_s": {"p50": 0.1, "p90": 0.2, "p99": None}, "cold_starts": 0,
                "cache_hit_frac": 0.5, "h2d_bytes": 1000, "evictions": 4}  # fmt: skip
    simulated = {**measured, "latency_s": {"p50": 0.11, "p90": 0.2, "p99": 1.0}, "cold_starts": 1, "evictions": 3}
    rows = {r.name: r for r in compare(measured, simulated)}
    assert rows["latency_p50_s"].error_frac == pytest.approx(0.1)
    assert rows["latency_p99_s"].error_frac is None
    assert rows["cold_starts"].error_frac is None  # 1 instead of 0
    assert rows["evictions"].error_frac == -0.25
