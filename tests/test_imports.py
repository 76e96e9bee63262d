"""Who may import whom: data flows one way (docs/design/one-brain.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sim", "replay", "traces", "analysis")
BASE = {
    "sim", "sim.domain", "sim.errors", "sim.settings", "sim.streams", "sim.text", "sim.files.fingerprint",
    "sim.files.inputs", "sim.files.output",
}  # fmt: skip
MODELS = BASE | {"sim.models", "sim.schema", "sim.files.plaindata"}
BRAIN = MODELS | {"sim.protocol", "sim.records.tables"}
SIM = BRAIN | {
    "sim.policies",
    "sim.dispatcher",
    "sim.placement",
    "sim.records.results",
    "sim.records.seal",
    "sim.records.rundir",
    "sim.terminal.signals",
    "sim.records.recorder",
    "sim.records.intervals",
    "sim.records.backlog",
    "sim.records.decisions",
    "sim.workload",
    "sim.scenario",
}

# A module or package may import itself and what stands here; the longest name counts. Commands may import anything.
ALLOWED = {
    "sim.domain": set(),
    "sim.errors": set(),
    "sim.streams": set(),
    "sim.files.fingerprint": {"sim.errors"},
    "sim.text": set(),
    "sim.terminal.signals": set(),
    "sim.files.inputs": {"sim.errors"},
    "sim.files.plaindata": {"sim.errors", "sim.files.inputs", "sim.text"},
    "sim.files.output": {"sim.errors", "sim.files.fingerprint"},
    "sim.settings": {"sim.errors", "sim.text"},
    "sim.loads": BASE,
    "sim.schema": {"sim.errors", "sim.text"},
    "sim.records.tables": set(),
    "sim.models": MODELS,
    "sim.protocol": BASE,
    "sim.policies": BRAIN,
    "sim.dispatcher": BRAIN,
    "sim.placement": {"sim.protocol"},
    "sim.records.seal": {"sim.errors", "sim.files.fingerprint"},
    "sim.records.results": BRAIN | {"sim.records.seal"},
    "sim.records.rundir": BRAIN | {"sim.records.results", "sim.records.seal"},
    "sim.binding": BASE,
    "sim.workload": BRAIN | {"sim.binding"},
    "sim.records.decisions": BRAIN | {"sim.dispatcher"},
    "sim.records.intervals": BRAIN,
    "sim.records.backlog": set(),
    "sim.offered": BRAIN | {"sim.workload", "sim.binding"},
    "sim.records.recorder": BRAIN | {"sim.workload", "sim.records.intervals", "sim.records.backlog"},
    "sim.scenario": BRAIN,
    "sim.records.caveats": SIM,
    "sim.records.provenance": SIM | {"sim.files.fingerprint"},
    "sim.records.manifest": SIM | {"sim.records.caveats", "sim.records.provenance"},
    "sim.engine.clock": set(),
    "sim.engine.frontend": BRAIN | {"sim.engine.clock"},
    "sim.engine.hardware": BRAIN | {"sim.engine.clock", "sim.placement"},
    "sim.engine.arrivals": BRAIN | {"sim.engine.clock", "sim.workload"},
    "sim.engine.fleet": BRAIN | {"sim.engine.clock", "sim.engine.hardware", "sim.placement", "sim.records.recorder"},
    "sim.engine": SIM,
    "sim.compose": SIM | {"sim.engine", "sim.records.manifest", "sim.offered"},
    "sim.studies": SIM | {"sim.engine", "sim.records.manifest", "sim.loads"},
    "sim.terminal.console": {"sim.errors", "sim.terminal.signals", "sim.text"},
    "replay": SIM | {"sim.records.manifest", "sim.terminal.console"},
    "traces": BASE | {"sim.terminal.console"},
    "analysis": BASE | {"sim.records.results", "sim.records.tables", "sim.terminal.console"},
}
HOMES = {"simpy": {"sim.engine"}, "cupy": {"replay"}, "matplotlib": {"analysis.figures"}}


def modules():
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield pytest.param(name, file, id=name)


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, packages):
    return any(name == p or name.startswith(f"{p}.") for p in packages)


@pytest.mark.parametrize(("name", "file"), list(modules()))
def test_a_module_imports_only_what_lies_below_it(name, file):
    names = [n for n in imports(file) if n.partition(".")[0] in PACKAGES]
    if name != "sim.terminal.start" and not re.search(r"\.(cli|command)(\.|$)", name):
        rule = max((r for r in ALLOWED if within(name, [r])), key=len, default=None)
        allowed = BASE if rule is None else ALLOWED[rule] | {rule}
        above = [
            n for n in names if not within(n, allowed - {"sim"}) and n not in ("sim", "sim.__version__", "sim.files")
        ]
        assert not above, f"{name} imports {above}"
    for library, homes in HOMES.items():
        found = any(n.partition(".")[0] == library for n in imports(file))
        assert not found or within(name, homes), f"{name} imports {library}, which belongs to {homes}"


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
