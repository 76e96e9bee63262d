"""The catalogue ``kaas-authors`` has the counts and bytes that the KaaS authors give (or that follow from theirs)."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
from click.testing import CliRunner

from replay.cli import main as replay
from replay.errors import KernelError
from replay.kernels.check import check_graph
from sim.domain import Direction, KernelGraph, Role, WorkerKind
from sim.models.calibration import load_calibration
from sim.models.workloads.authors import bert, cutlass, operators, plain, resnet50, schedules, superres
from sim.models.workloads.authors.operators import Operators
from sim.models.workloads.catalogue import CatalogueEntry, load_catalogue, save_catalogue
from traces.cli import main as traces

DOCUMENT = Path(__file__).parents[4] / "docs" / "catalogue-format.md"
MB = 1e6

CATALOGUE = load_catalogue("kaas-authors")
GRAPHS = {name: entry.graph for name, entry in CATALOGUE.items()}
every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def count(graph: KernelGraph, *roles: Role) -> int:
    return sum(b.role in roles for b in graph.buffers)


def distinct(graph: KernelGraph) -> int:
    return len({(k.source, k.name) for k in graph.kernels})


def largest(graph: KernelGraph) -> int:
    return max(b.size_bytes for b in graph.buffers)


def ephemeral(graph: KernelGraph) -> tuple[int, int]:
    """What the authors call so: temporaries and outputs."""
    return count(graph, Role.TEMPORARY, Role.OUTPUT), graph.bytes_of(Role.TEMPORARY) + graph.bytes_of(Role.OUTPUT)


# launches, distinct kernels, buffers, constants
@pytest.mark.parametrize(
    ("name", "counts"),
    {
        "resnet50": (90, 43, 145, 108),
        "bert": (781, 30, 502, 391),
        "cGEMM": (2, 1, 5, 2),
        "jacobi": (3000, 1, 5, 0),
        "testModel": (3, 1, 7, 3),
        "superRes": (7, 7, 16, 8),
        "cutlassSgemm": (2, 1, 5, 2),
        "dummy": (1, 1, 2, 0),
    }.items(),
)
def test_counts_are_the_authors(name: str, counts: tuple[int, ...]) -> None:
    graph = GRAPHS[name]
    assert (graph.n_launches, distinct(graph), len(graph.buffers), count(graph, Role.CONSTANT)) == counts


# constants, ephemeral buffers, largest buffer, each in MB to the digits given
@pytest.mark.parametrize(
    ("name", "constants", "n_ephemeral", "ephemerals", "most"),
    [
        ("resnet50", "128.7", 36, "58.6", "16.8"),
        ("bert", "1335.9", 108, "38.2", "125.0"),
        ("cGEMM", "2000.2", 2, "20.0", "2000"),
        ("jacobi", "0", 3, "0.0082", "1.05"),
        ("testModel", "12.58", 3, "12.6", "4.19"),
        ("cutlassSgemm", "320.1", 2, "3.2", "320"),
    ],
)
def test_bytes_are_the_authors(name: str, constants: str, n_ephemeral: int, ephemerals: str, most: str) -> None:
    graph = GRAPHS[name]
    n, size_bytes = ephemeral(graph)
    assert n == n_ephemeral
    told = (constants, ephemerals, most)
    for size, text in zip((graph.bytes_of(Role.CONSTANT), size_bytes, largest(graph)), told, strict=True):
        assert f"{size / MB:.{len(text.partition('.')[2])}f}" == text


def test_bytes_of_super_resolution_are_the_authors_who_leave_its_output_out() -> None:
    graph = GRAPHS["superRes"]
    assert count(graph, Role.TEMPORARY) == 6
    assert f"{graph.bytes_of(Role.TEMPORARY) / MB:.1f}" == "91.7"
    assert f"{largest(graph) / MB:.1f}" == "28.9"
    assert f"{graph.bytes_of(Role.OUTPUT) / MB:.2f}" == "1.81"


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("resnet50", [1_204_224], [4_004, 8]),
        ("bert", [3_072] * 3, [1_536] * 2),
        ("cGEMM", [8_000_000], [800]),
        ("jacobi", [1_048_576, 4_096], [4_096, 8]),
        ("testModel", [4_194_304], [4_194_304]),
        ("superRes", [200_704], [1_806_336]),
        ("cutlassSgemm", [4_000_000], [800]),
        ("dummy", [1_024], [1_024]),
    ],
)
def test_inputs_and_outputs_are_the_authors(name: str, inputs: list[int], outputs: list[int]) -> None:
    sizes = {r: [b.size_bytes for b in GRAPHS[name].buffers if b.role is r] for r in (Role.INPUT, Role.OUTPUT)}
    assert sizes == {Role.INPUT: inputs, Role.OUTPUT: outputs}


def test_inputs_repeat_where_the_authors_cached_them() -> None:
    assert {name for name, e in CATALOGUE.items() if not e.fresh_inputs} == {"resnet50", "cGEMM", "jacobi"}


def test_names_and_inputs_are_those_of_the_calibration_and_of_the_own_kernels() -> None:
    assert set(load_calibration("v100-kaas").graphs) <= set(GRAPHS)
    own = load_catalogue("kaas")
    assert {n: e.fresh_inputs for n, e in own.items()} == {n: CATALOGUE[n].fresh_inputs for n in own}
    assert all(WorkerKind.KAAS.value in kinds for kinds in load_calibration("v100-kaas").graphs.values())


@pytest.mark.parametrize(
    ("kernel", "grid", "block"),
    [
        ("dense_1024_1024", (16, 6, 1), (16, 16, 1)),
        ("dense_1024_4096", (64, 6, 1), (16, 16, 1)),
        ("query_key", (6, 6, 16), (8, 8, 1)),
        ("weights_value", (1, 6, 16), (8, 8, 1)),
        ("mean_sum", (12, 1, 1), (32, 32, 1)),  # 384 rows
        ("softmax_max", (6, 1, 1), (1024, 1, 1)),  # 16 x 384 rows, a thread each
        ("softmax_exp", (256, 1, 1), (1024, 1, 1)),  # 2,359,296 values, 9 a thread
        ("mean_divide", (1, 1, 1), (1024, 1, 1)),
    ],
)
def test_grids_of_bert_are_those_of_tvms_schedules(kernel: str, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    assert {(k.grid, k.block) for k in GRAPHS["bert"].kernels if k.name == kernel} == {(grid, block)}


@pytest.mark.parametrize(("rows", "columns", "tile"), [(384, 64, (64, 64)), (96, 100, (32, 4)), (7, 5, (1, 1))])
def test_tiles_of_a_batch_divide_its_shape(rows: int, columns: int, tile: tuple[int, int]) -> None:
    grid, block = schedules.product(rows, columns, batch=2)
    assert grid == (columns // tile[1], rows // tile[0], 2)
    assert all(threads <= size for threads, size in zip(block, reversed(tile), strict=False))


def test_launches_of_hand_written_kernels_are_the_authors() -> None:
    (grid, block, shared_bytes) = {(k.grid, k.block, k.shared_bytes) for k in plain.solver().kernels}.pop()
    assert (grid, block, shared_bytes) == ((256, 1, 1), (66, 1, 1), 4096)
    assert {(k.grid, k.block) for k in plain.products().kernels} == {((32, 32, 1), (32, 32, 1))}


def test_complex_gemm_counts_what_its_tiles_execute() -> None:
    first, second = GRAPHS["cGEMM"].kernels
    assert (prod(first.grid), prod(second.grid)) == (196, 1)
    assert first.block == second.block == (256, 1, 1)
    assert first.flops == 196 * 128 * 128 * 10_000 * 8
    assert second.flops == 128 * 128 * 25_000 * 8
    assert first.shared_bytes == 33_024


def test_a_block_of_single_precision_needs_half_the_tile() -> None:
    (shared_bytes,) = {k.shared_bytes for k in cutlass.single_gemm().kernels}
    assert shared_bytes == 2 * 8 * (128 + 4 + 128) * 4


def test_winograd_weights_grow_by_4_in_the_first_stage_and_by_16_ninths_elsewhere() -> None:
    sizes = {b.name: b.size_bytes for b in GRAPHS["resnet50"].buffers}
    for stage, growth in enumerate((4, 16 / 9, 16 / 9, 16 / 9)):
        width = 64 << stage
        assert sizes[f"stage{stage}.block1.spatial.weight"] == pytest.approx(4 * 9 * width**2 * growth)
    assert sizes["stage1.block0.spatial.weight"] == 4 * 9 * 128**2


def test_executed_work_is_that_of_the_networks() -> None:
    """BERT's products are those of the own graph; winograd saves more than half of its layers' operations."""
    own = {n: sum(k.flops for k in e.graph.kernels) for n, e in load_catalogue("kaas").items()}
    of_tvm = {n: sum(k.flops for k in g.kernels) for n, g in GRAPHS.items()}
    assert of_tvm["bert"] == own["bert"]
    spatial = 2 * 9 * (3 * 64**2 * 56**2 + 3 * 128**2 * 28**2 + 5 * 256**2 * 14**2 + 2 * 512**2 * 7**2)
    saved = own["resnet50"] - of_tvm["resnet50"]
    assert 0.5 * spatial < saved < 0.75 * spatial


def test_bert_without_sharing_takes_what_it_took_before_july_2022() -> None:
    graph = bert.build(shares=False)
    assert count(graph, Role.TEMPORARY) == 779
    assert round(graph.bytes_of(Role.TEMPORARY) / MB) == 1818


def test_three_buffers_would_do_for_results_of_resnet50(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet50, "SHARED_BYTES", [4 * 64 * 112**2] * 3)
    assert count(resnet50.build(), Role.TEMPORARY) == 26 + 3
    monkeypatch.setattr(resnet50, "SHARED_BYTES", [4 * 64 * 112**2] * 2)
    with pytest.raises(ValueError, match=r"no shared buffer is free for 'stage0\.block0"):
        resnet50.build()


@pytest.mark.parametrize(
    ("shared_bytes", "n_floats", "expected"),
    [
        ([40, 80, 80], [10, 10, 20, 20, 5], [0, 1, 2, 1, 0]),  # the smallest that is large enough
        ([80, 80, 80], [10, 10, 10, 10, 10], [0, 1, 2, 0, 1]),  # of equal ones, the one that is free for longest
    ],
)
def test_results_of_a_chain_share_by_hand(shared_bytes: list[int], n_floats: list[int], expected: list[int]) -> None:
    g = Operators("chain", "source", shared_bytes)
    x = g.input("x", 1)
    for i, n in enumerate(n_floats):
        x = g.elementwise("copy", n, (x,), g.temporary(f"result{i}", n), n_read=1)
    g.elementwise("copy", 1, (x,), g.output("y", 1))
    written = [k.args[1].buffer for k in g.finish().kernels]
    assert written == [*(f"shared{i}" for i in expected), "y"]


@pytest.mark.parametrize("build", [resnet50.build, bert.build, superres.build], ids=["resnet50", "bert", "superRes"])
def test_a_result_is_whole_until_its_last_reader(
    build: Callable[[], KernelGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a launch reads from a shared buffer is what the same launch reads without sharing."""
    graph = build()
    monkeypatch.setattr(operators, "share", lambda *_: {})
    holds: dict[str, str] = {}
    for shared, own in zip(graph.kernels, build().kernels, strict=True):
        for at, true in zip(shared.args, own.args, strict=True):
            if at.direction is Direction.IN:
                assert holds.get(at.buffer, at.buffer) == true.buffer
            else:
                holds[at.buffer] = true.buffer


@every_graph
def test_graphs_are_well_formed(graph: KernelGraph) -> None:
    """Buffers are in order of first use, roles are kept, and no launch moves more than it touches."""
    roles, sizes = ({b.name: getattr(b, key) for b in graph.buffers} for key in ("role", "size_bytes"))
    used = dict.fromkeys(a.buffer for k in graph.kernels for a in k.args)
    assert set(used) == set(roles)
    temporaries = [b.name for b in graph.buffers if b.role is Role.TEMPORARY]
    assert temporaries == [name for name in used if name in temporaries]
    for kernel in graph.kernels:
        names = [a.buffer for a in kernel.args]
        assert all(names.count(a.buffer) == 1 for a in kernel.args if a.direction is not Direction.IN), kernel
        written = [roles[a.buffer] for a in kernel.args if a.direction is not Direction.IN]
        assert set(written) <= {Role.OUTPUT, Role.TEMPORARY}
        touched = sum(sizes[a.buffer] * (2 if a.direction is Direction.INOUT else 1) for a in kernel.args)
        assert 0 < kernel.moved_bytes <= touched


def test_the_catalogue_comes_back_equal_from_a_file(tmp_path: Path) -> None:
    save_catalogue(list(CATALOGUE.values()), tmp_path / "authors.json")
    assert load_catalogue(tmp_path / "authors.json") == CATALOGUE


@every_graph
def test_replay_has_no_source_of_these_kernels(graph: KernelGraph) -> None:
    source = graph.kernels[0].source
    with pytest.raises(KernelError, match=f"graph '{graph.name}': kernel source '{source}' doesn't exist; there are"):
        check_graph(graph)


def test_a_replay_refuses_the_graphs_in_one_sentence(tmp_path: Path) -> None:
    catalogue = tmp_path / "authors.json"
    save_catalogue([CatalogueEntry(plain.dummy(), fresh_inputs=True)], catalogue)
    words = ["synth", "--functions", "1", "--minutes", "1", "--rate", "1", "-o", str(tmp_path / "trace")]
    assert CliRunner().invoke(traces, words).exit_code == 0
    words = [
        "run",
        str(tmp_path / "trace"),
        "--window",
        "00:00-00:01",
        "--policy",
        "affinity",
        "--catalogue",
        str(catalogue),
    ]
    result = CliRunner().invoke(replay, [*words, "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert "kernel source 'dummy-kaas' doesn't exist; there are blas, cgemm, jacobi" in line
    assert not (tmp_path / "run").exists()


def test_the_documented_table_is_the_catalogue() -> None:
    section = DOCUMENT.read_text("utf-8").partition("## The graphs of the KaaS benchmarks")[2]
    told = [[c.strip() for c in row.split("|")] for row in re.findall(r"^\| (\w+ \| [\d,]+ \|.*) \|$", section, re.M)]
    expected = []
    for graph in GRAPHS.values():
        cells = [graph.name, f"{graph.n_launches:,}", str(distinct(graph)), str(len(graph.buffers))]
        for role in (Role.CONSTANT, Role.TEMPORARY, Role.INPUT, Role.OUTPUT):
            n = count(graph, role)
            cells.append(f"{n}: {graph.bytes_of(role):,}" if n else "0")
        expected.append(cells)
    assert told == expected


def test_the_documented_list_of_catalogues_is_the_code() -> None:
    told = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", DOCUMENT.read_text("utf-8"), re.M)
    for name, graphs in told:
        stated = [re.sub(r" \(.*\)", "", g) for g in graphs.strip().split(", ")]
        assert stated == list(load_catalogue(name))
    assert [name for name, _ in told] == ["kaas", "small", "kaas-authors", "cublas"]
