"""What happens between the stamps of a start: told by the order of steps, not by how long they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from replay.device.cpu.host import HostCuda
from replay.device.cuda import import_libraries
from replay.errors import DeviceError
from replay.fleet import worker_main
from replay.fleet.messages import EXECUTOR, Assignment, Ready
from replay.fleet.shm import SharedData, reader
from sim.domain import Function
from sim.models.workloads import bert, products, sgemm
from tests.replay.fake_executor import PATH

GRAPH = sgemm.build(n=16, name="sgemm-16")
FUNCTIONS = tuple(Function(i, f"f{i}", GRAPH) for i in range(2))


@pytest.fixture
def data():
    made = SharedData([GRAPH], seed=1)
    yield made
    made.close()


@pytest.fixture
def steps(monkeypatch):
    """The steps of a start in this process, as they are taken; the worker's clock says how many there were."""
    taken = []

    def noted(step, function):
        def call(*args, **options):
            taken.append(step)
            return function(*args, **options)

        return call

    def open_device(name):
        device = HostCuda(64 << 20).device()
        for owner, name in (
            (device.runtime, "malloc"),
            (device.runtime, "hostAlloc"),
            (device.runtime, "memcpyAsync"),
            (device.driver, "moduleLoadData"),
        ):
            monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
        return replace(device, compile=noted("compile", device.compile))

    def read(fd, places):
        return noted("fill", reader(fd, places))

    monkeypatch.setattr("replay.device.cuda.import_libraries", noted("import", import_libraries))
    monkeypatch.setattr("replay.device.cuda.open_device", noted("open", open_device))
    monkeypatch.setattr("replay.fleet.shm.reader", noted("map", read))
    monkeypatch.setattr(worker_main, "ENTERED_NS", 0)
    monkeypatch.setattr(worker_main, "time", SimpleNamespace(monotonic_ns=lambda: len(taken)))
    return taken


def by_stage(steps: Sequence[str], ready: Ready) -> dict[str, set[str]]:
    """The steps that were taken between the stamps, and after the last."""
    ends = (ready.entered_ns, ready.imported_ns, ready.opened_ns, ready.modules_ns, ready.ready_ns, len(steps))
    names = ("runtime", "context", "modules", "constants", "after")
    return {name: set(steps[start:end]) for name, start, end in zip(names, ends, ends[1:], strict=False)}


def test_every_step_of_a_cold_start_is_in_its_stage(steps, data):
    assignment = Assignment("cpu", FUNCTIONS, data.places, EXECUTOR, 1 << 20, preload=True)
    _, ready = worker_main._start(assignment, data.fd)
    assert by_stage(steps, ready) == {
        "runtime": {"import", "map"},
        "context": {"open", "malloc"},
        "modules": {"compile", "moduleLoadData"},
        "constants": {"hostAlloc", "fill", "memcpyAsync"},
        "after": set(),
    }


def test_a_worker_that_does_not_preload_pins_memory_before_it_is_ready(steps, data):
    assignment = Assignment("cpu", FUNCTIONS, data.places, EXECUTOR, 1 << 20)
    executor, ready = worker_main._start(assignment, data.fd)
    assert by_stage(steps, ready) == {
        "runtime": {"import", "map"},
        "context": {"open", "malloc"},
        "modules": set(),
        "constants": {"compile", "hostAlloc", "fill"},
        "after": set(),
    }
    del steps[:]
    executor.run(0)
    assert set(steps) == {"moduleLoadData", "memcpyAsync"}, "the rest is for its first invocations"


def test_a_worker_without_data_opens_its_device_in_the_same_stages(steps):
    ready = worker_main._prepare(Assignment("cpu", FUNCTIONS, {}, EXECUTOR, 1 << 20))
    assert by_stage(steps, ready) == {
        "runtime": {"import"},
        "context": {"open", "malloc"},
        "modules": {"compile"},
        "constants": set(),
        "after": set(),
    }


# Libraries. A fresh process tells which modules it has at each stamp.

FRESH = """
import json, sys
from types import SimpleNamespace
from replay.fleet import worker_main
from replay.fleet.messages import Assignment
from replay.fleet.shm import SharedData
from sim.domain import Function
from sim.models.workloads import sgemm

device, executor = sys.argv[1:]
graph = sgemm.build(n=16, name="sgemm-16")
data = SharedData([graph], seed=1)
had = []
worker_main.time = SimpleNamespace(monotonic_ns=lambda: had.append(set(sys.modules)) or 0)
assignment = Assignment(device, (Function(0, "f", graph),), data.places, executor, 1 << 20, preload=True)
before = set(sys.modules)
worker_main._start(assignment, data.fd)
print(json.dumps([sorted(had[0] - before), sorted(had[-1] - had[0])]))
"""
CUPY = {
    "__init__": "",
    "runtime": """
from replay.device.cpu.errors import HostCudaError as CUDARuntimeError
setDevice = lambda ordinal: None
getDevice = lambda: 0
getDeviceCount = lambda: 1
memGetInfo = lambda: (1 << 30, 1 << 30)
getDeviceProperties = lambda ordinal: {"name": b"GPU", "major": 9, "minor": 0}
""",
    "driver": "from replay.device.cpu.errors import HostCudaError as CUDADriverError",
}


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Start a worker in a fresh process, where CuPy is a stand-in; returns the modules that the stage ``runtime``
    imported, and those that came later."""
    cuda = tmp_path / "cupy" / "cuda"
    cuda.mkdir(parents=True)
    (tmp_path / "cupy" / "__init__.py").touch()
    for name, text in CUPY.items():
        (cuda / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd(), os.environ.get("PYTHONPATH", "")]))

    def start(device, executor):
        command = [sys.executable, "-c", FRESH, device, executor]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return [set(modules) for modules in json.loads(told)]

    return start


@pytest.mark.parametrize(
    ("device", "executor", "library"),
    [("cpu", EXECUTOR, "replay.device.cpu.host"), ("cuda:0", PATH, "cupy.cuda.runtime")],
)
def test_only_the_stage_of_the_libraries_imports_any(fresh, device, executor, library):
    imported, later = fresh(device, executor)
    assert {library, executor.partition(":")[0]} <= imported
    assert not later


def test_cublas_is_one_of_the_libraries_where_a_graph_asks_for_products(monkeypatch):
    asked = []
    monkeypatch.setattr("replay.device.cuda.import_libraries", lambda device, cublas: asked.append(cublas))
    for graph in (sgemm.build(n=32), bert.build(layers=1, hidden=32, heads=1, sequence=8, products=products.CUBLAS)):
        worker_main._prepare(Assignment("cpu", (Function(0, "f", graph),), {}, EXECUTOR, 1 << 20))
    assert asked == [False, True]


def test_a_machine_without_cublas_is_told_how_to_get_it(monkeypatch):
    runtime = SimpleNamespace(runtimeGetVersion=lambda: 12090)
    for name in ("cupy", "cupy.cuda"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(runtime=runtime, driver=None))
    looked_for = []
    monkeypatch.setattr("replay.device.cublas.library_paths", lambda *where: looked_for.append(where) or [])
    import_libraries("cuda:0")
    with pytest.raises(DeviceError, match=r"^cuBLAS, which a graph asks for products, can't be loaded: .*; pip"):
        import_libraries("cuda:0", cublas=True)
    assert looked_for == [("libcublasLt.so.12", "cublas", 12), ("libcublas.so.12", "cublas", 12)]


@pytest.mark.parametrize(("device", "compiler"), [("cpu", "cpu.build.find_compiler"), ("cuda:0", "cuda.load_nvrtc")])
def test_a_compiler_is_one_of_the_libraries_but_needed_only_to_compile(monkeypatch, device, compiler):
    found = []

    def find():
        found.append(compiler)
        raise DeviceError("there is none")

    monkeypatch.setattr(f"replay.device.{compiler}", find)
    for name in ("cupy", "cupy.cuda"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(runtime=None, driver=None))
    import_libraries(device)
    assert found == [compiler]
