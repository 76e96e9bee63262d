"""Outputs, placements and accounts of the executor, on a CPU and, where there is one, on a GPU."""

import numpy as np
import pytest

from replay.errors import DeviceError, ReplayError
from replay.executor.executor import Executor
from sim.domain import Role
from sim.models.eviction import known
from sim.models.layout import layout
from sim.models.memory import BufferCache
from sim.models.workloads.catalogue import load_catalogue
from tests.replay.executor.rig import (
    GRAPHS,
    assert_outputs,
    calls_of,
    expected,
    host_values,
    one_kernel,
    run_plainly,
)

MB = 1 << 20
MODES = {"plain": {}, "profile": {"profile": True}, "CUDA graphs": {"cuda_graphs": True}}


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


def test_every_graph_of_the_small_catalogue(device, mode):
    entries = load_catalogue("small")
    executor = Executor(device, memory_limit_bytes=24 * MB, **mode)
    for i, entry in enumerate(entries.values()):
        executor.register(i, entry.graph, entry.fresh_inputs)
    for _ in range(3 if mode.get("cuda_graphs") else 1):
        for i, entry in enumerate(entries.values()):
            assert_outputs(executor.run(i).outputs, expected(entry.graph))
    executor.close()


def test_outputs_are_those_of_numpy(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, GRAPHS["sgemm96"], fresh_inputs=False)
    executor.register(1, GRAPHS["jacobi"], fresh_inputs=True)
    v = {n: a.astype(np.float64).reshape(96, 96) for n, a in host_values(GRAPHS["sgemm96"]).items()}
    product = v["x"] @ v["W0"] @ v["W1"] @ v["W2"]
    np.testing.assert_allclose(executor.run(0).outputs["y"].reshape(96, 96), product, atol=1e-4)
    v = host_values(GRAPHS["jacobi"])
    solution = np.linalg.solve(v["A"].reshape(24, 24).astype(np.float64) + np.eye(24), v["b"])
    np.testing.assert_allclose(executor.run(1).outputs["x"], solution, atol=1e-4)
    executor.close()


@pytest.mark.parametrize("eviction", known())
def test_scarce_memory_never_spoils_outputs_and_evicts_as_the_cache_says(device, mode, eviction):
    """Twelve functions that need 2.1 MB in all take turns at random in 0.6 MB."""
    rng = np.random.default_rng(1)
    executor = Executor(device, memory_limit_bytes=600_000, eviction=eviction, **mode)
    alone = BufferCache(executor.capacity_bytes, eviction=eviction)
    functions = [(g, fresh) for g in GRAPHS.values() for fresh in (False, True)]
    layouts = [layout(*f) for f in functions]
    for i, (graph, fresh) in enumerate(functions):
        executor.register(i, graph, fresh)
    n_evicted = moved_bytes = 0
    there = dict.fromkeys(range(len(functions)), 0)
    for i in rng.choice(len(functions), 120).tolist():
        result = executor.run(i)
        assert_outputs(result.outputs, expected(functions[i][0]))
        scratch_bytes = layouts[i].scratch_set.total_bytes
        placement = alone.request(i, layouts[i].cached_set, scratch_bytes)
        assert (result.first_use, result.n_loaded, result.constant_bytes, result.n_evicted) == (
            placement.first_use,
            placement.n_loaded,
            placement.load_bytes,
            sum(e.last - e.first for e in placement.evictions),
        )
        for function, n_bytes, reason in result.changes:
            there[function] += -n_bytes if reason else n_bytes
        assert there == {function: alone.resident_bytes_of(function) for function in there}
        n_evicted += result.n_evicted
        moved_bytes += result.moved_bytes
    assert n_evicted > 100
    assert moved_bytes > 0
    executor.close()


def test_functions_of_one_graph_have_constants_of_their_own_on_the_device_and_share_them_on_the_host(device):
    executor = Executor(device, memory_limit_bytes=2 * MB)
    for i in range(3):
        executor.register(i, GRAPHS["bert"], fresh_inputs=True)
    assert calls_of(device)["hostAlloc"] == 1
    results = [executor.run(i) for i in (0, 1, 2, 0)]
    assert [r.constant_bytes for r in results] == [GRAPHS["bert"].bytes_of(Role.CONSTANT)] * 3 + [0]
    assert [r.first_use for r in results] == [True] * 3 + [False]
    executor.close()


def test_accounts_of_a_request(device):
    graph = GRAPHS["sgemm48"]
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(7, graph, fresh_inputs=True)
    cold, warm = executor.run(7), executor.run(7)
    n = 4 * 48 * 48
    assert (cold.n_loaded, cold.constant_bytes, cold.h2d_bytes, cold.d2h_bytes) == (3, 3 * n, 4 * n, n)
    assert (warm.n_loaded, warm.constant_bytes, warm.h2d_bytes, warm.d2h_bytes) == (0, 0, n, n)
    assert cold.modules_s > 0 == warm.modules_s
    assert cold.kernels_s is None
    for result in (cold, warm):
        assert min(result.load_s, result.run_s, result.store_s) >= 0
        assert result.modules_s + result.load_s + result.run_s + result.store_s <= result.total_s
    executor.close()


def test_an_empty_executor_knows_what_to_load_before_the_first_request(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, GRAPHS["bert"], fresh_inputs=True)
    assert executor.load_modules(GRAPHS["bert"]) > 0
    loads = calls_of(device)["moduleLoadData"]
    executor.run(0)
    assert calls_of(device)["moduleLoadData"] == loads == GRAPHS["bert"].n_modules
    executor.close()


def test_loading_ahead(device):
    """As an exclusive worker starts: the first request finds everything there, and is right."""
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, GRAPHS["bert"], fresh_inputs=True)
    assert executor.load(0) >= 0
    assert "launchKernel" not in calls_of(device)
    result = executor.run(0)
    assert (result.n_loaded, result.constant_bytes) == (0, 0)
    assert_outputs(result.outputs, expected(GRAPHS["bert"]))
    executor.close()


def test_steady_requests_allocate_nothing(device, mode):
    """All that a request takes was there before: neither device nor pinned memory, modules, streams or events."""
    executor = Executor(device, memory_limit_bytes=600_000, **mode)
    for i, graph in enumerate(GRAPHS.values()):
        executor.register(i, graph, fresh_inputs=i % 2 == 0)
        executor.run(i)
    calls_of(device).clear()
    evicted = sum(executor.run(i % len(GRAPHS)).n_evicted for i in range(12))
    assert evicted > 0
    assert calls_of(device).keys() <= {
        *("memcpyAsync", "launchKernel", "streamSynchronize", "eventRecord", "eventElapsedTime", "eventSynchronize"),
        *("streamBeginCapture", "streamEndCapture", "graphInstantiate", "graphDestroy", "graphLaunch"),
        "graphExecDestroy",
    }
    executor.close()


def test_close_gives_all_back(device, mode):
    executor = Executor(device, memory_limit_bytes=MB, **mode)
    executor.register(0, GRAPHS["resnet"], fresh_inputs=False)
    executor.register(1, GRAPHS["jacobi"], fresh_inputs=True)
    for i in (0, 1, 0, 1, 0, 1):
        executor.run(i)
    executor.close()
    calls = calls_of(device)
    for take, give in (
        ("malloc", "free"),
        ("hostAlloc", "freeHost"),
        ("moduleLoadData", "moduleUnload"),
        ("streamCreateWithFlags", "streamDestroy"),
        ("eventCreateWithFlags", "eventDestroy"),
        ("streamEndCapture", "graphDestroy"),
        ("graphInstantiate", "graphExecDestroy"),
    ):
        assert calls[take] == calls[give], take


def test_profile_times_every_launch(device):
    executor = Executor(device, memory_limit_bytes=MB, profile=True)
    executor.register(0, GRAPHS["jacobi"], fresh_inputs=False)
    result = executor.run(0)
    assert len(result.kernels_s) == GRAPHS["jacobi"].n_launches == 80
    assert min(result.kernels_s) > 0
    assert sum(result.kernels_s) <= result.run_s
    executor.close()


def test_a_cuda_graph_is_captured_for_addresses_that_repeat_and_dropped_when_they_change(device):
    executor = Executor(device, memory_limit_bytes=600_000, cuda_graphs=True)
    calls = calls_of(device)
    for i, graph in enumerate(GRAPHS.values()):
        executor.register(i, graph, fresh_inputs=False)
    for _ in range(4):
        executor.run(3)
    assert (calls["graphInstantiate"], calls["graphLaunch"], calls["launchKernel"]) == (1, 3, 2 * 80)
    n_evicted = sum(executor.run(i).n_evicted for i in (4, 5) * 3)  # not both fit
    assert n_evicted > 0
    calls.clear()
    cold = executor.run(3)
    assert cold.n_loaded > 0
    assert_outputs(cold.outputs, expected(GRAPHS["jacobi"]))
    assert (calls["graphLaunch"], calls["graphExecDestroy"], calls["launchKernel"]) == (0, 1, 80)
    executor.close()


def test_inputs_of_a_request(device):
    graph = GRAPHS["sgemm48"]
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, graph, fresh_inputs=True)
    x = np.random.default_rng(3).normal(size=(48, 48)).astype(np.float32)
    own = executor.run(0, {"x": x}).outputs
    assert_outputs(own, run_plainly(graph, host_values(graph) | {"x": x}))
    assert_outputs(executor.run(0).outputs, expected(graph))
    executor.close()


def test_the_seed_decides_constants_and_examples(device):
    outputs = []
    for seed in (0, 0, 1):
        executor = Executor(device, memory_limit_bytes=MB, seed=seed)
        executor.register(0, GRAPHS["cgemm"], fresh_inputs=True)
        outputs.append(executor.run(0).outputs)
        assert_outputs(outputs[-1], expected(GRAPHS["cgemm"], seed))
        executor.close()
    name = next(iter(outputs[0]))
    assert (outputs[0][name] == outputs[1][name]).all()
    assert (outputs[0][name] != outputs[2][name]).any()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"graph 'sgemm48': inputs \[\] are given, but an invocation brings \['x'\]"),
        ({"z": np.zeros(48 * 48, np.float32)}, r"inputs \['z'\] are given"),
        ({"x": np.zeros(48 * 48)}, "input 'x' has 2304 x float64, must have 2304 x float32"),
        ({"x": np.zeros(48, np.float32)}, "input 'x' has 48 x float32, must have 2304 x float32"),
    ],
)
def test_wrong_inputs_are_refused(device, inputs, message):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, GRAPHS["sgemm48"], fresh_inputs=True)
    with pytest.raises(ReplayError, match=message):
        executor.run(0, inputs)
    assert_outputs(executor.run(0).outputs, expected(GRAPHS["sgemm48"]))
    executor.close()


def test_a_function_with_cached_inputs_takes_none(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, GRAPHS["sgemm48"], fresh_inputs=False)
    with pytest.raises(ReplayError, match="none: its inputs are cached"):
        executor.run(0, {"x": np.zeros(48 * 48, np.float32)})
    executor.close()


def test_functions_come_and_go(device):
    executor = Executor(device, memory_limit_bytes=MB, cuda_graphs=True)
    executor.register(0, GRAPHS["sgemm48"], fresh_inputs=False)
    executor.run(0)
    with pytest.raises(ReplayError, match="function 0 is registered already"):
        executor.register(0, GRAPHS["cgemm"], fresh_inputs=False)
    executor.unload(0)
    for call in (executor.run, executor.unload):
        with pytest.raises(ReplayError, match="function 0 isn't registered"):
            call(0)
    executor.register(0, GRAPHS["cgemm"], fresh_inputs=False)
    result = executor.run(0)
    assert result.first_use
    assert_outputs(result.outputs, expected(GRAPHS["cgemm"]))
    executor.close()


def test_two_graphs_of_one_name_are_refused(device):
    executor = Executor(device, memory_limit_bytes=MB)
    executor.register(0, one_kernel(), fresh_inputs=False)
    with pytest.raises(ReplayError, match="function 1: graph 'one' differs from the one registered before"):
        executor.register(1, one_kernel(constants=[4]), fresh_inputs=False)
    executor.close()


def test_what_can_not_fit_is_refused(device):
    executor = Executor(device, memory_limit_bytes=MB)
    n_bytes = executor.capacity_bytes - 3 * 4 * 48 * 48
    executor.register(0, one_kernel(constants=[n_bytes]), fresh_inputs=True)
    assert_outputs(executor.run(0).outputs, expected(one_kernel(constants=[n_bytes])))
    executor.close()
    executor = Executor(device, memory_limit_bytes=MB)
    with pytest.raises(ReplayError, match=f"graph 'one' needs .* must be at most {executor.capacity_bytes:,} B"):
        executor.register(0, one_kernel(constants=[n_bytes + 4]), fresh_inputs=True)
    executor.close()


def test_memory_that_the_device_lacks(host):
    with pytest.raises(DeviceError, match="doesn't give 67,108,865 B of memory for buffers, 67,108,864 B are free"):
        Executor(host.device(), memory_limit_bytes=(64 << 20) + 1)


def test_takes_nine_tenths_of_the_free_memory_by_default(host):
    executor = Executor(host.device())
    assert host.memory.used_bytes == pytest.approx(0.9 * (64 << 20), abs=256)
    assert 0.93 < executor.capacity_bytes / host.memory.used_bytes < 0.96
    executor.close()
    assert host.memory.used_bytes == 0


def test_profile_and_cuda_graphs_exclude_each_other(host):
    with pytest.raises(ReplayError, match="choose one"):
        Executor(host.device(), profile=True, cuda_graphs=True)
