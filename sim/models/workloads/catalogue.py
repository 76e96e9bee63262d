"""Catalogues: named kernel graphs that functions are bound to, built in or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sim.domain import KernelGraph
from sim.errors import ScenarioError
from sim.models.workloads import bert, cgemm, jacobi, resnet50, sgemm, ssd_mobilenet, superres
from sim.models.workloads.data import graph_from_dict, graph_to_dict
from sim.models.workloads.fields import Fields, broken


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A graph, and whether every invocation brings its own input (else inputs repeat and are cached)."""

    graph: KernelGraph
    fresh_inputs: bool


Catalogue = dict[str, CatalogueEntry]


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


BUILT_IN: Mapping[str, Callable[[], list[CatalogueEntry]]] = {"kaas": _kaas, "small": _small}


def load_catalogue(name_or_path: str | Path) -> Catalogue:
    """The entries by the names of their graphs, in the catalogue's order.

    ``name_or_path``: a built-in catalogue (``kaas``, ``small``) or a YAML or JSON file in the format of
    ``docs/catalogue-format.md``. Raises ScenarioError, with file and path of the key, for any mistake.
    """
    name = str(name_or_path)
    entries = BUILT_IN[name]() if name in BUILT_IN else _read(Path(name))
    return {entry.graph.name: entry for entry in entries}


def save_catalogue(entries: list[CatalogueEntry], path: Path) -> None:
    """Write a JSON catalogue, which ``load_catalogue`` reads back equal."""
    graphs = [{"fresh_inputs": e.fresh_inputs, **graph_to_dict(e.graph)} for e in entries]
    path.write_text(json.dumps({"graphs": graphs}, indent=1) + "\n")


def _read(path: Path) -> list[CatalogueEntry]:
    fields = Fields(_parse(path), str(path))
    entries = list(fields.items("graphs", _entry))
    fields.done()
    if not entries:
        raise broken(fields.path("graphs"), "is empty, but must have at least one graph")
    names = [e.graph.name for e in entries]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise broken(fields.path(f"graphs[{i}].name"), f"is {name!r}, as is graphs[{names.index(name)}].name")
    return entries


def _entry(data: object, where: str) -> CatalogueEntry:
    fields = Fields(data, where)
    fresh_inputs = fields.flag("fresh_inputs")
    return CatalogueEntry(graph_from_dict(fields.rest(), where), fresh_inputs)


def _parse(path: Path) -> Any:
    """The file's content as lists, mappings, strings and numbers, without duplicate keys."""
    if path.suffix not in (".json", ".yaml", ".yml"):
        known = ", ".join(BUILT_IN)
        raise ScenarioError(f"catalogue {str(path)!r} is neither built in ({known}) nor a .yaml, .yml or .json file")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"catalogue {path} can't be read: {error}") from None
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_mapping)
        return yaml.load(text, _StrictLoader)
    except (ValueError, yaml.YAMLError) as error:
        raise ScenarioError(f"catalogue {path} can't be read: {' '.join(str(error).split())}") from None


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of the pairs; both parsers would silently keep the last of two equal keys."""
    mapping: dict[Any, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"key {key!r} stands twice in one mapping")
        mapping[key] = value
    return mapping


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader that refuses duplicate keys."""


_StrictLoader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    lambda loader, node: _mapping(loader.construct_pairs(node, deep=True)),
)
