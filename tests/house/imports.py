"""Which module of the project imports which, read from the sources.

Imports inside functions and under ``TYPE_CHECKING`` count like all others: who needs a module's types, or needs it
only later, depends on it no less. What a package hands out by a ``__getattr__`` of its own is imported for the one who
asks: ``from sim import simulate`` counts as an import of the module that ``simulate`` is in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("sim", "replay", "traces", "analysis")


def sources(root: Path = ROOT) -> dict[str, Path]:
    """The file of every module by its dotted name."""
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for package in PACKAGES
        for file in sorted((root / package).rglob("*.py"))
    }


def imported_names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of all that is imported; the name is empty where the module itself is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "imports are written in full"
            yield from ((node.module, alias.name) for alias in node.names)


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Of each module those of ``files`` that it imports, itself left out."""
    trees = {module: ast.parse(file.read_text("utf-8")) for module, file in files.items()}
    handed_out = {}
    for module, tree in trees.items():
        for lazy in _getattrs(tree):
            handed_out |= {(module, name): source for source, name in imported_names(lazy)}
            tree.body.remove(lazy)

    def target(module: str, name: str) -> str:
        module = handed_out.get((module, name), module)
        return f"{module}.{name}" if f"{module}.{name}" in files else module

    return {
        module: {target(*found) for found in imported_names(tree)} & files.keys() - {module}
        for module, tree in trees.items()
    }


def _getattrs(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]
