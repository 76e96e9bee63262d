"""What only a GPU can show; the rest of this folder holds on one too."""

from __future__ import annotations

import pytest

from replay.calibration.probe import probe
from replay.device.nvml import find_gpu
from replay.device.seam import is_gpu
from replay.errors import ReplayError
from replay.fleet.machine import bus_id, release_of
from replay.fleet.messages import EXECUTOR
from replay.run import RealExperiment, ReplaySettings
from sim.domain import Function
from sim.models.calibration import load_calibration
from sim.models.workloads import sgemm
from sim.records.results import open_run
from sim.scenario import FleetSettings, Scenario
from sim.workload import Workload
from tests.replay.worlds import check_run
from tests.support import ListTrace

pytestmark = pytest.mark.gpu

LIMIT_BYTES = 256 << 20  # for the four functions that share a GPU, and their bounce buffers


@pytest.fixture(autouse=True)
def _needs_gpu():
    cuda = pytest.importorskip("cupy.cuda")
    try:
        count = cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        pytest.skip(f"no GPU: {error}")
    if not count:
        pytest.skip("no GPU")
    name = cuda.runtime.getDeviceProperties(0)["name"].decode()
    if not is_gpu(name):
        pytest.skip(f"{name} has no parts, and no driver to ask")


def test_a_probe_finds_the_gpu_and_its_state():
    found = probe("cuda:0", repeats=3)
    assert found["device"]["nvml"]["driver"]
    assert found["measurements"]["h2d_pinned_bytes_per_s"]["value"] > 1e9
    assert found["measurements"]["context_s"]["value"] > 0.01
    assert found["measurements"]["fp32_flop_per_s"]["value"] > 1e12
    if "cublas_load_s" in found["measurements"]:
        assert found["measurements"]["cublas_gemm_float32_flop_per_s"]["value"] > 1e12
        assert found["measurements"]["cublas_gemm_float16_flop_per_s"]["value"] > 1e12
    assert found["measurements"]["device_copy_bytes_per_s"]["value"] > 1e11


def products(n):
    """Functions that each need a device to multiply matrices."""
    return tuple(Function(i, f"f{i}", sgemm.build(n=1024)) for i in range(n))


def on_gpu(directory, policy, n_functions, mode=None):
    """Replay three invocations of each of some products of matrices, one after another."""
    served = products(n_functions)
    n = 3 * n_functions
    trace = ListTrace([0.1 * i for i in range(n)], [i % n_functions for i in range(n)], [1.0] * n)
    scenario = Scenario(traces=("list",), policies=(policy,), fleet=FleetSettings(gpus=1))
    made = RealExperiment(
        scenario,
        policy,
        Workload(trace, served, own_durations=False),
        load_calibration("v100-kaas"),
        ReplaySettings("cuda:0", mode, LIMIT_BYTES, EXECUTOR),
    )
    made.run(directory, force=False)
    run = open_run(directory)
    check_run(run)
    assert (run.table("invocations").status == "completed").all(), run.table("invocations").reason
    return run


def test_static_workers_stand_on_a_gpu(tmp_path):
    run = on_gpu(tmp_path / "run", "static", 1)
    assert run.summary["cold_starts"] == 0
    assert run.manifest["replay"]["standing"][0]["multiprocessors"] > 1


@pytest.mark.parametrize("mode", ["fractional", "green"])
def test_workers_with_a_quarter_of_a_gpu_have_a_quarter_of_its_speed(tmp_path, mode):
    """The product keeps all multiprocessors of any GPU busy: 256 blocks."""
    try:
        parts = on_gpu(tmp_path / "parts", "fractional", 4, mode)
    except ReplayError as missing:
        if f"mode '{mode}' needs" not in str(missing):
            raise
        pytest.skip(str(missing))
    whole = on_gpu(tmp_path / "whole", "static", 1)
    n_sms = whole.manifest["replay"]["standing"][0]["multiprocessors"]
    given = [seat["multiprocessors"] for seat in parts.manifest["replay"]["standing"]]
    assert len(given) == 4
    assert all(0.15 * n_sms <= n <= 0.3 * n_sms for n in given), (given, n_sms)
    assert parts.table("invocations").run_s.median() > 2 * whole.table("invocations").run_s.median()


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_both_modes_serve_and_give_the_memory_back(tmp_path, policy):
    run = on_gpu(tmp_path / "run", policy, 3)
    facts = run.manifest["replay"]["device"]
    gpu = find_gpu(bus_id(facts))
    assert gpu is not None, "NVML does not know the GPU"
    before_bytes = facts["nvml"]["used_bytes"]
    release_of(facts)()
    assert gpu.used_bytes() <= before_bytes + LIMIT_BYTES
    if policy == "exclusive":
        workers = run.table("workers")
        assert (workers.context_s > 0.01).all()
        assert (workers.kill_release_s.iloc[1:] > 0).all()
