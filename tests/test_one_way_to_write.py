"""Every file is written by ``sim.files.output``, or by a library to a path that it gave."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "mkdir", "makedirs", "mkdtemp", "mkstemp", "write_text", "write_bytes", "touch", "rename", "renames", "replace",
    "unlink", "rmdir", "rmtree", "symlink_to", "hardlink_to", "TemporaryDirectory", "NamedTemporaryFile",
}  # fmt: skip
ALLOWED = {
    # A cache of compiled kernels: files that any process may make again, named by their content.
    ("replay.device.cache", "mkdir"), ("replay.device.cache", "TemporaryDirectory"), ("replay.device.cache", "replace"),
    ("replay.device.nvrtc", "write_bytes"),  # into that cache
    # Parts of downloads, in their workshop.
    ("traces.fetch.download", "replace"), ("traces.fetch.download", "rmtree"), ("traces.fetch.http", "unlink"),
}  # fmt: skip
OURS = {"write_text"}  # also the names of functions of sim.files.output


def calls(file):
    """(name, whether it is called on a module or path, the call) of every call in a file."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, True, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, False, node


def opens_to_write(name, call):
    """Whether it is open(...) or path.open(...) with a mode that writes."""
    texts = [a.value for a in [*call.args, *(k.value for k in call.keywords)] if isinstance(a, ast.Constant)]
    return name in ("open", "fdopen") and any(
        isinstance(t, str) and re.fullmatch(r"[rb+t]*[wax+][bt+]*", t) for t in texts
    )


def changes_files(name, on, call):
    if name == "replace":  # of strings and data classes, unless it is os.replace
        return on and isinstance(call.func.value, ast.Name) and call.func.value.id == "os"
    return name in FORBIDDEN and (on or name not in OURS)


@pytest.mark.parametrize("package", ["sim", "replay", "traces", "analysis"])
def test_no_other_module_writes(package):
    found = set()
    for file in sorted((ROOT / package).rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if module != "sim.files.output":
            found |= {(module, name) for name, on, call in calls(file) if changes_files(name, on, call)}
            found |= {(module, name) for name, on, call in calls(file) if opens_to_write(name, call)}
    assert found == {entry for entry in ALLOWED if entry[0].startswith(f"{package}.")}
