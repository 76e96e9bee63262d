"""Graphs that ask a library: as right, as quiet and as accountable as graphs of kernels alone."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature

import numpy as np
import pytest

from replay.errors import DeviceError
from replay.executor.executor import Executor, KernelFault
from sim.domain import Buffer, KernelGraph, Role
from sim.models.workloads import bert, products, resnet50
from sim.models.workloads.gemm import Gemm
from sim.models.workloads.matrices import Matrix
from tests.replay.executor.rig import GRAPHS, assert_outputs, calls_of, expected, host_values

MB = 1 << 20
TINY = {"layers": 1, "hidden": 64, "heads": 2, "sequence": 16, "vocabulary": 50}
BERT = bert.build(**TINY, products=products.CUBLAS, name="bert-cublas")
HALF = bert.build(**TINY, products=products.CUBLAS_FP16, name="bert-cublas-fp16")
RESNET = resnet50.build(image=32, width=4, classes=10, conv=products.conv, name="resnet-cublas")
MODES = {"plain": {}, "profile": {"profile": True}, "cuda graphs": {"cuda_graphs": True}}


def product(dtype, out, batch=3):
    """y = x op(W), a batch at a time, of matrices that lie apart in their buffers."""
    m, n, k = 20, 36, 28
    x, w, y = Matrix("x", k + 4, 8, m * (k + 4)), Matrix("W", k, 0, n * k), Matrix("y", n, 0, m * n)
    its = Gemm(dtype, (m, n, k), x, w, y, out, batch, (False, True), alpha=0.5)
    items = {"float16": 2, "float32": 4}
    buffers = (
        Buffer("x", items[dtype] * (8 + batch * m * (k + 4)), Role.INPUT, dtype),
        Buffer("W", items[dtype] * batch * n * k, Role.CONSTANT, dtype),
        Buffer("y", items[out] * batch * m * n, Role.OUTPUT, out),
    )
    return KernelGraph(f"{dtype} {out}", (its.kernel(),), buffers)


@pytest.mark.parametrize(
    ("dtype", "out", "rounding"),
    [("float32", "float32", 2.0**-20), ("float16", "float16", 2.0**-9), ("float16", "float32", 2.0**-17)],
)
def test_a_product_is_that_of_numpy(device, dtype, out, rounding):
    graph = product(dtype, out)
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, graph, fresh_inputs=True)
    v = {name: a.astype(np.float64) for name, a in host_values(graph).items()}
    x, w = v["x"][8:].reshape(3, 20, 32)[:, :, :28], v["W"].reshape(3, 36, 28)
    wanted = 0.5 * x @ w.transpose(0, 2, 1)
    for _ in range(2):
        y = executor.run(0).outputs["y"]
        assert y.dtype == out
        np.testing.assert_allclose(y.reshape(wanted.shape), wanted, rtol=0, atol=rounding * np.abs(wanted).max())
    executor.close()


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("graph", [BERT, RESNET], ids=lambda g: g.name)
def test_networks_in_scarce_memory(device, graph, mode):
    """Two functions of a graph and one of another that don't fit together."""
    executor = Executor(device, memory_limit_bytes=900_000, **mode)
    for i, fresh in enumerate((True, False)):
        executor.register(i, graph, fresh)
    executor.register(2, GRAPHS["bert"], fresh_inputs=True)
    n_evicted = 0
    for i in (0, 0, 0, 1, 2, 1, 0, 2, 2, 1):
        result = executor.run(i)
        assert_outputs(result.outputs, expected(graph if i < 2 else GRAPHS["bert"]))
        n_evicted += result.n_evicted
    assert n_evicted > 0
    executor.close()


def test_a_network_with_factors_in_float16(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, HALF, fresh_inputs=True)
    wanted, found = expected(HALF)["logits"], executor.run(0).outputs["logits"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2.0**-9 * np.abs(wanted).max())
    executor.close()


def test_steady_requests_allocate_nothing_and_wait_once(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, BERT, fresh_inputs=True)
    executor.run(0)
    calls = calls_of(device)
    assert (calls["create"], calls["setStream"]) == (1, 1)
    calls.clear()
    executor.run(0)
    n_products = sum(k.source == "cublas" for k in BERT.kernels)
    assert n_products == 6
    assert calls["gemmStridedBatchedEx"] == n_products
    assert calls["launchKernel"] == BERT.n_launches - n_products
    assert calls["streamSynchronize"] == 1
    assert calls.keys() <= {
        *("memcpyAsync", "launchKernel", "gemmStridedBatchedEx", "streamSynchronize", "eventRecord"),
        *("eventElapsedTime", "eventSynchronize"),
    }
    executor.close()
    assert calls["destroy"] == 1


def test_the_library_is_loaded_with_the_modules_and_counts_as_one(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, BERT, fresh_inputs=True)
    assert "create" not in calls_of(device)
    assert executor.load_modules(BERT) > 0
    calls = calls_of(device)
    assert calls["create"] + calls["moduleLoadData"] == BERT.n_modules == 3
    executor.close()


def test_a_graph_that_asks_a_library_is_not_captured(device):
    executor = Executor(device, memory_limit_bytes=2 * MB, cuda_graphs=True)
    executor.register(0, BERT, fresh_inputs=True)
    executor.register(1, GRAPHS["bert"], fresh_inputs=True)
    calls = calls_of(device)
    for _ in range(3):
        assert_outputs(executor.run(0).outputs, expected(BERT))
    assert "streamBeginCapture" not in calls
    for _ in range(3):
        executor.run(1)
    assert (calls["streamBeginCapture"], calls["graphLaunch"]) == (1, 2)
    executor.close()


def test_profile_times_products_too(device):
    executor = Executor(device, memory_limit_bytes=MB, profile=True)
    executor.register(0, BERT, fresh_inputs=True)
    kernels_s = executor.run(0).kernels_s
    assert len(kernels_s) == BERT.n_launches
    assert min(kernels_s) > 0
    executor.close()


def test_a_fault_within_a_product_names_it(host):
    executor = Executor(host.device(), memory_limit_bytes=MB, profile=True)
    executor.register(0, BERT, fresh_inputs=True)
    host.faults.kernels.add("gemm")
    with pytest.raises(KernelFault, match=r"kernel cublas\.gemm_float32 failed: cudaErrorIllegalAddress") as caught:
        executor.run(0)
    assert caught.value.kernel == "cublas.gemm_float32"


def test_a_product_that_the_library_refuses_is_a_fault(host):
    executor = Executor(host.device(), memory_limit_bytes=MB, profile=True)
    executor.register(0, BERT, fresh_inputs=True)
    host.cublas.gemmStridedBatchedEx = lambda *_: host.cublas.destroy(0)
    with pytest.raises(
        KernelFault, match=r"cublas\.gemm_float32 failed: cuBLAS refuses a product of .*: CUBLAS_STATUS_NOT_INITIALIZED"
    ):
        executor.run(0)


def test_a_machine_without_the_library(host):
    def missing():
        raise DeviceError("cuBLAS is missing")

    executor = Executor(replace(host.device(), cublas=missing), memory_limit_bytes=2 * MB)
    executor.register(0, BERT, fresh_inputs=True)
    executor.register(1, GRAPHS["bert"], fresh_inputs=True)
    with pytest.raises(DeviceError, match="cuBLAS is missing"):
        executor.run(0)
    assert_outputs(executor.run(1).outputs, expected(GRAPHS["bert"]))
    executor.close()


def test_a_library_that_does_not_start(host):
    blas = host.cublas
    blas.create = lambda: blas.destroy(0)
    executor = Executor(host.device(), memory_limit_bytes=MB)
    executor.register(0, BERT, fresh_inputs=True)
    with pytest.raises(DeviceError, match=r"^cuBLAS doesn't start on CPU .*: CUBLAS_STATUS_NOT_INITIALIZED"):
        executor.run(0)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"handle": 99}, "NOT_INITIALIZED"),
        ({"lda": 3}, "INVALID_VALUE"),
        ({"ldb": 4}, "INVALID_VALUE"),
        ({"ldc": 3}, "INVALID_VALUE"),
        ({"Btype": 2}, "NOT_SUPPORTED"),
        ({"Ctype": 2}, "NOT_SUPPORTED"),
        ({"computeType": 64}, "NOT_SUPPORTED"),
    ],
)
def test_the_stand_in_refuses_what_cublas_refuses(host, wrong, error):
    blas = host.cublas
    factor = np.ones(1, np.float32)
    address = host.runtime.malloc(1024)
    given = dict.fromkeys(signature(blas.gemmStridedBatchedEx).parameters, 0)
    given |= {"m": 4, "n": 2, "k": 5, "lda": 4, "ldb": 5, "ldc": 4, "batchCount": 1, "handle": blas.create()}
    given |= {"A": address, "B": address + 256, "C": address + 512, "computeType": blas.CUBLAS_COMPUTE_32F}
    given |= {"alpha": factor.ctypes.data, "beta": factor.ctypes.data}
    blas.gemmStridedBatchedEx(**given)
    with pytest.raises(blas.CUBLASError, match=f"CUBLAS_STATUS_{error}"):
        blas.gemmStridedBatchedEx(**(given | wrong))


def test_the_stand_in_lets_no_capture_have_a_product_as_cupy(host):
    executor = Executor(host.device(), memory_limit_bytes=MB)
    executor.register(0, product("float32", "float32"), fresh_inputs=True)
    executor.run(0)
    stream = executor._stream.handle
    host.runtime.streamBeginCapture(stream)
    with pytest.raises(NotImplementedError, match="capture"):
        executor._launch_all(executor._functions[0][1])
    host.runtime.streamEndCapture(stream)
