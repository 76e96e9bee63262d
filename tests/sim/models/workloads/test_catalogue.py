"""Catalogues: the built-in ones, files that come back equal, and files that are refused with a reason."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from replay.kernels.check import check_graph
from replay.kernels.sources import check_launch, signatures, source_path
from sim.domain import Buffer, BufferArg, Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads.catalogue import load_catalogue, save_catalogue
from sim.models.workloads.data import graph_from_dict, graph_to_dict

DOCUMENT = Path(__file__).parents[4] / "docs" / "catalogue-format.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)


@pytest.fixture
def example() -> dict[str, Any]:
    text, _ = blocks("yaml")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def test_kaas_has_what_the_paper_measured() -> None:
    catalogue = load_catalogue("kaas")
    assert {name: e.fresh_inputs for name, e in catalogue.items()} == {
        "resnet50": False,
        "bert": True,
        "cGEMM": False,
        "jacobi": False,
    }
    assert [e.graph.name for e in catalogue.values()] == list(catalogue)


def test_small_is_small() -> None:
    for entry in load_catalogue("small").values():
        graph = entry.graph
        assert graph.name.endswith("-small")
        assert graph.n_iter * sum(k.flops for k in graph.kernels) <= 150e6
        assert graph.bytes_of(Role.CONSTANT) <= 8e6


@pytest.mark.parametrize("name", ["kaas", "small", "cublas"])
def test_a_catalogue_comes_back_equal_and_in_order(name: str, tmp_path: Path) -> None:
    catalogue = load_catalogue(name)
    save_catalogue(list(catalogue.values()), tmp_path / "c.json")
    again = load_catalogue(tmp_path / "c.json")
    assert again == catalogue
    assert list(again) == list(catalogue)


names = st.text("abcxyz_0", min_size=1, max_size=4)
literals = st.one_of(
    st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("Q"), st.integers(0, 2**64 - 1)),
    st.tuples(st.sampled_from("fd"), st.floats(allow_nan=False)),
)
buffers = st.builds(
    Buffer,
    name=names,
    size_bytes=st.integers(1, 2**20).map(lambda n: 16 * n),
    role=st.sampled_from(Role),
    dtype=st.sampled_from(["float32", "complex128", "int64", "uint8"]),
    scale=st.floats(1e-300, 1e300),
)


@st.composite
def graphs(draw: st.DrawFn) -> KernelGraph:
    declared = draw(st.lists(buffers, min_size=1, max_size=4, unique_by=lambda b: b.name))
    size = st.tuples(st.integers(1, 1024), st.just(1), st.just(1))
    work = st.integers(0, 2**60)
    kernels = tuple(
        Kernel(
            source=draw(names),
            name=draw(names),
            grid=draw(size),
            block=draw(size),
            args=(BufferArg(b.name, draw(st.sampled_from(Direction))),),
            literals=tuple(draw(st.lists(literals, max_size=3))),
            shared_bytes=draw(work),
            flops=draw(work),
            moved_bytes=draw(work),
        )
        for b in declared
    )
    return KernelGraph(draw(names), kernels, tuple(declared), draw(st.integers(1, 10**6)))


@given(graphs())
def test_any_graph_comes_back_equal_through_json(graph: KernelGraph) -> None:
    text = json.dumps(graph_to_dict(graph))
    assert graph_from_dict(json.loads(text), "file") == graph


def test_the_documented_example_is_a_launchable_graph(example: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(blocks("yaml")[0])
    (entry,) = load_catalogue(str(file)).values()
    assert entry.fresh_inputs
    (kernel,) = entry.graph.kernels
    check_launch(kernel, signatures(source_path(kernel.source)))
    assert kernel.flops == 2 * 512**3
    assert kernel.moved_bytes == sum(b.size_bytes for b in entry.graph.buffers)
    short = copy.deepcopy(example["entries"][0]["graph"])
    del short["n_iter"], short["buffers"][1]["dtype"], short["kernels"][0]["shared_bytes"]
    assert graph_from_dict(short, "file") == entry.graph, "the documented defaults are others"


def edit(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set what stands at a path as "buffers.0.name"; None takes it away."""

    def change(graph: dict[str, Any]) -> None:
        *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
        node: Any = graph
        for key in parents:
            node = node[key]
        if value is None:
            del node[last]
        else:
            node[last] = value

    return change


@pytest.fixture
def product() -> dict[str, Any]:
    """The documented product, as a graph."""
    _, text = blocks("yaml")
    rows = {"weights": (16 * 384, "input"), "values": (3072, "constant"), "context": (1024, "output")}
    sizes = {name: (2 * 384 * n, role) for name, (n, role) in rows.items()}
    buffers = [{"name": n, "size_bytes": size, "role": role, "dtype": "float16"} for n, (size, role) in sizes.items()]
    return {"name": "attention", "buffers": buffers, **yaml.safe_load(text)}


def test_the_documented_product_can_be_asked_for(product: dict[str, Any]) -> None:
    graph = graph_from_dict(product, "file")
    check_graph(graph)
    (kernel,) = graph.kernels
    assert (kernel.source, kernel.name) == ("cublas", "gemm_float16")
    assert [(a.buffer, a.direction.value) for a in kernel.args] == [
        ("weights", "in"), ("values", "in"), ("context", "out"),
    ]  # fmt: skip
    assert kernel.flops == 2 * 16 * 384 * 64 * 384
    short = copy.deepcopy(product)
    for key in ("out", "transpose", "alpha", "beta"):
        del short["kernels"][0][key]
    assert graph_from_dict(short, "file") == graph, "the documented defaults are others"


def test_the_documented_refusal_of_a_product_is_true(product: dict[str, Any], tmp_path: Path) -> None:
    product["buffers"][2]["size_bytes"] = 1024
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"entries": [{"fresh_inputs": True, "graph": product}]}))
    with pytest.raises(ScenarioError) as error:
        load_catalogue(tmp_path / "mine.yaml")
    told = str(error.value).removeprefix(f"{tmp_path}/")
    assert f"\nError: {told}\n" in DOCUMENT.read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("kernels.0.call", "cudnn.conv"), "kernels[0]: call: is 'cudnn.conv', must be one of cublas.gemm"),
        (edit("kernels.0.call", None), "kernels[0]: must have one of the keys source, call, but has none"),
        (edit("kernels.0.source", "x"), "kernels[0]: must have one of the keys source, call, but has source and call"),
        (edit("kernels.0.dtype", "bfloat16"), "kernels[0]: dtype: is 'bfloat16', must be one of float32, float16"),
        (edit("kernels.0.dtype", "float32"), "out: is 'float16', must be float32, where a and b are of float32"),
        (edit("kernels.0.shape", [384, 64]), "kernels[0]: shape: is [384, 64], must be [m, n, k]"),
        (edit("kernels.0.shape", [384, 64, 0]), "kernels[0]: shape: is [384, 64, 0], must be whole numbers from 1"),
        (edit("kernels.0.shape", [384, 64, 1.5]), "kernels[0]: shape[2]: is 1.5, must be a whole number"),
        (edit("kernels.0.transpose", [True]), "kernels[0]: transpose: is [True], must be two of true and false"),
        (edit("kernels.0.a.buffer", "weihgts"), "kernels[0]: a: buffer: is 'weihgts', must be the name of a buffer"),
        (edit("kernels.0.a.pitch", 100), "kernels[0]: a: pitch: is 100, must be from 384, its columns, to"),
        (edit("kernels.0.b.offset", 3000), "b: buffer: is 'values', must be a buffer of at least 2361200 bytes"),
        (edit("kernels.0.b.place", 1), "kernels[0]: b: unknown key 'place'; the keys are buffer, pitch, offset, step"),
        (edit("kernels.0.c.step", 63), "kernels[0]: c: step: is 63, must be such that no two results overlap"),
        (edit("kernels.0.a.offset", 1), "a: buffer: is 'weights', must be a buffer of at least 4718594 bytes, but"),
        (edit("buffers.0.dtype", "float32"), "a: buffer: is 'weights', must be a buffer of float16, but it is of"),
        (
            edit("kernels.0", {"source": "cublas", "name": "gemm", "grid": [1, 1, 1], "block": [1, 1, 1], "args": []}),
            "kernels[0]: source: is 'cublas', must be a .cu file; a product of a library has the key call instead",
        ),
    ],
)
def test_a_wrong_product_is_refused(
    product: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    change(product)
    with pytest.raises(ScenarioError) as error:
        graph_from_dict(product, "file")
    assert str(error.value).startswith("file: ")
    assert message in str(error.value)


def test_the_documented_script_writes_a_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = blocks("python")
    exec(compile(script, str(DOCUMENT), "exec"), {})
    assert list(load_catalogue("mine.json")) == ["resnet50-160", "bert-base-128"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("colour", 1), "graph: unknown key 'colour'; the keys are name, buffers, kernels, n_iter"),
        (edit("name", None), "graph: the key 'name' is missing"),
        (edit("name", ""), "graph: name: is '', must be a name"),
        (edit("n_iter", 0), "graph: n_iter: is 0, must be at least 1"),
        (edit("kernels", []), "graph: kernels: is [], must be at least one launch"),
        (edit("buffers", {}), "graph: buffers: is {}, must be a list"),
        (edit("buffers.0", "x"), "graph: buffers[0]: is 'x', must be a mapping"),
        (edit("buffers.0.size", 1), "graph: buffers[0]: unknown key 'size'"),
        (
            edit("buffers.0.size_bytes", 0),
            "buffers[0]: size_bytes: is 0, must be a positive multiple of 4, for float32",
        ),
        (edit("buffers.0.size_bytes", 6), "buffers[0]: size_bytes: is 6, must be a positive multiple of 4"),
        (edit("buffers.0.size_bytes", "4k"), "buffers[0]: size_bytes: is '4k', must be a whole number"),
        (edit("buffers.0.size_bytes", True), "buffers[0]: size_bytes: is True, must be a whole number"),
        (edit("buffers.0.role", "weights"), "buffers[0]: role: is 'weights', must be one of constant, input, output"),
        (edit("buffers.0.dtype", "half"), "buffers[0]: dtype: is 'half', must be one of float16, float32"),
        (edit("buffers.0.scale", 0), "buffers[0]: scale: is 0.0, must be positive and finite"),
        (edit("buffers.0.scale", float("inf")), "buffers[0]: scale: is inf, must be positive and finite"),
        (edit("buffers.2.name", "x"), "kernels[0]: args[2]: is 'y', must be the name of a buffer"),
        (edit("kernels.0.args.2", ["x", "out"]), "buffers[2]: name: is 'y', must be used by a kernel"),
        (edit("kernels.0.args.1", ["x"]), "kernels[0]: args[1]: is ['x'], must be [buffer, in | out | inout]"),
        (edit("kernels.0.args.1", ["x", "both"]), "kernels[0]: args[1]: is ['x', 'both'], must be [buffer, in"),
        (edit("kernels.0.literals.0", ["u", 1]), "kernels[0]: literals[0]: is ['u', 1], must be [i | Q, whole number]"),
        (edit("kernels.0.literals.0", ["i", 1.0]), "kernels[0]: literals[0]: is ['i', 1.0], must be [i | Q, whole"),
        (edit("kernels.0.literals.0", ["f", "1e-5"]), "kernels[0]: literals[0]: is ['f', '1e-5'], must be"),
        (
            edit("kernels.0.literals.0", ["i", 2**31]),
            "literals[0]: is 2147483648, must be from -2147483648 to 2147483647",
        ),
        (edit("kernels.0.literals.0", ["Q", -1]), "literals[0]: is -1, must be from 0 to 18446744073709551615"),
        (edit("kernels.0.grid", [1, 1]), "kernels[0]: grid: is [1, 1], must be three whole numbers from 1 to"),
        (edit("kernels.0.grid", [1, 70_000, 1]), "kernels[0]: grid: is [1, 70000, 1], must be three whole numbers"),
        (edit("kernels.0.grid", [1, 0, 1]), "kernels[0]: grid: is [1, 0, 1], must be three whole numbers"),
        (edit("kernels.0.block", [512, 4, 1]), "kernels[0]: block: is [512, 4, 1], must be at most 1024 threads"),
        (edit("kernels.0.flops", -1), "kernels[0]: flops: is -1, must be at least 0"),
        (edit("kernels.0.shared_bytes", 1.5), "kernels[0]: shared_bytes: is 1.5, must be a whole number"),
    ],
)
def test_a_wrong_graph_is_refused(
    example: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    change(example["entries"][0]["graph"])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(example))
    with pytest.raises(ScenarioError) as error:
        load_catalogue(file)
    assert str(error.value).startswith(f"{file}: entries[0]: graph: ")
    assert message in str(error.value)


def test_the_documented_refusal_is_true(
    example: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example["entries"][0]["graph"]["kernels"][0]["args"][1] = ["wieght", "in"]
    Path("mine.yaml").write_text(yaml.safe_dump(example))
    with pytest.raises(ScenarioError) as error:
        load_catalogue("mine.yaml")
    assert f"\nError: {error.value}\n" in DOCUMENT.read_text("utf-8")


def test_names_are_unique(example: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"entries": example["entries"] * 2}))
    with pytest.raises(ScenarioError, match=r"entries\[1\]: graph: name: is 'product', must be different"):
        load_catalogue(file)
    graph = example["entries"][0]["graph"]
    graph["buffers"].append(graph["buffers"][0])
    with pytest.raises(ScenarioError, match=r"buffers\[3\]: name: is 'x', must be different from those before it"):
        graph_from_dict(graph, "file")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", "{", "c.json: not JSON"),
        ("c.yaml", "a: [", "c.yaml: not YAML"),
        ("c.yaml", "", "c.yaml: is empty"),
        ("c.yaml", "entries: []", "c.yaml: entries: is [], must have at least one entry"),
        ("c.yaml", "entries: [{graph: {}}]", "c.yaml: entries[0]: the key 'fresh_inputs' is missing"),
        ("c.yaml", "entries: [{fresh_inputs: 1, graph: {}}]", "entries[0]: fresh_inputs: is 1, must be true or false"),
    ],
)
def test_a_wrong_file_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ScenarioError, match=re.escape(message)):
        load_catalogue(tmp_path / name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ScenarioError,
        match=r"unknown catalogue 'kass', did you mean 'kaas'\? Known are kaas, small.*; there is no such file",
    ):
        load_catalogue("kass")
