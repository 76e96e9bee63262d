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
    "sim", "sim.domain", "sim.errors", "sim.settings", "sim.streams", "sim.fingerprint", "sim.text", "sim.inputs",
    "sim.output",
}  # fmt: skip
MODELS = BASE | {"sim.models", "sim.schema", "sim.plaindata"}
BRAIN = MODELS | {"sim.protocol", "sim.tables"}
SIM = BRAIN | {
    "sim.policies",
    "sim.dispatcher",
    "sim.results",
    "sim.seal",
    "sim.rundir",
    "sim.signals",
    "sim.recorder",
    "sim.intervals",
    "sim.backlog",
    "sim.workload",
    "sim.scenario",
}

# A module or package may import itself and what stands here; the longest name counts. Commands may import anything.
ALLOWED = {
    "sim.domain": set(),
    "sim.errors": set(),
    "sim.streams": set(),
    "sim.fingerprint": {"sim.errors"},
    "sim.text": set(),
    "sim.signals": set(),
    "sim.inputs": {"sim.errors"},
    "sim.plaindata": {"sim.errors", "sim.inputs", "sim.text"},
    "sim.output": {"sim.errors", "sim.fingerprint"},
    "sim.settings": {"sim.errors", "sim.text"},
    "sim.loads": BASE,
    "sim.schema": {"sim.errors", "sim.text"},
    "sim.tables": set(),
    "sim.models": MODELS,
    "sim.protocol": BASE,
    "sim.policies": BRAIN,
    "sim.dispatcher": BRAIN,
    "sim.seal": {"sim.errors", "sim.fingerprint"},
    "sim.results": BRAIN | {"sim.seal"},
    "sim.rundir": BRAIN | {"sim.results", "sim.seal"},
    "sim.binding": BASE,
    "sim.workload": BRAIN | {"sim.binding"},
    "sim.intervals": BRAIN,
    "sim.backlog": set(),
    "sim.offered": BRAIN | {"sim.workload", "sim.binding"},
    "sim.recorder": BRAIN | {"sim.workload", "sim.intervals", "sim.backlog"},
    "sim.scenario": BRAIN,
    "sim.caveats": SIM,
    "sim.provenance": SIM | {"sim.fingerprint"},
    "sim.manifest": SIM | {"sim.caveats", "sim.provenance"},
    "sim.engine.clock": set(),
    "sim.engine.frontend": BRAIN | {"sim.engine.clock"},
    "sim.engine.hardware": BRAIN | {"sim.engine.clock"},
    "sim.engine.arrivals": BRAIN | {"sim.engine.clock", "sim.workload"},
    "sim.engine.fleet": BRAIN | {"sim.engine.clock", "sim.engine.hardware", "sim.recorder"},
    "sim.engine": SIM,
    "sim.experiment": SIM | {"sim.engine", "sim.manifest", "sim.offered"},
    "sim.studies": SIM | {"sim.engine", "sim.manifest", "sim.loads"},
    "sim.console": {"sim.errors", "sim.signals", "sim.text"},
    "replay": SIM | {"sim.manifest", "sim.console"},
    "traces": BASE | {"sim.console"},
    "analysis": BASE | {"sim.results", "sim.tables", "sim.console"},
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
    if name != "sim.start" and not re.search(r"\.cli(\.|_|$)", name):
        rule = max((r for r in ALLOWED if within(name, [r])), key=len, default=None)
        allowed = BASE if rule is None else ALLOWED[rule] | {rule}
        above = [n for n in names if not within(n, allowed - {"sim"}) and n not in ("sim", "sim.__version__")]
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
