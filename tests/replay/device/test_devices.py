"""Opening a device: what it gives, and one clear sentence where something is missing."""

import os
import sys
from types import ModuleType

import pytest

from replay.device.cpu.host import HostCuda
from replay.device.cuda import open_device
from replay.device.seam import REHEARSAL, is_gpu
from replay.errors import DeviceError
from sim.errors import ProjectError


class CudaError(RuntimeError):
    def __init__(self, status):
        super().__init__(f"cudaErrorSomething: status {status}")
        self.status = status


@pytest.fixture
def cupy(monkeypatch):
    """Stands for CuPy: call with what the runtime should answer."""

    def install(n_devices=1, status=0, driver_version=12080, context_status=0):
        def get_device_count():
            if status:
                raise CudaError(status)
            return n_devices

        def mem_get_info():
            if context_status:
                raise CudaError(context_status)
            return 10, 80 << 30

        names = ("cupy", "cupy.cuda", "cupy.cuda.runtime", "cupy.cuda.driver")
        modules = {name: ModuleType(name) for name in names}
        runtime, driver = modules["cupy.cuda.runtime"], modules["cupy.cuda.driver"]
        runtime.getDeviceCount, runtime.memGetInfo = get_device_count, mem_get_info
        runtime.driverGetVersion = lambda: driver_version
        runtime.setDevice = lambda device: None
        runtime.getDeviceProperties = lambda device: {"name": b"NVIDIA H100", "major": 9, "minor": 0}
        runtime.CUDARuntimeError = driver.CUDADriverError = CudaError
        modules["cupy.cuda"].runtime, modules["cupy.cuda"].driver = runtime, driver
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        return runtime, driver

    monkeypatch.setenv("CUDA_MODULE_LOADING", "")
    monkeypatch.delenv("CUDA_MODULE_LOADING")
    return install


def test_a_gpu(cupy):
    runtime, driver = cupy(n_devices=2)
    device = open_device("cuda:1")
    assert (device.name, device.arch, device.memory_bytes) == ("NVIDIA H100", "90", 80 << 30)
    assert device.runtime is runtime
    assert device.driver is driver
    assert device.errors == (CudaError, CudaError)
    assert os.environ["CUDA_MODULE_LOADING"] == "EAGER"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"status": 35, "driver_version": 0}, "^no NVIDIA driver is installed; the device 'cpu' needs no GPU$"),
        ({"status": 35}, "^the NVIDIA driver is older than CuPy's CUDA: update it "),
        ({"status": 100}, r"^the NVIDIA driver finds no GPU \(see nvidia-smi\); "),
        ({"status": 999}, "^CUDA doesn't start: cudaErrorSomething: status 999; "),
        ({"n_devices": 3}, "^device 'cuda:3' doesn't exist: the driver shows 3, numbered from 0$"),
        ({"n_devices": 4, "context_status": 2}, "^device 'cuda:3' can't be opened: cudaErrorSomething: status 2$"),
    ],
)
def test_gpus_that_cannot_be_opened(cupy, answers, message):
    cupy(**answers)
    with pytest.raises(DeviceError, match=message):
        open_device("cuda:3")


def test_no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    with pytest.raises(DeviceError, match=r"^CuPy can't be imported: .*; pip install cupy-cuda12x"):
        open_device("cuda:0")


@pytest.mark.parametrize("name", ["", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "CPU"])
def test_names_that_mean_nothing(name):
    with pytest.raises(DeviceError, match=f"^device '{name}' is neither 'cpu' nor 'cuda:N'"):
        open_device(name)


def test_the_cpu():
    device = open_device("cpu")
    assert device.name.startswith("CPU ")
    assert device.runtime.memGetInfo() == (device.memory_bytes, device.memory_bytes)
    assert device.runtime.getDeviceCount() == 1
    assert device.runtime.getDeviceProperties(0)["totalGlobalMem"] == device.memory_bytes


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProjectError, match=r"^g\+\+ is missing, which the device 'cpu' needs: install it, as by "):
        HostCuda().device().compile('extern "C" __global__ void k() {}')


def test_compiled_code_is_kept_whole_or_not_at_all(host, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = 'extern "C" __global__ void k() {}'
    first = host.device().compile(source)
    assert host.device().compile(source) == first
    with pytest.raises(ProjectError, match="doesn't compile"):
        host.device().compile(source + "!")
    assert [p.name for p in (tmp_path / "gpu-replay").iterdir()] == [os.path.basename(first.decode())]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NVIDIA H100 80GB HBM3", True), (f"NVIDIA H100{REHEARSAL}", False), (HostCuda().device().name, False)],
)
def test_what_stands_in_for_a_gpu_is_known_by_its_name(name, expected):
    assert is_gpu(name) is expected
