"""Costs: by hand, and the calibration v100-kaas against the published measurements it is derived from."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role, WorkerKind
from sim.errors import ScenarioError
from sim.models.calibration import ByKind, Copies, GraphCosts, built_in, load_calibration
from sim.models.costs import CostModel
from sim.models.memory import Placement
from sim.models.sources import entries
from sim.models.workloads.catalogue import BUILT_IN, load_catalogue
from tests.support import opaque_functions

V100 = load_calibration("v100-kaas")
LRU = {"value": "lru", "source": "assumed"}
KAAS, EXCLUSIVE = WorkerKind.KAAS, WorkerKind.EXCLUSIVE
REFERENCE = Path(__file__).parents[3].parent / "shared" / "reference"


def reference(name):
    if not REFERENCE.is_dir():
        pytest.skip("the published measurements (shared/reference) are not here")
    with (REFERENCE / name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue("kaas")


def model(graph, kind=KAAS, fresh=True, calibration=V100):
    return CostModel(calibration, [Function(0, "f", graph, fresh)], kind)


def test_a_graph_without_a_measurement_takes_the_roofline():
    args = (BufferArg("c", Direction.IN),)
    kernels = (
        Kernel("k", "launch", (1, 1, 1), (1, 1, 1), args),
        Kernel("k", "compute", (1, 1, 1), (1, 1, 1), args, flops=15_700_000_000),
        Kernel("k", "move", (1, 1, 1), (1, 1, 1), args, moved_bytes=900_000_000),
    )
    graph = KernelGraph("unknown", kernels, (Buffer("c", 4, Role.CONSTANT),), n_iter=2)
    per_pass = 25.7e-6 + 1e-3 / 0.24 + 1e-3 / 0.7
    assert model(graph).run_s[0] == pytest.approx(13.5e-6 + 2 * per_pass)
    assert model(graph, EXCLUSIVE).run_s[0] == pytest.approx(2 * (18e-6 + 1e-3 / 0.24 + 1e-3 / 0.7))
    ends = model(graph).kernel_ends_s(0, 3.0)
    assert len(ends) == 6
    assert ends == sorted(ends)
    assert ends[-1] == 3.0


def product(**more):
    """A kernel that fills a V100, and what a library computes in its place."""
    kernel = Kernel("own", "own", (1, 1, 1), (1, 1, 1), (), flops=10**12, **more)
    return kernel, replace(kernel, source="cublas", name="gemm_float16")


def test_what_a_library_computes_has_a_peak_of_its_own():
    own, asked = product()
    roofline = replace(V100.roofline, library_flops_per_s={"cublas.gemm_float16": 8e13}, library_frac=0.5)
    calibration = replace(V100, roofline=roofline)
    run_s = [model(KernelGraph("g", (k,), ()), calibration=calibration).run_s[0] for k in (own, asked, own)]
    assert run_s == pytest.approx([1 / 3.768, 1 / 40, 1 / 3.768])
    assert roofline.busy_s(product(moved_bytes=10**12)[1]) == pytest.approx(1 / 0.63), "memory bounds it as any other"
    assert [roofline.part(0.25, 1.0).busy_s(k) for k in (own, asked)] == pytest.approx([4 / 3.768, 4 / 40])


def test_what_a_library_computes_counts_as_a_kernel_where_its_peak_is_not_known():
    own, asked = product()
    unknown = replace(V100.roofline, library_flops_per_s={})
    assert unknown.busy_s(asked) == unknown.busy_s(own)


@pytest.mark.parametrize("kind", [KAAS, EXCLUSIVE])
def test_a_library_is_loaded_as_a_module_or_in_its_own_time(kind):
    graph = KernelGraph("g", product(), (Buffer("c", 10, Role.CONSTANT),))
    module_s = V100.module_s.of(kind)
    first = Placement(1, 10, True, ())
    for library_s, wanted_s in (({}, 2 * module_s), ({"cublas": 0.5}, module_s + 0.5)):
        costs = model(graph, kind, calibration=replace(V100, library_s=library_s))
        assert costs.ladders[0].modules == pytest.approx(wanted_s)
        again_s = costs.load_s(0, first, new_modules=False)
        assert costs.load_s(0, first, new_modules=True) - again_s == pytest.approx(wanted_s)


def test_memory_is_as_measured_or_buffers_and_a_context(catalogue):
    resnet50 = catalogue["resnet50"].graph
    for kind in (KAAS, EXCLUSIVE):
        assert model(resnet50, kind).memory_bytes(0) == V100.graphs["resnet50"][kind.value].memory_bytes > 0
    plain = KernelGraph("unknown", (), (Buffer("c", 10**6, Role.CONSTANT), Buffer("t", 10**5, Role.TEMPORARY)))
    assert model(plain).memory_bytes(0) == 11 * 10**5 + V100.executor.context_bytes


def test_every_share_is_told_apart():
    kernel = Kernel("k", "k", (160, 1, 1), (1, 1, 1), (), flops=10**12)
    costs = model(KernelGraph("unknown", (kernel,), ()))
    assert [costs.under_share(0, share).run_frac for share in (1.0, 0.5, 0.25, 0.5)] == [1.0, 2.0, 4.0, 2.0]


def test_a_measured_time_includes_the_copies(catalogue):
    bert = catalogue["bert"]
    costs = model(bert.graph, fresh=bert.fresh_inputs)
    assert costs.input_bytes[0] == 9216
    assert costs.expected_s(0) == pytest.approx(V100.graphs["bert"]["kaas"].run_s)
    assert costs.run_s[0] < V100.graphs["bert"]["kaas"].run_s


def test_missing_buffers_take_their_time():
    calibration = replace(V100, copies=replace(V100.copies, h2d_bytes_per_s=5e9, h2d_first_bytes_per_s=2e9))
    costs = model(KernelGraph("g", (), (Buffer("c", 10, Role.CONSTANT),)), calibration=calibration)
    first, again = Placement(1, 2_000_000_000, True, ()), Placement(1, 5_000_000_000, False, ())
    alloc_s = V100.executor_alloc_s
    assert alloc_s > 0
    assert costs.load_s(0, first, new_modules=False) == pytest.approx(1.0 + V100.executor_first_use_s + alloc_s)
    assert costs.load_s(0, again, new_modules=False) == pytest.approx(1.0 + alloc_s)
    many = again._replace(n_loaded=400)
    assert costs.load_s(0, many, new_modules=False) == pytest.approx(1.0 + 400 * alloc_s)


def test_inputs_have_a_rate_of_their_own():
    graph = KernelGraph("g", (), (Buffer("c", 10, Role.CONSTANT), Buffer("in", 1000, Role.INPUT)))
    slow = Copies(h2d_bytes_per_s=1e3, h2d_first_bytes_per_s=1e3, d2h_bytes_per_s=1e3)
    assert model(graph, calibration=replace(V100, copies=slow)).input_s.tolist() == [1.0]
    fast = replace(slow, h2d_input_bytes_per_s=4e3)
    assert model(graph, calibration=replace(V100, copies=fast)).input_s.tolist() == [0.25]


def test_cached_buffers_by_role(catalogue):
    cgemm = catalogue["cGEMM"].graph
    assert model(cgemm, fresh=False).buffers[0].total_bytes == sum(b.size_bytes for b in cgemm.buffers)
    assert model(cgemm, fresh=False).buffers[0].load_upto[-1] == 8_000_000 + 2_000_200_000
    lean = replace(V100, executor=replace(V100.executor, caches_temporaries=False))
    costs = model(cgemm, fresh=True, calibration=lean)
    assert costs.buffers[0].total_bytes == 2_000_200_000
    assert costs.scratch_bytes[0] == 8_000_000 + 20_000_000 + 800


def test_buffers_take_whole_units_of_memory_but_copy_their_bytes():
    aligned = replace(V100, executor=replace(V100.executor, alignment_bytes=256, caches_temporaries=False))
    graph = KernelGraph("g", (), (Buffer("c", 257, Role.CONSTANT), Buffer("out", 1, Role.OUTPUT)))
    costs = model(graph, calibration=aligned)
    assert (costs.buffers[0].total_bytes, costs.buffers[0].load_upto[-1], costs.scratch_bytes[0]) == (512, 257, 256)


def test_one_graph_with_fresh_and_with_repeated_inputs():
    graph = KernelGraph("g", (), (Buffer("in", 8, Role.INPUT), Buffer("c", 16, Role.CONSTANT)))
    costs = CostModel(V100, [Function(0, "a", graph, True), Function(1, "b", graph, False)], KAAS)
    assert costs.input_bytes.tolist() == [8, 0]
    assert [b.total_bytes for b in costs.buffers] == [16, 24]


def test_graphs_are_numbered_by_what_they_are():
    def graph(name, size):
        return KernelGraph(name, (), (Buffer("c", size, Role.CONSTANT),))

    a, b = graph("a", 8), graph("b", 8)
    graphs = [b, a, graph("a", 16), b, graph("a", 8)]  # the last is another object, but the same graph as the second
    functions = [Function(i, f"f{i}", g) for i, g in enumerate(graphs)]
    assert CostModel(V100, functions, KAAS).graph_of.tolist() == [0, 1, 2, 0, 1]
    unknown = [replace(f, run_s=1.0) if f.id in (0, 4) else f for f in functions]
    assert CostModel(V100, unknown, KAAS).graph_of.tolist() == [0, 1, 2, 3, 4]


def test_columns_are_arrays_that_stay_as_they_are_and_methods_return_plain_numbers(catalogue):
    entry = catalogue["resnet50"]
    costs = CostModel(V100, [Function(i, f"f{i}", entry.graph, i < 2) for i in range(3)], EXCLUSIVE)
    columns = {name: column for name, column in vars(costs).items() if isinstance(column, np.ndarray)}
    seconds = {"input_s", "run_s", "store_s", "pre_s", "post_s", "dispatch_s", "spread", "host_s"}
    integers = {"scratch_bytes", "input_bytes", "output_bytes", "constants_bytes", "n_modules"}
    dtypes = dict.fromkeys(seconds, "float64") | dict.fromkeys(integers, "int64") | {"graph_of": "int32"}
    assert {name: str(column.dtype) for name, column in columns.items()} == dtypes
    for name, column in columns.items():
        assert column.shape == (3,), name
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    assert type(costs.expected_s(0)) is type(costs.isolated_s(0)) is float
    assert type(costs.load_s(0, Placement(1, 10, True, ()), new_modules=True)) is float
    assert type(costs.memory_bytes(0)) is int


def test_a_function_that_just_fits_is_accepted():
    limit = V100.device.memory_bytes - V100.executor.context_bytes
    assert CostModel(V100, opaque_functions([limit]), EXCLUSIVE).constants_bytes.tolist() == [limit]
    with pytest.raises(ScenarioError, match="a worker has"):
        CostModel(V100, opaque_functions([limit + 1]), EXCLUSIVE)


@pytest.mark.parametrize(("kind", "limit"), [(KAAS, "16,284,385,280"), (EXCLUSIVE, "16,598,958,080")])
def test_a_function_that_can_not_fit_is_refused(kind, limit):
    with pytest.raises(ScenarioError, match=rf"function f0 runs .* need 20,000,000,000 B; a worker has {limit} B"):
        CostModel(V100, opaque_functions([20_000_000_000]), kind)


def dispatch_s(graph, mode):
    own_s = V100.graphs[graph][mode].dispatch_s
    return V100.dispatch_s.of(WorkerKind(mode)) if own_s is None else own_s


@pytest.mark.parametrize("mode", ["kaas", "exclusive"])
def test_run_times_are_the_published_ones_and_the_way_adds_up_to_the_latency(mode):
    """Dispatch is what a GPU stands idle, of which some comes after the reply, most in jacobi (3.4 ms of 7.1)."""
    frontend = V100.frontend
    for row in reference("kaas_isolated.csv"):
        if row["mode"] == mode:
            measured = V100.graphs[row["workload"]][mode]
            assert measured.run_s == pytest.approx(float(row["model_runtime_ms"]) / 1e3, rel=1e-5)
            path_s = 2 * frontend.transport_s + dispatch_s(row["workload"], mode)
            tolerance = 0.045 if row["workload"] == "jacobi" else 0.03
            isolated_s = measured.run_s + measured.pre_s + measured.post_s + path_s
            assert isolated_s == pytest.approx(float(row["latency_ms"]) / 1e3, rel=tolerance), row["workload"]


@pytest.mark.parametrize("mode", ["kaas", "exclusive"])
def test_dispatch_taken_from_one_gpu_predicts_the_plateaus_of_four(mode):
    """4 GPUs saturated by 4 clients: 4 / (run + dispatch), unless the server is the bottleneck."""
    server_s = V100.frontend.server_s.of(WorkerKind(mode))
    for row in reference("kaas_throughput.csv"):
        if row["mode"] == mode and row["clients"] == "4":
            run_s = V100.graphs[row["workload"]][mode].run_s
            predicted = min(4 / (run_s + dispatch_s(row["workload"], mode)), 1 / server_s)
            assert predicted == pytest.approx(float(row["throughput_qps"]), rel=0.015), row["workload"]


def test_a_graph_without_a_dispatch_of_its_own_has_that_of_its_kind(catalogue):
    for name, own_s in (("jacobi", 0.007115), ("resnet50", 0.00585)):
        costs = model(catalogue[name].graph, KAAS)
        assert costs.dispatch_s.tolist() == [own_s]


def test_cold_starts_are_those_of_the_first_contended_point(catalogue):
    for row in reference("kaas_throughput.csv"):
        if row["mode"] == "exclusive" and row["clients"] == "5":
            entry = catalogue[row["workload"]]
            costs = model(entry.graph, EXCLUSIVE, entry.fresh_inputs)
            gpu_s = sum(costs.ladders[0]) + costs.dispatch_s[0] + costs.expected_s(0)
            assert 4 / gpu_s == pytest.approx(float(row["throughput_qps"]), rel=0.002), row["workload"]


def spoiled(tmp_path, change):
    text = Path("sim/models/calibrations/v100-kaas.json")
    data = json.loads((Path(__file__).parents[3] / text).read_text())
    change(data)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(data))
    return str(file)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d["copies"].pop("h2d_bytes_per_s"), r"mine.json: copies: the key 'h2d_bytes_per_s' is missing"),
        (lambda d: d.update(speed="1"), r"mine.json: unknown key 'speed'"),
        (lambda d: d["module_s"]["kaas"].update(source=""), r"module_s: kaas: source is '', must say where"),
        (lambda d: d["module_s"].update(kaas=0.1), r"module_s: kaas: is 0.1, must be an object of value and source"),
        (lambda d: d["module_s"]["kaas"].update(value=-1), r"module_s: kaas: value is -1, must be 0, or a number"),
        (lambda d: d["copies"]["d2h_bytes_per_s"].update(value=0), r"copies: d2h_bytes_per_s is 0.0, must be above 0"),
        (lambda d: d["roofline"]["compute_frac"].update(value=0), r"roofline: compute_frac is 0.0, must be above 0"),
        (
            lambda d: d["executor"].update(alignment_bytes={"value": 0, "source": "assumed"}),
            r"executor: alignment_bytes is 0, must be at least 1",
        ),
        (
            lambda d: d["executor"].update(eviction={"value": "fifo2", "source": "assumed"}),
            r"mine.json: executor: unknown eviction strategy 'fifo2'; known are ",
        ),
        (
            lambda d: d["graphs"]["bert"].update(kass=d["graphs"]["bert"].pop("kaas")),
            "graphs: bert: unknown kind of worker 'kass'; they are kaas, exclusive",
        ),
        (
            lambda d: d["roofline"]["library_flops_per_s"]["cublas.gemm_float32"].update(value=0),
            r"mine.json: roofline: cublas\.gemm_float32 is 0.0, must be above 0",
        ),
        (lambda d: d["module_s"]["kaas"].update(value="x"), r"module_s: kaas: is 'x', must be a number"),
        (
            lambda d: d["device"]["memory_bytes"].update(value=1.5),
            r"device: memory_bytes: is 1.5, must be a whole number",
        ),
        (
            lambda d: d.update(spread={"value": 11, "source": "assumed"}),
            r"mine.json: spread is 11.0, must be from 0 to 10",
        ),
        (
            lambda d: d["graphs"]["bert"]["kaas"].update(spread={"value": 11, "source": "assumed"}),
            r"mine.json: graphs: bert: kaas: spread is 11.0, must be from 0 to 10",
        ),
        (lambda d: d.update(schema_version=9), r"schema_version is 9, this version reads 1"),
    ],
)
def test_a_wrong_calibration_is_refused_with_key_and_rule(tmp_path, change, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        load_calibration(spoiled(tmp_path, change))


def test_a_calibration_names_its_eviction_strategy(tmp_path):
    lru = load_calibration(spoiled(tmp_path, lambda d: d["executor"].update(eviction=LRU)))
    assert (V100.executor.eviction, lru.executor.eviction) == ("kaas", "lru")


def test_an_unknown_calibration_names_the_known_ones(tmp_path):
    with pytest.raises(
        ScenarioError, match=r"unknown calibration 'h999'; known are .*v100-kaas; there is no such file"
    ):
        load_calibration("h999")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ScenarioError, match=r"bad\.json: not JSON"):
        load_calibration(str(tmp_path / "bad.json"))


@pytest.mark.parametrize("name", built_in())
def test_every_number_of_a_shipped_calibration_has_a_source_kind(name):
    def sources(node):
        if isinstance(node, dict):
            if node.keys() == {"value", "source"}:
                yield node["source"]
            else:
                for child in node.values():
                    yield from sources(child)

    file = Path(__file__).parents[3] / "sim" / "models" / "calibrations" / f"{name}.json"
    found = list(sources(json.loads(file.read_text())))
    assert len(found) > 20
    kinds = ("measured:", "derived:", "assumed", "data sheet:")
    assert [s for s in found if not s.startswith(kinds)] == []


def test_what_the_host_does_comes_beside_the_device_for_a_graph_or_for_all():
    graph = KernelGraph("measured", (), (Buffer("out", 8_000_000, Role.OUTPUT),))
    functions = [Function(0, "a", graph), Function(1, "b", replace(graph, name="another"))]
    copies = replace(V100.copies, d2h_bytes_per_s=8e9)
    gpu = replace(V100, copies=copies, graphs={"measured": {"kaas": GraphCosts(0.005, host_s=0.25)}})
    for of_others_s in (0.0, 0.125):
        costs = CostModel(replace(gpu, host_s=ByKind(kaas=of_others_s, exclusive=9.0)), functions, KAAS)
        assert costs.host_s.tolist() == [0.25, of_others_s]
        assert costs.store_s.tolist() == [0.001 + 0.25, 0.001 + of_others_s]
        assert costs.run_s[0] == pytest.approx(0.004)
        assert costs.expected_s(0) == pytest.approx(0.005 + 0.25)


PREDICTED = ("t4", "a100-80", "h100-80")  # in the order of their speed


@pytest.mark.parametrize("name", PREDICTED)
def test_a_predicted_calibration_says_that_nobody_measured_it(name):
    calibration = load_calibration(name)
    assert "nothing in this file was measured by this project" in calibration.provenance
    assert calibration.graphs == {}
    assert not any(entry.source.startswith("measured") for entry in entries(name))


def test_a_faster_gpu_is_slower_at_nothing():
    for catalogue in BUILT_IN:
        served = load_catalogue(catalogue)
        functions = [Function(i, key, e.graph, e.fresh_inputs) for i, (key, e) in enumerate(served.items())]
        for kind in WorkerKind:
            t4, a100, h100 = (CostModel(load_calibration(name), functions, kind) for name in PREDICTED)
            for slow, fast in ((t4, a100), (a100, h100)):
                for f in functions:
                    assert fast.expected_s(f.id) <= slow.expected_s(f.id), (catalogue, f.key)
                    assert fast.batch_run_s(f.id, 8) <= slow.batch_run_s(f.id, 8), (catalogue, f.key)
                    assert sum(fast.ladders[f.id]) <= sum(slow.ladders[f.id]), (catalogue, f.key)
            assert h100.expected_s(0) < a100.expected_s(0) < t4.expected_s(0)


def test_run_times_spread_as_the_graph_the_calibration_or_the_user_says(catalogue):
    bert, resnet50 = catalogue["bert"].graph, catalogue["resnet50"].graph
    graphs = {**V100.graphs, "bert": {**V100.graphs["bert"], "kaas": replace(V100.graphs["bert"]["kaas"], spread=0.2)}}
    calibration = replace(V100, graphs=graphs, spread=0.1)
    own = replace(opaque_functions([10])[0], id=2, run_s=1.0)
    functions = [Function(0, "bert", bert), Function(1, "resnet50", resnet50), own]
    assert CostModel(calibration, functions, KAAS).spread.tolist() == [0.2, 0.1, 0.0]
    assert CostModel(calibration, functions, EXCLUSIVE).spread.tolist() == [0.1, 0.1, 0.0]
    assert CostModel(calibration.with_spread(0.3), functions, KAAS).spread.tolist() == [0.3, 0.3, 0.0]
    assert CostModel(V100, functions, KAAS).spread.tolist() == [0.0, 0.0, 0.0]


def test_the_graphs_are_told_that_nobody_measured(catalogue):
    plain = KernelGraph("unknown", (), (Buffer("c", 10, Role.CONSTANT),))
    only_kaas = replace(V100, graphs={"bert": {"kaas": V100.graphs["bert"]["kaas"]}})
    functions = [Function(0, "a", catalogue["bert"].graph), Function(1, "b", plain), Function(2, "c", plain)]
    assert CostModel(only_kaas, functions, KAAS).predicted == ("unknown",)
    assert CostModel(only_kaas, functions, EXCLUSIVE).predicted == ("bert", "unknown")
    assert CostModel(V100, [replace(functions[1], id=0, run_s=1.0)], KAAS).predicted == ()
