"""Batches: time, memory and what is refused, by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role, WorkerKind
from sim.errors import ScenarioError
from sim.models.batches import MOST_BATCH
from sim.models.calibration import GraphCosts, built_in, load_calibration, read_calibration
from sim.models.costs import CostModel
from sim.models.workloads.catalogue import BUILT_IN, load_catalogue
from tests.support import opaque_functions

V100 = load_calibration("v100-kaas")
KAAS, EXCLUSIVE = WorkerKind.KAAS, WorkerKind.EXCLUSIVE
WITHOUT = replace(V100, graphs={}, roofline=replace(V100.roofline, batches=False))


def graph(flops=0, moved_bytes=0, constant_bytes=1000):
    args = tuple(BufferArg(name, Direction.IN) for name in ("c", "in", "out", "t"))
    kernel = Kernel("k", "k", (1, 1, 1), (1, 1, 1), args, flops=flops, moved_bytes=moved_bytes)
    buffers = (
        Buffer("c", constant_bytes, Role.CONSTANT), Buffer("in", 100, Role.INPUT),
        Buffer("out", 10, Role.OUTPUT), Buffer("t", 1, Role.TEMPORARY),
    )  # fmt: skip
    return KernelGraph("g", (kernel,), buffers, n_iter=2)


def model(calibration, of=None, kind=KAAS, fresh=True):
    return CostModel(calibration, [Function(0, "f", of or graph(), fresh)], kind)


def measured(**facts):
    return replace(WITHOUT, graphs={"g": {"kaas": GraphCosts(0.01, **facts)}})


def test_measured_sizes_have_straight_lines_between_them_and_nothing_beyond():
    costs = model(measured(batch_run_s={"8": 0.04, "2": 0.012}))
    io_s = costs.input_s[0] + costs.store_s[0]
    assert costs.batch_run_s(0, 1) == costs.run_s[0] == 0.01 - io_s
    assert costs.batch_run_s(0, 2) == pytest.approx(0.012 - 2 * io_s)
    assert costs.batch_run_s(0, 5) == pytest.approx(0.026 - 5 * io_s)
    assert costs.batch_run_s(0, 8) + 8 * io_s == pytest.approx(0.04)
    assert costs.largest_batch(0) == 8
    refused = r"v100-kaas: graphs: g: kaas: a batch is 9, must be from 1 to 8, the largest that is known"
    with pytest.raises(ScenarioError, match=refused):
        costs.batch_run_s(0, 9)
    with pytest.raises(ScenarioError, match="a batch is 0, must be from 1 to 8"):
        costs.batch_run_s(0, 0)


def test_a_part_that_is_paid_once_makes_a_line():
    costs = model(measured(batch_fixed_frac=0.25))
    assert costs.batch_run_s(0, 5) == pytest.approx(float(costs.run_s[0]) * (0.25 + 5 * 0.75))
    assert costs.largest_batch(0) == MOST_BATCH


def test_a_batch_by_the_roofline_launches_once_and_moves_constants_once():
    peaks = replace(V100.roofline, flops_per_s=1e9, bytes_per_s=1e9, compute_frac=1.0, bandwidth_frac=1.0)
    calibration = replace(V100, graphs={}, roofline=peaks, n_multiprocessors=None)

    def run_s(n, **work):
        return model(calibration, graph(**work)).batch_run_s(0, n) - 4 * V100.buffer_s.kaas

    assert run_s(100) == pytest.approx(2 * V100.launch_s.kaas)  # which has nothing to do but to be launched
    assert run_s(3, flops=10**9) == pytest.approx(6.0)
    assert run_s(3, moved_bytes=10**9, constant_bytes=10**8) == pytest.approx(2 * (0.1 + 3 * 0.9))
    assert run_s(3, moved_bytes=10**9, constant_bytes=2 * 10**9) == pytest.approx(6.0)  # it looks something up


def test_a_batch_first_takes_the_multiprocessors_that_one_leaves_idle():
    of_30_blocks = graph(flops=10**12)
    of_30_blocks = replace(of_30_blocks, kernels=tuple(replace(k, grid=(30, 1, 1)) for k in of_30_blocks.kernels))
    costs = model(replace(V100, graphs={}, n_multiprocessors=80), of_30_blocks)
    growth = [costs.batch_run_s(0, n) / costs.batch_run_s(0, 1) for n in (1, 2, 3, 5, 6, 8, 80)]
    assert growth == pytest.approx([1, 1, 2, 2, 3, 3, 30], rel=1e-3)


def test_a_measured_time_grows_as_an_estimated_one_does():
    graphs = {"g": {"kaas": GraphCosts(0.5)}}
    known, estimated = (
        model(replace(V100, graphs=g, n_multiprocessors=None), graph(flops=10**9)) for g in (graphs, {})
    )
    ratio = estimated.batch_run_s(0, 4) / estimated.batch_run_s(0, 1)
    assert ratio > 3
    assert known.batch_run_s(0, 4) == pytest.approx(float(known.run_s[0]) * ratio)


@pytest.mark.parametrize("name", built_in())
@pytest.mark.parametrize("kind", WorkerKind)
def test_batches_of_every_graph_take_more_than_one_and_no_more_than_one_after_another(name, kind):
    for catalogue in BUILT_IN:
        entries = load_catalogue(catalogue).values()
        functions = [Function(i, e.graph.name, e.graph, e.fresh_inputs) for i, e in enumerate(entries)]
        costs = CostModel(load_calibration(name), functions, kind)
        for f in functions:
            run_s = [costs.batch_run_s(f.id, n) for n in (1, 2, 3, 8)]
            assert run_s == sorted(run_s)
            for n, batch_s in zip((1, 2, 3, 8), run_s, strict=True):
                assert run_s[0] <= batch_s <= n * run_s[0] * (1 + 1e-12), (f.key, n)


def test_a_graph_of_which_nothing_is_known_runs_alone():
    told = (
        r"v100-kaas: graphs: g: kaas: has neither batch_run_s nor batch_fixed_frac, and roofline\.batches is not true; "
    )
    for calibration in (WITHOUT, measured()):
        costs = model(calibration)
        assert costs.batch_run_s(0, 1) == costs.run_s[0]
        assert costs.largest_batch(0) == 1
        with pytest.raises(ScenarioError, match=told + "one must be given for batches of more than 1"):
            costs.batch_run_s(0, 2)


def test_functions_with_durations_of_the_trace_run_alone():
    costs = CostModel(V100, [replace(f, run_s=1.0) for f in opaque_functions([10])], KAAS)
    assert costs.largest_batch(0) == 1
    with pytest.raises(ScenarioError, match="v100-kaas: function 0 has the trace's own durations, which tell nothing"):
        costs.batch_run_s(0, 2)


@pytest.mark.parametrize("caches_temporaries", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_each_invocation_but_the_first_takes_memory_for_all_but_constants(caches_temporaries, fresh):
    executor = replace(V100.executor, alignment_bytes=256, caches_temporaries=caches_temporaries)
    costs = model(replace(V100, executor=executor), fresh=fresh)
    total_bytes = costs.buffers[0].total_bytes + costs.batch_scratch_bytes(0, 1)
    assert costs.batch_scratch_bytes(0, 1) == costs.scratch_bytes[0]
    assert total_bytes == (4 + 3) * 256  # the constants, and three buffers that others bring again
    assert costs.batch_scratch_bytes(0, 4) - costs.batch_scratch_bytes(0, 1) == 3 * 3 * 256


@pytest.mark.parametrize("kind", WorkerKind)
def test_no_batch_is_larger_than_the_memory_of_a_worker(kind):
    device = replace(V100.device, memory_bytes=V100.executor.margin_bytes + V100.executor.context_bytes + 2000)
    costs = model(replace(V100, graphs={}, device=device), kind=kind)
    margin = V100.executor.margin_bytes if kind is EXCLUSIVE else 0
    n = 1 + (2000 + margin - 1111) // 111
    assert costs.largest_batch(0) == min(n, MOST_BATCH)
    whole_bytes = device.memory_bytes + 10**9
    roomy = model(replace(V100, graphs={}, device=replace(device, memory_bytes=whole_bytes)), kind=kind)
    assert roomy.largest_batch(0) == MOST_BATCH
    assert roomy.largest_batch(0, device.memory_bytes) == costs.largest_batch(0)
    assert roomy.largest_batch(0, 0) == 1
    if n < MOST_BATCH:
        assert costs.buffers[0].total_bytes + costs.batch_scratch_bytes(0, n) <= 2000
        assert costs.buffers[0].total_bytes + costs.batch_scratch_bytes(0, n + 1) > 2000


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"batch_run_s": {"1": 0.1}}, "a size of batch_run_s is '1', must be a whole number above 1"),
        ({"batch_run_s": {"02": 0.1}}, "a size of batch_run_s is '02', must be a whole number above 1"),
        ({"batch_run_s": {"²": 0.1}}, "a size of batch_run_s is '²', must be a whole number above 1"),
        ({"batch_fixed_frac": 1.5}, "batch_fixed_frac is 1.5, must be from 0 to 1"),
        ({"batch_fixed_frac": 0.5, "batch_run_s": {"2": 1.0}}, "batch_fixed_frac is 0.5, must be left out where"),
    ],
)
def test_wrong_facts_are_refused_with_key_and_rule(tmp_path, facts, complaint):
    def with_source(value):
        if isinstance(value, dict):
            return {key: with_source(child) for key, child in value.items()}
        return {"value": value, "source": "assumed"}

    data = json.loads(read_calibration("v100-kaas"))
    data["graphs"]["bert"]["kaas"].update(with_source(facts))
    (tmp_path / "mine.json").write_text(json.dumps(data))
    with pytest.raises(ScenarioError, match=rf"mine.json: graphs: bert: kaas: {complaint}"):
        load_calibration(str(tmp_path / "mine.json"))
