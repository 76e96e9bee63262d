"""Signatures read from text are those that the compiler sees, and launches are held to them."""

import pytest

from replay.device.cpu.build import HostModule, compile_host
from replay.device.cpu.host import HostCuda
from replay.errors import KernelError
from replay.kernels.sources import KERNELS, check_launch, signatures, source_path
from sim.domain import BufferArg, Direction, Kernel

SOURCES = sorted(KERNELS.glob("*.cu"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_signatures_are_those_of_the_cpp_compiler(path):
    module = HostModule(compile_host(path))
    assert signatures(path) == {name: module.function(name)[1] for name in signatures(path)}


def test_signatures_of_every_form():
    source = """
    // extern "C" __global__ void commented(int n);
    /* __global__ void also(int n) */
    extern "C" __global__ void first(int n, unsigned u, unsigned int v, const size_t s, float f,
                                     double d, /* why */ const float* __restrict__ p, long long q,
                                     unsigned long long r, float4 *x) {}
    extern "C" __global__ void __launch_bounds__(TILE * TILE, 2)
    second(const int n) {}
    extern "C" __global__ __launch_bounds__(128) void third() {}
    """
    assert signatures(source) == {"first": "iiiQfdPQQP", "second": "i", "third": ""}


def test_parameters_that_cannot_be_given():
    with pytest.raises(
        KernelError, match=r"source: kernel 'k' has the parameter 'float4 v', but only pointers and int, "
    ):
        signatures('extern "C" __global__ void k(int n, float4 v) {}')


def test_a_source_without_kernel():
    with pytest.raises(KernelError, match="source has no kernel"):
        signatures("__device__ float f(float x) { return x; }")
    with pytest.raises(KernelError, match="source has no kernel"):
        HostCuda().device().compile("")


def test_unknown_source():
    with pytest.raises(KernelError, match="kernel source 'dgemm' doesn't exist; there are blas, cgemm, "):
        source_path("dgemm")


def kernel(literals, n_buffers, name="k"):
    arguments = tuple(BufferArg(f"b{i}", Direction.IN) for i in range(n_buffers))
    return Kernel("s", name, (1, 1, 1), (1, 1, 1), arguments, tuple((code, 1) for code in literals))


def test_launches_that_fit():
    check_launch(kernel("ifdQ", 2), {"k": "ifdQPP"})
    check_launch(kernel("", 0), {"k": ""})


@pytest.mark.parametrize(("literals", "n_buffers"), [("i", 2), ("", 2), ("if", 1), ("fi", 2), ("id", 2), ("if", 3)])
def test_launches_that_do_not_fit(literals, n_buffers):
    given = literals + "P" * n_buffers
    with pytest.raises(KernelError, match=rf"kernel s\.k takes the arguments 'ifPP', but the graph gives '{given}'"):
        check_launch(kernel(literals, n_buffers), {"k": "ifPP"})


def test_a_launch_of_an_unknown_kernel():
    with pytest.raises(KernelError, match=r"kernel 'other' isn't in s\.cu, which has k, l"):
        check_launch(kernel("", 0, "other"), {"k": "", "l": ""})
