"""Every kernel compiles for every architecture in use and fits its limits; no GPU or driver is needed for that."""

import re

import pytest

from replay.calibration import peaks
from replay.device import nvrtc
from replay.errors import DeviceError, KernelError
from replay.kernels.limits import DEFAULT_SHARED_BYTES, MAX_BLOCK_THREADS, REGISTERS
from replay.kernels.sources import KERNELS, signatures, source_path
from sim.models.workloads.catalogue import BUILT_IN, load_catalogue

ARCHITECTURES = ("70", "75", "80", "90")  # V100, T4, A100, H100
SOURCES = sorted(KERNELS.glob("*.cu"))
GRAPHS = [entry.graph for name in BUILT_IN for entry in load_catalogue(name).values()]


@pytest.fixture(scope="module")
def library():
    try:
        return nvrtc.load_nvrtc()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_kernels_fit(library, path, arch):
    if arch == "70" and not library.version.startswith("12."):
        pytest.skip("NVRTC of CUDA 13 has no sm_70")
    facts = nvrtc.kernel_facts(library.compile(path.read_text(), arch, path.name))
    assert {name: f.signature for name, f in facts.items()} == {
        name: signature.replace("Q", "P") for name, signature in signatures(path).items()
    }
    for name, fact in facts.items():
        threads = largest_block(path.stem, name) or fact.max_threads or MAX_BLOCK_THREADS
        assert fact.spill_bytes == 0, name
        assert fact.registers * threads <= REGISTERS, name
        assert threads <= (fact.max_threads or MAX_BLOCK_THREADS), name
        assert fact.shared_bytes <= DEFAULT_SHARED_BYTES, name


def largest_block(source, name):
    """Threads of the largest block with which a built-in graph launches a kernel, 0 if none does."""
    blocks = [k.block for g in GRAPHS for k in g.kernels if (k.source, k.name) == (source, name)]
    return max((x * y * z for x, y, z in blocks), default=0)


@pytest.mark.parametrize("arch", ["80", "90"])
def test_no_compiler_shortens_the_work_of_a_peak(library, arch):
    compiled = library.compile(source_path("peaks").read_text(), arch, "peaks.cu")
    assert compiled.ptx.count("fma.rn.f32") == peaks.CHAINS * peaks.STEPS


def test_facts_are_read(library):
    source = """
    extern "C" __global__ void __launch_bounds__(64) k(int i, unsigned long long q, float f, double d, float* x)
    {
        __shared__ float s[100];
        s[threadIdx.x] = f; __syncthreads(); x[i] = s[(int)q] + (float)d;
    }
    extern "C" __global__ void spills(float* x)
    {
        float v[300];
        for (int i = 0; i < 300; ++i) v[i] = x[i * 32 + threadIdx.x];
        for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int i = 0; i < 300; ++i) v[i] = v[i] * v[(i * 7 + 1) % 300] + 1.f;
        for (int i = 0; i < 300; ++i) x[i * 32 + threadIdx.x] = v[i];
    }
    """
    facts = nvrtc.kernel_facts(library.compile(source, "80", "k.cu"))
    k = facts["k"]
    assert (k.signature, k.shared_bytes, k.spill_bytes, k.max_threads) == ("iPfdP", 400, 0, 64)
    assert 4 < k.registers < 64
    assert facts["spills"].spill_bytes > 0
    assert facts["spills"].max_threads is None


def test_errors_show_the_line(library):
    with pytest.raises(KernelError, match=r"k\.cu doesn't compile for sm_80 \(NVRTC .*\):\nk\.cu\(2\): error: .*\"m\""):
        library.compile('extern "C" __global__ void k(int* x)\n{ x[0] = m; }', "80", "k.cu")
    with pytest.raises(KernelError, match=r"doesn't compile for sm_12.*\n.*invalid value for --gpu-architecture"):
        library.compile('extern "C" __global__ void k() {}', "12", "k.cu")


def test_cubins_are_cached_by_source_and_architecture(library, monkeypatch):
    path = source_path("jacobi")
    first = {arch: nvrtc.compile_cubin(path, arch) for arch in ("80", "90")}
    assert all(cubin.startswith(b"\x7fELF") for cubin in first.values())
    assert first["80"] != first["90"]

    def fail(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(library, "compile", fail)
    assert {arch: nvrtc.compile_cubin(path, arch) for arch in first} == first
    assert nvrtc.compile_cubin(path.read_text(), "90") == first["90"]
    with pytest.raises(AssertionError, match="compiled again"):
        nvrtc.compile_cubin(path.read_text() + "\n", "90")


def test_a_machine_without_nvrtc(monkeypatch):
    monkeypatch.setattr(nvrtc, "library_paths", lambda *_: iter(["/nonexistent/libnvrtc.so.12"]))
    with pytest.raises(
        DeviceError, match=re.escape("is missing: pip install nvidia-cuda-nvrtc-cu12, or let CUDA_PATH")
    ):
        nvrtc.load_nvrtc.__wrapped__()
