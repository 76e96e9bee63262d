"""Trials on the CPU: each answers its question for tiny graphs, and says what it lacks."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from replay.cli import main
from replay.errors import ReplayError
from replay.fleet.messages import Done
from replay.trials import copies, crew, kernels, libraries, neighbours, starts
from replay.trials.ask import TRIALS
from sim.models.workloads import bert, jacobi, sgemm
from sim.models.workloads.catalogue import CatalogueEntry, save_catalogue
from tests.replay.worlds import workers_of

LIMIT_BYTES = 4_000_000
ENTRIES = {
    "sgemm-64": CatalogueEntry(sgemm.build(n=64, name="sgemm-64"), fresh_inputs=True),
    "jacobi-32": CatalogueEntry(jacobi.build(n=32, sweeps=10, name="jacobi-32"), fresh_inputs=False),
}


@pytest.fixture(autouse=True)
def _nobody_is_left():
    yield
    assert not workers_of(os.getpid())


def test_kernels_are_timed_launch_by_launch_and_as_one():
    rows = kernels.kernels("cpu", ENTRIES, LIMIT_BYTES, repeats=2)
    parts = {(row["graph"], row["part"]): row for row in rows}
    assert parts["sgemm-64", "sgemm.sgemm(64, 64, 64)"]["launches"] == len(ENTRIES["sgemm-64"].graph.kernels)
    swept = [row for row in rows if row["part"].startswith("jacobi.jacobi(")]
    assert sum(row["launches"] for row in swept) == ENTRIES["jacobi-32"].graph.n_launches
    for graph in ENTRIES:
        whole = [parts[graph, part] for part in ("all launches", "all, as a CUDA graph")]
        assert all(row["each_s"] > 0 for row in whole)
        assert all(row["all_s"] == pytest.approx(row["launches"] * row["each_s"]) for row in whole)


def test_each_graph_is_started_in_each_way_and_the_environment_stays(monkeypatch):
    monkeypatch.setenv(starts.LOADING, "mine")
    rows = starts.starts("cpu", {"sgemm-64": ENTRIES["sgemm-64"]}, LIMIT_BYTES, n=1)
    ways = [(row["graph"], row["modules"], row["memory"]) for row in rows]
    assert ways == [("sgemm-64", how, memory) for how in ("eager", "lazy") for memory in ("pinned", "pageable")]
    for row in rows:
        stages = [row[f"{name}_s"] for name in ("process", "runtime", "context", "modules", "constants")]
        assert sum(stages) == pytest.approx(row["ready_s"])
        assert min(stages) >= 0
        assert row["first_run_s"] > 0
    assert os.environ[starts.LOADING] == "mine"


def test_starts_end_with_their_time_after_a_whole_round(monkeypatch):
    rows = starts.starts("cpu", {"sgemm-64": ENTRIES["sgemm-64"]}, LIMIT_BYTES, n=20, seconds=0.0)
    assert len(rows) == 4


def test_memory_of_a_pageable_executor_is_not_pinned_and_its_results_are_the_same(host):
    entry = ENTRIES["sgemm-64"]
    outputs = []
    for kind in (starts.Executor, starts.PageableExecutor):
        executor = kind(host.device(), memory_limit_bytes=LIMIT_BYTES)
        executor.register(0, entry.graph, entry.fresh_inputs)
        outputs.append(executor.run(0).outputs)
        executor.close()
    for name, array in outputs[0].items():
        assert (outputs[1][name] == array).all()


def test_copies_of_one_process_of_two_and_beside_kernels(monkeypatch):
    monkeypatch.setattr(copies, "BLOCKS", 1)
    rows = copies.copies("cpu", repeats=1, seconds=0.1)
    told = {(row["what"], row["beside"]) for row in rows}
    other = "of another process"
    assert told == {
        ("h2d", ""), ("d2h", ""), ("h2d", f"h2d {other}"), ("d2h", f"d2h {other}"), ("h2d", f"d2h {other}"),
        ("kernel", ""), ("h2d", "a kernel"), ("kernel", "h2d"), ("d2h", "a kernel"), ("kernel", "d2h"),
    }  # fmt: skip
    assert all(row.get("bytes_per_s", row.get("run_s")) > 0 for row in rows)


def test_neighbours_alone_in_pairs_and_all_at_once():
    rows = neighbours.neighbours(
        "cpu", {"sgemm-64": ENTRIES["sgemm-64"]}, LIMIT_BYTES, mode="static", workers=(1, 3), seconds=0.1
    )
    graphs = ["sgemm-64", "multiply-adds", "read-write"]
    assert [row["graph"] for row in rows if row["workers"] == 1] == graphs
    shared = [(row["graph"], row["beside"]) for row in rows if row["workers"] == 3]
    assert {(g, b) for g in graphs for b in (*graphs, "", "2 more")} == set(shared)
    alone = {row["graph"]: row for row in rows if row["workers"] == 3 and not row["beside"]}
    assert all(row["slowdown"] == 1 and row["share"] == 1 for row in alone.values())
    graph = neighbours.peaks(neighbours.ON_CPU)["multiply-adds"].graph
    assert alone["multiply-adds"]["flop_per_s"] == pytest.approx(
        graph.kernels[0].flops / alone["multiply-adds"]["run_s"]
    )
    assert alone["read-write"]["bytes_per_s"] > 0


def test_only_what_was_done_while_all_were_at_it_counts(monkeypatch):
    """Two workers of 10 and 35 ms: the first also runs before and after the other one does."""

    class Process:
        def __init__(self, runs):
            self._runs = iter(runs)

        def send(self, job):
            pass

        def receive(self):
            return next(self._runs)

    def worker(*spans):
        runs = [Done(0, 0, 0, 0.0, 0.0, 0.0, 0, 0), *(Done(0, a, b, 0.0, 0.0, 0.0, 0, 0) for a, b in spans)]
        return crew.Worker(Process(runs), 0, None)

    quick, slow = worker((0, 10), (10, 20)), worker((5, 18), (18, 40))
    monkeypatch.setattr(crew.select, "select", lambda readable, *_: (list(readable), [], []))
    found = crew.work({quick: 0, slow: 0}, 0.0)
    assert [(run.started_ns, run.ended_ns) for run in found[quick]] == [(10, 20)]
    assert [(run.started_ns, run.ended_ns) for run in found[slow]] == [(5, 18)]


def test_products_are_compared_with_those_of_a_library(monkeypatch):
    """A library that counts what it is asked for."""
    asked = []

    def ones(shape, dtype, device):
        asked.append((shape, dtype))

    torch = SimpleNamespace(
        backends=SimpleNamespace(cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=None))),
        device=lambda name: SimpleNamespace(type=name), ones=ones, bmm=lambda a, b: sum(range(100)),
        float32="float32", bfloat16="bfloat16",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", torch)
    rows = libraries.libraries("cpu", {"sgemm-64": ENTRIES["sgemm-64"]}, LIMIT_BYTES, repeats=1)
    by = ["the project", "PyTorch, fp32", "PyTorch, TF32", "PyTorch, bf16"]
    assert [(row["shape"], row["by"]) for row in rows] == [("64 x 64 x 64", who) for who in by]
    assert {shape for shape, _ in asked} == {(1, 64, 64)}
    assert all(row["flop_per_s"] == pytest.approx(2 * 64**3 / row["run_s"]) for row in rows)


def test_products_of_a_network_are_found_with_their_batches():
    graph = bert.build(layers=1, hidden=64, heads=2, sequence=16, vocabulary=50, name="bert")
    shapes = {shape for shape in map(libraries.shape_of, graph.kernels) if shape is not None}
    assert (16, 64, 64, 1) in shapes, "a projection"
    assert (16, 16, 32, 2) in shapes, "attention, of two heads"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["magic"], "unknown trial 'magic'; known are kernels, libraries, starts, copies, neighbours"),
        (["neighbours"], "the trial 'neighbours' needs --mode static, fractional or green"),
        (["copies", "--mode", "green"], "the trial 'copies' has no --mode"),
        (["libraries"], "products can't be compared with a library: PyTorch can't be imported"),
    ],
)
def test_what_can_not_be_asked_is_said_in_a_sentence(monkeypatch, words, said):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(main, ["measure", *words])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {said}")


def test_the_command_keeps_all_rows_and_prints_medians(tmp_path):
    catalogue, file = tmp_path / "tiny.json", tmp_path / "kernels.json"
    save_catalogue(list(ENTRIES.values()), catalogue)
    words = ["measure", "kernels", "--catalogue", str(catalogue), "--memory-limit", str(LIMIT_BYTES), "-o", str(file)]
    for _ in range(2):  # the second replaces the first
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    assert (found["trial"], found["device"]) == ("kernels", "cpu")
    lines = result.stdout.splitlines()
    assert lines[0].split() == [*TRIALS["kernels"][1], "n", "launches", "each_s", "all_s"]
    assert len(lines) == 1 + len(found["rows"])
    file.write_text("mine")
    assert CliRunner().invoke(main, words).exit_code == 2
    assert file.read_text() == "mine"


def test_a_worker_that_fails_ends_a_trial(monkeypatch):
    yard = crew.Yard("cpu", crew.functions_of({"sgemm-64": ENTRIES["sgemm-64"]}), LIMIT_BYTES)
    with yard.crew([crew.Member()]) as (worker,):
        worker.process.kill()
        with pytest.raises(ReplayError, match="a worker of the trial ended by itself"):
            crew.run_once(worker, 0)
    yard.close()
