"""The CPU device behaves as a GPU where a program can tell: limits, order, errors."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from replay.device.cpu.errors import HostCudaError
from replay.device.cpu.host import HostCuda
from replay.kernels.arguments import Arguments

ADD = 'extern "C" __global__ void add(int v, int* x) { atomicAdd(x, v); }'
SHARED = 'extern "C" __global__ void shared(float* x) { extern __shared__ float s[]; s[0] = 1.f; x[0] = s[0]; }'
ONE = (1, 1, 1, 1, 1, 1, 0)


@contextmanager
def fails(status):
    with pytest.raises(HostCudaError, match=r"^cuda\w+: ") as caught:
        yield
    assert caught.value.status == status


def start(session, host):
    """A session, the kernel ``add`` and the address of an integer 0."""
    s = session(host.device())
    return s, s.function(ADD, "add"), s.upload(np.zeros(1, np.int32))


def read(s, address):
    return int(s.download(address, np.zeros(1, np.int32))[0])


# Memory


def test_memory_is_limited_and_counted():
    host = HostCuda(memory_bytes=1 << 20)
    runtime = host.runtime
    assert runtime.memGetInfo() == (1 << 20, 1 << 20)
    first = runtime.malloc(1000)
    assert runtime.memGetInfo() == ((1 << 20) - 1024, 1 << 20)
    with fails(2):
        runtime.malloc((1 << 20) - 1023)
    runtime.free(runtime.malloc((1 << 20) - 1024))
    runtime.free(first)
    assert runtime.memGetInfo() == (1 << 20, 1 << 20)
    runtime.free(runtime.malloc(1 << 20))


def test_allocations_are_aligned_and_nothing_is_allocated_for_nothing():
    runtime = HostCuda(memory_bytes=1 << 20).runtime
    assert all(runtime.malloc(n) % 256 == 0 for n in (1, 255, 5000))
    assert runtime.malloc(0) == 0
    runtime.free(0)


def test_fresh_memory_is_nan_in_debug_mode(host, session):
    s = session(host.device())
    assert np.isnan(s.download(host.runtime.malloc(4000), np.zeros(1000, np.float32))).all()


def test_only_allocations_are_freed(host):
    address = host.runtime.malloc(64)
    for wrong in (address + 16, 12345):
        with fails(1):
            host.runtime.free(wrong)
    host.runtime.free(address)
    with fails(1):
        host.runtime.free(address)


def test_copies_stay_within_allocations(host):
    runtime, data = host.runtime, np.zeros(101, np.uint8)
    first, second = runtime.malloc(100), runtime.malloc(100)
    here = data.ctypes.data
    for dst, src, size, kind in (
        (first, here, 101, runtime.memcpyHostToDevice),
        (here, first + 50, 51, runtime.memcpyDeviceToHost),
        (second + 1, first, 100, runtime.memcpyDeviceToDevice),
        (here, first, 1, runtime.memcpyHostToDevice),
    ):
        with fails(1):
            runtime.memcpyAsync(dst, src, size, kind, 0)
    with fails(1):
        runtime.memset(first, 0, 101)
    runtime.memset(first, 7, 100)
    runtime.memcpy(second, first, 100, runtime.memcpyDeviceToDevice)
    runtime.memcpy(here, second, 100, runtime.memcpyDeviceToHost)
    assert data.tolist() == [7] * 100 + [0]


def test_pinned_memory(host):
    runtime = host.runtime
    address = runtime.hostAlloc(100, runtime.hostAllocDefault)
    assert runtime.memGetInfo()[0] == runtime.memGetInfo()[1]
    runtime.freeHost(address)
    data = np.zeros(100, np.uint8)
    runtime.hostRegister(data.ctypes.data, 100, 0)
    with fails(712):
        runtime.hostRegister(data.ctypes.data + 99, 1, 0)
    runtime.hostUnregister(data.ctypes.data)
    with fails(713):
        runtime.hostUnregister(data.ctypes.data)


@pytest.mark.parametrize(("index", "survives"), [(99, True), (100, False)])
def test_access_behind_an_allocation_kills_the_process(index, survives):
    program = f"""
from replay.kernels.arguments import Arguments
from replay.device.cpu.host import HostCuda
device = HostCuda(1 << 20, debug=True).device()
image = device.compile('extern "C" __global__ void k(int i, float4* x) {{ x[i].w = 1.f; }}')
function = device.driver.moduleGetFunction(device.driver.moduleLoadData(image), "k")
arguments = Arguments("iP", [{index}, device.runtime.malloc(1600)])
device.driver.launchKernel(function, 1, 1, 1, 1, 1, 1, 0, 0, arguments.address, 0)
print("survived")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == ((0, "survived\n") if survives else (-11, "")), done.stderr


# Modules and launches


def test_unknown_names_and_handles(host, session):
    driver = host.driver
    module = driver.moduleLoadData(host.device().compile(ADD))
    with fails(500):
        driver.moduleGetFunction(module, "sub")
    function = driver.moduleGetFunction(module, "add")
    driver.moduleUnload(module)
    arguments = Arguments("iP", [1, 0])
    for call in (
        lambda: driver.moduleUnload(module),
        lambda: driver.moduleGetFunction(module, "add"),
        lambda: driver.launchKernel(function, *ONE, 0, arguments.address, 0),
        lambda: host.runtime.streamSynchronize(77),
        lambda: host.runtime.eventQuery(77),
        lambda: host.runtime.graphLaunch(77, 0),
    ):
        with fails(400):
            call()


@pytest.mark.parametrize(
    "shape", [(0, 1, 1, 1, 1, 1, 0), (1, 65536, 1, 1, 1, 1, 0), (1, 1, 1, 1025, 1, 1, 0), (1, 1, 1, 32, 33, 1, 0)]
)
def test_impossible_launches(host, session, shape):
    s, add, x = start(session, host)
    with fails(1):
        s.launch(add, "iP", shape, [1, x])
    assert read(s, x) == 0


def test_much_shared_memory_must_be_asked_for(host, session):
    s = session(host.device())
    function, x = s.function(SHARED, "shared"), s.upload(np.zeros(1, np.float32))
    s.launch(function, "P", (1, 1, 1, 1, 1, 1, 48 << 10), [x])
    big = (1, 1, 1, 1, 1, 1, 100 << 10)
    with fails(1):
        s.launch(function, "P", big, [x])
    attribute = host.driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    host.driver.funcSetAttribute(function, attribute, 100 << 10)
    s.launch(function, "P", big, [x])
    with fails(1):
        host.driver.funcSetAttribute(function, attribute, (227 << 10) + 1)


# Order


def test_deferred_work_runs_when_something_waits_for_it(session):
    s, add, x = start(session, HostCuda(1 << 20, deferred=True))
    runtime, result = s.device.runtime, np.full(1, -1, np.int32)
    arguments = Arguments("iP", [5, x])
    s.device.driver.launchKernel(add, *ONE, s.stream, arguments.address, 0)
    arguments.put(0, 100)  # too late: arguments are read by the call
    runtime.memcpyAsync(result.ctypes.data, x, 4, runtime.memcpyDeviceToHost, s.stream)
    assert runtime.streamQuery(s.stream) == 600
    runtime.memset(runtime.malloc(4), 0, 4)
    runtime.streamSynchronize(0)
    assert result == [-1]  # the default stream doesn't wait for a non-blocking one
    runtime.streamSynchronize(s.stream)
    assert runtime.streamQuery(s.stream) == 0
    assert result == [5]


@pytest.mark.parametrize("wait", ["deviceSynchronize", "free", "streamDestroy"])
def test_what_else_waits(session, wait):
    s, add, x = start(session, HostCuda(1 << 20, deferred=True))
    runtime, result = s.device.runtime, np.full(1, -1, np.int32)
    s.launch(add, "iP", ONE, [5, x])
    runtime.memcpyAsync(result.ctypes.data, x, 4, runtime.memcpyDeviceToHost, s.stream)
    arguments = {"free": [x], "streamDestroy": [s.stream]}
    getattr(runtime, wait)(*arguments.get(wait, []))
    assert result == [5]


def test_blocking_streams_keep_order_with_the_default_stream(session):
    s, add, x = start(session, HostCuda(1 << 20, deferred=True))
    runtime, result = s.device.runtime, np.full(1, -1, np.int32)
    runtime.streamSynchronize(s.stream)
    s.stream = runtime.streamCreate()
    s.launch(add, "iP", ONE, [5, x])
    runtime.memcpy(result.ctypes.data, x, 4, runtime.memcpyDeviceToHost)
    assert result == [5]


def test_events_order_streams(session):
    s, add, x = start(session, HostCuda(1 << 20, deferred=True))
    runtime, result = s.device.runtime, np.full(1, -1, np.int32)
    event = runtime.eventCreateWithFlags(runtime.eventDisableTiming)
    other = runtime.streamCreateWithFlags(runtime.streamNonBlocking)
    s.launch(add, "iP", ONE, [5, x])
    runtime.eventRecord(event, s.stream)
    s.launch(add, "iP", ONE, [100, x])
    runtime.streamWaitEvent(other, event)
    runtime.memcpyAsync(result.ctypes.data, x, 4, runtime.memcpyDeviceToHost, other)
    assert runtime.eventQuery(event) == 600
    runtime.streamSynchronize(other)
    assert runtime.eventQuery(event) == 0
    assert result == [5]
    assert read(s, x) == 105


def test_events_measure(session):
    s, add, x = start(session, HostCuda(1 << 20, deferred=True))
    runtime = s.device.runtime
    begin, end, untimed = runtime.eventCreate(), runtime.eventCreate(), runtime.eventCreateWithFlags(2)
    with fails(400):
        runtime.eventElapsedTime(begin, end)
    runtime.eventRecord(begin, s.stream)
    s.launch(add, "iP", (1000, 1, 1, 256, 1, 1, 0), [1, x])
    runtime.eventRecord(end, s.stream)
    runtime.eventRecord(untimed, s.stream)
    with fails(600):
        runtime.eventElapsedTime(begin, end)
    runtime.eventSynchronize(untimed)
    assert 0.05 < runtime.eventElapsedTime(begin, end) < 1000  # ms for 256,000 additions
    assert runtime.eventElapsedTime(end, begin) == -runtime.eventElapsedTime(begin, end)
    with fails(400):
        runtime.eventElapsedTime(begin, untimed)


@pytest.mark.parametrize("deferred", [False, True])
def test_graphs(session, deferred):
    s, add, x = start(session, HostCuda(1 << 20, deferred=deferred))
    runtime, results = s.device.runtime, np.zeros(1, np.int32)
    runtime.streamBeginCapture(s.stream)
    assert runtime.streamIsCapturing(s.stream)
    arguments = Arguments("iP", [5, x])
    s.device.driver.launchKernel(add, *ONE, s.stream, arguments.address, 0)
    s.launch(add, "iP", ONE, [1, x])
    runtime.memcpyAsync(results.ctypes.data, x, 4, runtime.memcpyDeviceToHost, s.stream)
    with fails(900):
        runtime.streamSynchronize(s.stream)
    graph = runtime.streamEndCapture(s.stream)
    executable = runtime.graphInstantiate(graph)
    runtime.graphDestroy(graph)
    arguments.put(0, 1000)  # too late: a graph has the arguments of its capture
    assert read(s, x) == 0
    for _ in range(3):
        runtime.graphLaunch(executable, s.stream)
    runtime.streamSynchronize(s.stream)
    assert results == [18]
    runtime.graphExecDestroy(executable)
    with fails(400):
        runtime.graphLaunch(executable, s.stream)
    with fails(1):
        runtime.streamEndCapture(s.stream)


# Faults


@pytest.mark.parametrize("deferred", [False, True])
def test_a_fault_shows_when_the_host_waits_and_stays(session, deferred):
    host = HostCuda(1 << 20, deferred=deferred)
    s, add, x = start(session, host)
    s.launch(add, "iP", ONE, [5, x])
    assert read(s, x) == 5
    host.faults.kernels.add("add")
    s.launch(add, "iP", ONE, [5, x])
    with fails(700):
        s.device.runtime.streamSynchronize(s.stream)
    host.faults.kernels.clear()
    for call in (
        lambda: s.device.runtime.malloc(1),
        lambda: s.device.runtime.memGetInfo(),
        lambda: s.device.runtime.deviceSynchronize(),
        lambda: s.launch(add, "iP", ONE, [5, x]),
        lambda: s.device.driver.moduleLoadData(s.device.compile(ADD)),
    ):
        with fails(700):
            call()
