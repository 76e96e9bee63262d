"""What only a GPU can show; the rest of this folder holds on one too."""

from __future__ import annotations

import pytest

from replay.machine import bus_id, release_of
from replay.messages import EXECUTOR
from replay.nvml import find_gpu
from replay.probe import probe
from replay.run import RealExperiment, Setup
from sim.domain import Function
from sim.models.calibration import load_calibration
from sim.models.workloads import sgemm
from sim.results import open_run
from sim.scenario import Fleet, Scenario
from sim.workload import Workload
from tests.replay_world.worlds import check_run
from tests.support import ListTrace

pytestmark = pytest.mark.gpu

LIMIT_BYTES = 64 << 20


@pytest.fixture(autouse=True)
def _needs_gpu():
    cuda = pytest.importorskip("cupy.cuda")
    try:
        count = cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        pytest.skip(f"no GPU: {error}")
    if not count:
        pytest.skip("no GPU")


def test_a_probe_finds_the_gpu_and_its_state():
    found = probe("cuda:0", repeats=3)
    assert found["device"]["nvml"]["driver"]
    assert found["measurements"]["h2d_pinned_bytes_per_s"]["value"] > 1e9
    assert found["measurements"]["context_s"]["value"] > 0.01


@pytest.mark.parametrize("policy", ["affinity", "exclusive"])
def test_both_modes_serve_and_give_the_memory_back(tmp_path, policy):
    served = tuple(Function(i, f"f{i}", sgemm.build(n=1024)) for i in range(3))
    trace = ListTrace([0.1 * i for i in range(9)], [i % 3 for i in range(9)], [1.0] * 9)
    scenario = Scenario(traces=("list",), policies=(policy,), fleet=Fleet(gpus=1))
    made = RealExperiment(
        scenario,
        policy,
        Workload(trace, served, own_durations=False),
        load_calibration("v100-kaas"),
        Setup("cuda:0", None, LIMIT_BYTES, EXECUTOR),
    )
    made.run(tmp_path / "run", force=False)
    run = open_run(tmp_path / "run")
    check_run(run)
    assert (run.table("invocations").status == "completed").all()
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
