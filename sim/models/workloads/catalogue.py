"""Catalogues: named kernel graphs that functions are bound to, built in or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.domain import KernelGraph
from sim.errors import ScenarioError
from sim.files.output import has_keys, write_json
from sim.files.plaindata import read_json, read_yaml
from sim.models.workloads import bert, cgemm, jacobi, products, resnet50, sgemm, ssd_mobilenet, superres
from sim.models.workloads.authors import bert as bert_tvm
from sim.models.workloads.authors import cutlass, plain
from sim.models.workloads.authors import resnet50 as resnet50_tvm
from sim.models.workloads.authors import superres as superres_tvm
from sim.models.workloads.data import GraphData, graph_to_dict
from sim.schema import build
from sim.settings import unknown


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A graph, and whether every invocation brings its own input (else inputs repeat and are cached)."""

    graph: KernelGraph
    fresh_inputs: bool


def _kaas() -> list[CatalogueEntry]:
    """The workloads that the KaaS paper measured (arXiv 2212.08146), at their true shapes."""
    return [
        CatalogueEntry(resnet50.build(), fresh_inputs=False),
        CatalogueEntry(bert.build(), fresh_inputs=True),
        CatalogueEntry(cgemm.build(), fresh_inputs=False),
        CatalogueEntry(jacobi.build(), fresh_inputs=False),
    ]


def _small() -> list[CatalogueEntry]:
    """The same kernels, and those of further workloads, at shapes that one CPU core runs in 10 to 30 ms."""
    deep = bert.build(layers=3, hidden=192, heads=3, sequence=48, vocabulary=1000, name="bert-small")
    shallow = bert.build(layers=2, hidden=128, heads=2, sequence=80, vocabulary=500, name="bert-base-small")
    return [
        CatalogueEntry(resnet50.build(image=64, width=12, classes=100, name="resnet50-small"), fresh_inputs=False),
        CatalogueEntry(deep, fresh_inputs=True),
        CatalogueEntry(shallow, fresh_inputs=True),
        CatalogueEntry(cgemm.build(m=100, k=256, n=400, name="cGEMM-small"), fresh_inputs=False),
        CatalogueEntry(jacobi.build(n=64, sweeps=100, name="jacobi-small"), fresh_inputs=False),
        CatalogueEntry(superres.build(image=64, width=32, name="superres-small"), fresh_inputs=False),
        CatalogueEntry(
            ssd_mobilenet.build(image=96, width=8, classes=8, name="ssd-mobilenet-small"), fresh_inputs=False
        ),
        CatalogueEntry(sgemm.build(n=256, name="sgemm-small"), fresh_inputs=False),
    ]


def _kaas_authors() -> list[CatalogueEntry]:
    """The graphs of the KaaS benchmarks as their authors ran them, to simulate; see ``workloads.authors``."""
    return [
        CatalogueEntry(resnet50_tvm.build(), fresh_inputs=False),
        CatalogueEntry(bert_tvm.build(), fresh_inputs=True),
        CatalogueEntry(cutlass.complex_gemm(), fresh_inputs=False),
        CatalogueEntry(plain.solver(), fresh_inputs=False),
        CatalogueEntry(plain.products(), fresh_inputs=True),
        CatalogueEntry(superres_tvm.build(), fresh_inputs=True),
        CatalogueEntry(cutlass.single_gemm(), fresh_inputs=True),
        CatalogueEntry(plain.dummy(), fresh_inputs=True),
    ]


def _cublas() -> list[CatalogueEntry]:
    """The networks of ``kaas`` with products by cuBLAS, in float32 and with factors in float16."""
    return [
        CatalogueEntry(resnet50.build(conv=products.conv, name="resnet50-cublas"), fresh_inputs=False),
        CatalogueEntry(bert.build(products=products.CUBLAS, name="bert-large-cublas"), fresh_inputs=True),
        CatalogueEntry(bert.build(products=products.CUBLAS_FP16, name="bert-large-cublas-fp16"), fresh_inputs=True),
    ]


BUILT_IN: Mapping[str, Callable[[], list[CatalogueEntry]]] = {
    "kaas": _kaas,
    "small": _small,
    "kaas-authors": _kaas_authors,
    "cublas": _cublas,
}


def load_catalogue(name_or_file: str | Path) -> dict[str, CatalogueEntry]:
    """The entries by the names of their graphs, in the catalogue's order.

    ``name_or_file``: a built-in catalogue (``kaas``, ``small``, ``kaas-authors``, ``cublas``) or a JSON or YAML file in
    the format of docs/catalogue-format.md. Raises ScenarioError, with file and path of the key, for any mistake.
    """
    name = str(name_or_file)
    entries = BUILT_IN[name]() if name in BUILT_IN else _read(Path(name))
    return {entry.graph.name: entry for entry in entries}


def save_catalogue(entries: Sequence[CatalogueEntry], file: Path) -> None:
    """Write a JSON catalogue, which ``load_catalogue`` reads back equal. An older one is replaced."""
    data = [{"fresh_inputs": e.fresh_inputs, "graph": graph_to_dict(e.graph)} for e in entries]
    write_json(file, {"entries": data}, lambda old: has_keys(old, "entries"))


@dataclass(frozen=True, slots=True)
class _EntryData:
    fresh_inputs: bool
    graph: GraphData


@dataclass(frozen=True, slots=True)
class _CatalogueData:
    entries: tuple[_EntryData, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ScenarioError("entries: is [], must have at least one entry")
        names = [e.graph.name for e in self.entries]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ScenarioError(f"entries[{i}]: graph: name: is {name!r}, must be different from those before it")


def _read(file: Path) -> list[CatalogueEntry]:
    if not os.path.exists(file):
        raise ScenarioError(f"{unknown('catalogue', str(file), BUILT_IN)}; there is no such file")
    data = read_json(file) if file.suffix == ".json" else read_yaml(file)
    return [CatalogueEntry(e.graph.domain(), e.fresh_inputs) for e in build(_CatalogueData, data, str(file)).entries]
