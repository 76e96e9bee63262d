"""The CUDA C that the CPU device understands, against what the CUDA C Programming Guide says of it."""

import numpy as np
import pytest

from replay.device.cpu import build
from replay.device.cpu.errors import HostCudaError
from replay.device.cpu.host import HostCuda
from replay.errors import KernelError
from replay.kernels.arguments import Arguments

LANES = np.arange(32)


@pytest.fixture(params=["", "-DCUDA_ON_CPU_UCONTEXT"], ids=["own switch", "ucontext"])
def cpu(request, host, monkeypatch):
    """The CPU device, with the switch of stacks for x86-64 and with that for other CPUs."""
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, *filter(None, [request.param])))
    return host.device()


def kernel(parameters, body):
    return f'extern "C" __global__ void k({parameters})\n{{\n{body}\n}}\n'


def test_shuffles(cpu, run_kernel):
    source = kernel(
        "int* out",
        """const int lane = threadIdx.x % 32, v = 100 + lane;
        out[threadIdx.x] = __shfl_sync(~0u, v, 5);
        out[64 + threadIdx.x] = __shfl_sync(~0u, v, 1, 8);
        out[128 + threadIdx.x] = __shfl_xor_sync(~0u, v, 3);
        out[192 + threadIdx.x] = __shfl_down_sync(~0u, v, 4);
        out[256 + threadIdx.x] = __shfl_up_sync(~0u, v, 4, 16);""",
    )
    (out,) = run_kernel(cpu, source, "k", [np.zeros(320, np.int32)], block=(64, 1, 1))
    expected = [
        np.full(32, 5),
        LANES // 8 * 8 + 1,
        LANES ^ 3,
        np.where(LANES < 28, LANES + 4, LANES),
        np.where(LANES % 16 >= 4, LANES - 4, LANES),
    ]
    np.testing.assert_array_equal(out.reshape(5, 2, 32), np.stack([np.stack([100 + e] * 2) for e in expected]))


def test_votes(cpu, run_kernel):
    source = kernel(
        "unsigned* out",
        """const int lane = threadIdx.x;
        out[lane] = __ballot_sync(~0u, lane % 3 == 0);
        out[32 + lane] = __any_sync(~0u, lane == 31) + 2 * __any_sync(~0u, lane == 32);
        out[64 + lane] = __all_sync(~0u, lane < 32) + 2 * __all_sync(~0u, lane < 31);""",
    )
    # unsigned* is a pointer like any other; the values are written as 32 bits
    (out,) = run_kernel(cpu, source, "k", [np.zeros(96, np.uint32)])
    assert set(out[:32]) == {sum(1 << i for i in range(0, 32, 3))}
    assert set(out[32:]) == {1}


def test_parts_of_a_warp_exchange_on_their_own(cpu, run_kernel):
    """Half a warp does two more exchanges than the other before they all meet."""
    source = kernel(
        "int* out",
        """int v = threadIdx.x;
        if (threadIdx.x < 16) v = __shfl_xor_sync(0xffffu, v, 1), v = __shfl_xor_sync(0xffffu, v, 2) + 1000;
        out[threadIdx.x] = __shfl_xor_sync(~0u, v, 16);""",
    )
    (out,) = run_kernel(cpu, source, "k", [np.zeros(32, np.int32)])
    np.testing.assert_array_equal(out, np.where(LANES < 16, LANES + 16, ((LANES - 16) ^ 3) + 1000))


def test_threads_that_return_early_are_not_waited_for(cpu, run_kernel):
    source = kernel(
        "int n, float* x",
        """__shared__ float sum;
        const int i = threadIdx.x;
        if (i >= n) return;
        if (i == 0) sum = 0.f;
        __syncthreads();
        atomicAdd(&sum, x[i]);
        __syncthreads();
        x[i] = sum;""",
    )
    (x,) = run_kernel(cpu, source, "k", [40, np.arange(40, dtype=np.float32)], block=(64, 1, 1))
    np.testing.assert_array_equal(x, np.full(40, 780, np.float32))


def test_indices_and_dimensions(cpu, run_kernel):
    source = kernel(
        "int* out",
        """const int block = blockIdx.x, threads = blockDim.x * blockDim.y * blockDim.z;
        const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        out[block * threads + thread] = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x
            + 10000 * gridDim.x;""",
    )
    (out,) = run_kernel(cpu, source, "k", [np.zeros(2 * 24, np.int32)], grid=2, block=(4, 3, 2))
    z, y, x = np.meshgrid(range(2), range(3), range(4), indexing="ij")
    one = (x + 10 * y + 100 * z + 20000).ravel()
    np.testing.assert_array_equal(out, np.concatenate([one, one + 1000]))


def test_dynamic_shared_memory_and_vectors(cpu, run_kernel):
    source = kernel(
        "const float4* in, float2* out",
        """extern __shared__ __align__(16) float4 tile[];
        tile[threadIdx.x] = in[threadIdx.x];
        __syncthreads();
        const float4 v = tile[31 - threadIdx.x];
        out[threadIdx.x] = make_float2(v.x + v.y, fmaf(v.z, v.w, 1.f));""",
    )
    given = np.arange(128, dtype=np.float32).reshape(32, 4)
    _, out = run_kernel(cpu, source, "k", [given, np.zeros((32, 2), np.float32)], shared_bytes=512)
    back = given[::-1]
    expected = np.stack([back[:, 0] + back[:, 1], back[:, 2] * back[:, 3] + 1], axis=1)
    np.testing.assert_array_equal(out, expected)


def test_atomics_and_functions(cpu, run_kernel):
    source = kernel(
        "int* n, double* sum, float* f",
        """atomicAdd(&n[0], 1); atomicMax(&n[1], (int)threadIdx.x); atomicMin(&n[2], (int)threadIdx.x);
        atomicCAS(&n[3], 0, 7); atomicAdd(sum, 0.5);
        if (threadIdx.x) return;
        f[0] = __expf(1.f); f[1] = rsqrtf(4.f); f[2] = erff(0.5f); f[3] = __fdividef(1.f, 4.f); f[4] = tanhf(1.f);
        f[5] = fmaxf(1.f, 2.f); f[6] = min(3, 4); f[7] = __int_as_float(__float_as_int(2.5f)); f[8] = __popc(7);""",
    )
    n, total, f = run_kernel(
        cpu, source, "k", [np.array([0, 0, 99, 0], np.int32), np.zeros(1), np.zeros(9, np.float32)]
    )
    np.testing.assert_array_equal(n, [32, 31, 0, 7])
    assert total == [16.0]
    expected = [np.e, 0.5, 0.5204998778, 0.25, np.tanh(1), 2, 3, 2.5, 3]
    np.testing.assert_allclose(f, expected, rtol=1e-6)


@pytest.mark.parametrize("where", ["extern __shared__ float s[];", "__shared__ float s[32];"])
def test_shared_memory_starts_as_nan_in_every_block(host, run_kernel, where):
    source = kernel("float* out", f"{where} out[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x]; s[threadIdx.x] = 1.f;")
    (out,) = run_kernel(host.device(), source, "k", [np.zeros(96, np.float32)], grid=3, shared_bytes=128)
    assert np.isnan(out).all()


@pytest.mark.parametrize("schedule", [0, 1, 5])
def test_divergent_barriers_are_a_deadlock_and_the_module_survives(schedule, run_kernel):
    source = kernel(
        "int stuck, float* x", "if (threadIdx.x < 8 || !stuck) __syncthreads(); else __syncwarp(); x[0] = 1.f;"
    )
    device = HostCuda(schedule=schedule).device()
    with pytest.raises(HostCudaError, match="k: the threads of a block wait at different barriers"):
        run_kernel(device, source, "k", [1, np.zeros(1, np.float32)])
    (x,) = run_kernel(device, source, "k", [0, np.zeros(1, np.float32)])
    assert x == [1.0]


def test_schedules_are_what_they_say(run_kernel):
    source = kernel("int* next, int* order", "order[atomicAdd(next, 1)] = blockIdx.x * 64 + threadIdx.x;")
    orders = {}
    for schedule in (0, 1, 2, 3):
        device = HostCuda(schedule=schedule).device()
        arrays = [np.zeros(1, np.int32), np.zeros(320, np.int32)]
        orders[schedule] = run_kernel(device, source, "k", arrays, grid=5, block=(64, 1, 1))[1].tolist()
    assert orders[0] == sorted(orders[0])
    assert orders[1] == orders[0][::-1]
    assert sorted(orders[2]) == sorted(orders[3]) == orders[0]
    assert len({tuple(o) for o in orders.values()}) == 4


def test_compile_error_shows_the_line(host):
    with pytest.raises(KernelError, match=r"source doesn't compile for this CPU:\n(.*\n)*source:3:\d+: error:"):
        host.device().compile(kernel("int n", "n = m;"))


def test_arguments_keep_every_type():
    values = [-5, 2**63, 0.5, 0.1, 2**40]
    first = Arguments("iQfdP", values)
    copy = Arguments.copy("iQfdP", first.address)
    first.put(0, 6)
    device = HostCuda().device()
    source = kernel(
        "int i, size_t q, float f, double d, double* out", "out[0] = i; out[1] = q; out[2] = f; out[3] = d;"
    )
    function = device.driver.moduleGetFunction(device.driver.moduleLoadData(device.compile(source)), "k")
    for arguments, i in ((first, 6), (copy, -5)):
        out = np.zeros(4)
        arguments.put(4, out.ctypes.data)
        device.driver.launchKernel(function, 1, 1, 1, 1, 1, 1, 0, 0, arguments.address, 0)
        np.testing.assert_array_equal(out, [i, 2.0**63, 0.5, 0.1])
