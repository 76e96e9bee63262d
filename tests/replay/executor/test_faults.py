"""What goes wrong on the device or in a graph's description, and how it is told."""

import pickle
import re
from dataclasses import replace

import pytest

from replay.errors import DeviceError, KernelError
from replay.executor.executor import Executor, KernelFault
from sim.domain import BufferArg, Direction, KernelGraph
from tests.replay.executor.rig import GRAPHS, one_kernel

MB = 1 << 20


def faulty(host, graph, **options):
    """An executor that has run once, and the fault that follows in each of its kernels."""
    executor = Executor(host.device(), memory_limit_bytes=MB, **options)
    executor.register(0, graph, fresh_inputs=True)
    executor.run(0)
    host.faults.kernels |= {graph.kernels[-1].name}
    with pytest.raises(KernelFault) as caught:
        executor.run(0)
    return executor, caught.value


def test_a_fault_names_the_kernel_of_a_graph_that_has_only_one(host):
    executor, fault = faulty(host, GRAPHS["jacobi"])
    assert fault.kernel == "jacobi.jacobi"
    assert str(fault).startswith("graph 'jacobi': kernel jacobi.jacobi failed: cudaErrorIllegalAddress")
    with pytest.raises(KernelFault, match=r"jacobi\.jacobi failed"):
        executor.run(0)
    executor.close()


def test_a_fault_of_a_cuda_graph(host):
    executor = Executor(host.device(), memory_limit_bytes=MB, cuda_graphs=True)
    executor.register(0, GRAPHS["jacobi"], fresh_inputs=True)
    for _ in range(3):
        executor.run(0)
    host.faults.kernels.add("jacobi")
    with pytest.raises(KernelFault, match=r"jacobi\.jacobi"):
        executor.run(0)
    executor.close()


def test_a_fault_names_the_suspects_where_there_are_several(host):
    graph = GRAPHS["resnet"]
    _, fault = faulty(host, graph)
    assert set(fault.kernel.split(" or ")) == {f"{k.source}.{k.name}" for k in graph.kernels}


def test_profile_mode_names_the_kernel(host):
    _, fault = faulty(host, GRAPHS["resnet"], profile=True)
    last = GRAPHS["resnet"].kernels[-1]
    assert fault.kernel == f"{last.source}.{last.name}"


def test_a_fault_crosses_processes(host):
    _, fault = faulty(host, GRAPHS["jacobi"])
    copy = pickle.loads(pickle.dumps(fault))
    assert (str(copy), copy.kernel) == (str(fault), fault.kernel)


def test_modules_that_the_device_refuses(host):
    graph = one_kernel(shared_bytes=100 << 10)
    device = host.device()
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, graph, fresh_inputs=True)
    device.driver.funcSetAttribute = lambda *_: device.driver.moduleGetFunction(0, "none")
    with pytest.raises(DeviceError, match=r"graph 'one': CPU .* doesn't load its kernels: cudaErrorInvalidResource"):
        executor.run(0)


def test_host_memory_that_can_not_be_pinned(host):
    executor = Executor(host.device(), memory_limit_bytes=MB)
    pin = host.runtime.hostAlloc
    host.runtime.hostAlloc = lambda size, flags: pin(1 << 50, flags)
    with pytest.raises(DeviceError, match="graph 'one': 27,648 B of host memory can't be pinned: cudaErrorMemory"):
        executor.register(0, one_kernel(), fresh_inputs=True)


def test_more_shared_memory_than_usual_is_asked_for(host):
    executor = Executor(host.device(), memory_limit_bytes=MB)
    executor.register(0, one_kernel(shared_bytes=100 << 10), fresh_inputs=True)
    executor.run(0)


BAD_KERNELS = {
    "kernel source 'nothing' doesn't exist": {"source": "nothing"},
    "kernel 'nothing' isn't in sgemm.cu": {"name": "nothing"},
    "kernel sgemm.sgemm takes the arguments 'iiiPPP', but the graph gives 'iiPPP'": {"literals": (("i", 48),) * 2},
    "but the graph gives 'ifiPPP'": {"literals": (("i", 48), ("f", 48), ("i", 48))},
    "but the graph gives 'iiiPP'": {"args": one_kernel().kernels[0].args[:2]},
    "kernel sgemm.sgemm takes the literal 2147483648 as 'i'": {"literals": (("i", 2**31), ("i", 1), ("i", 1))},
    "kernel sgemm.sgemm takes the literal 0.5 as 'i'": {"literals": (("i", 0.5), ("i", 1), ("i", 1))},
    "has the grid (0, 1, 1), must be from (1, 1, 1) to": {"grid": (0, 1, 1)},
    "has the grid (1, 65536, 1)": {"grid": (1, 65536, 1)},
    "has the block (1, 1, 65), must be from (1, 1, 1) to": {"block": (1, 1, 65)},
    "has 1056 threads in a block, must be at most 1024": {"block": (33, 32, 1)},
    "has 232449 shared bytes, must be from 0 to 232448": {"shared_bytes": 232449},
    "takes the buffer 'z', which the graph doesn't declare": {
        "args": (*one_kernel().kernels[0].args[:2], BufferArg("z", Direction.OUT))
    },
    "kernel sgemm.sgemm writes 'W', but it is constant": {
        "args": (*one_kernel().kernels[0].args[:2], BufferArg("W", Direction.INOUT))
    },
}
BAD_BUFFERS = {
    "buffer 'x' is declared twice": {"name": "x"},
    "buffer 'W' has 9215 bytes, must have a positive multiple of 4": {"size_bytes": 9215},
    "buffer 'W' has 0 bytes": {"size_bytes": 0},
    "buffer 'W' has the dtype 'float33'": {"dtype": "float33"},
}


def refused():
    one = one_kernel()
    for message, changes in BAD_KERNELS.items():
        yield message, replace(one, kernels=(replace(one.kernels[0], **changes),))
    for message, changes in BAD_BUFFERS.items():
        yield message, replace(one, buffers=(one.buffers[0], replace(one.buffers[1], **changes), one.buffers[2]))
    yield "0 kernels, 1 times", KernelGraph("one", (), one.buffers)
    yield "1 kernels, 0 times", replace(one, n_iter=0)


@pytest.mark.parametrize(("message", "graph"), [*refused()])
def test_a_wrong_description_is_refused_with_the_kernel_and_the_rule(host, message, graph):
    executor = Executor(host.device(), memory_limit_bytes=MB)
    with pytest.raises(KernelError, match=r"graph 'one': .*" + re.escape(message)):
        executor.register(0, graph, fresh_inputs=True)
    executor.register(0, one_kernel(), fresh_inputs=True)
    executor.close()
