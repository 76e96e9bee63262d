"""Heavy libraries have a home, and light modules stay light; who may import whom is in ``tests.house``."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.house.imports import ROOT, imported_names, sources

HOMES = {"simpy": "sim.engine", "cupy": "replay", "matplotlib": "analysis.figures"}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_at_home_only(library):
    users = {
        module
        for module, file in sources().items()
        if any(name.partition(".")[0] == library for name, _ in imported_names(ast.parse(file.read_text("utf-8"))))
    }
    assert users
    assert all(f"{user}.".startswith(f"{HOMES[library]}.") for user in users), users


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("sim.policies", ["simpy", "cupy", "pandas", "pyarrow", "matplotlib"]),
        ("sim.dispatcher", ["simpy", "cupy", "pandas", "pyarrow", "matplotlib"]),
        ("sim.cli", ["simpy", "numpy", "pandas", "pyarrow", "matplotlib"]),
        ("traces.cli", ["numpy", "pandas", "pyarrow"]),
        ("analysis.cli", ["numpy", "pandas", "pyarrow", "matplotlib"]),
    ],
)
def test_importing_a_light_module_brings_in_nothing_heavy(module, absent):
    code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
