"""Workers that stand from the beginning: one a device, or several side by side."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from replay.calibration.validate import check_log
from replay.device.cuda import open_device
from replay.errors import ReplayError
from replay.executor.executor import Executor
from replay.fleet.messages import EXECUTOR
from replay.fleet.seats import CONTEXT_BYTES, Seat, assign_seats
from replay.run import adapt
from sim.domain import Function, WorkerKind
from sim.errors import ScenarioError
from sim.models.calibration import load_calibration
from sim.models.costs import CostModel
from sim.models.workloads import sgemm
from sim.protocol import Run, Standing
from sim.records.decisions import FILE_NAME, read_decisions
from tests.replay.fake_executor import TELLING, TellingExecutor, meet
from tests.replay.fleet.test_gpu import LIMIT_BYTES, products
from tests.replay.worlds import Beside, experiment, functions, replay, workers_of


def told(file):
    """What the workers of ``TellingExecutor`` wrote."""
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def telling(tmp_path, monkeypatch):
    """The file that workers write to."""
    file = tmp_path / "told"
    file.touch()
    monkeypatch.setenv("TOLD", str(file))
    return file


@pytest.fixture
def meeting(tmp_path, monkeypatch):
    """Gives workers a place to meet."""
    place = tmp_path / "meeting"
    place.mkdir()
    monkeypatch.setenv("MEETING", str(place))


def test_static_workers_serve_their_functions_from_the_first_event_on(tmp_path):
    served = [Function(i, f"f{i}", sgemm.build(n=32, name="sgemm-32")) for i in range(2)]
    arrivals = [(0.01 * i, i % 2) for i in range(8)]
    run = replay(tmp_path / "run", served, arrivals, "static", gpus=2, executor=EXECUTOR)
    rows, workers = run.table("invocations"), run.table("workers")
    assert run.manifest["replay"]["mode"] == "static"
    assert (rows.status == "completed").all(), rows.reason
    assert (rows.run_s > 0).all()
    assert (rows.worker == rows.function).all()
    assert (rows.device == rows.function).all()
    assert run.summary["cold_starts"] == rows.constant_bytes.sum() == 0, "constants were there before the run"
    assert workers.kind.tolist() == ["exclusive"] * 2
    assert workers.function.tolist() == [0, 1]
    stages = [name for name in workers if name.endswith("_s") and name not in ("ready_at_s", "stopped_at_s")]
    assert (workers[[*stages, "ready_at_s", "h2d_bytes"]] == 0).all(axis=None), "a start was counted"
    assert workers.stopped_at_s.isna().all()
    log = list(read_decisions(run.path / FILE_NAME))
    assert {type(a) for _, _, actions in log for a in actions} == {Run}
    assert check_log(run, served) == len(log)


def test_devices_that_are_left_get_a_second_worker_of_a_function(tmp_path, meeting):
    run = replay(tmp_path / "run", functions(["meet", "sleep-1"]), [(0.0, 0)] * 2, "static", gpus=3)
    assert run.table("workers").function.tolist() == [0, 1, 0]
    assert set(run.table("invocations").device) == {0, 2}


def test_functions_that_a_policy_refuses_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ScenarioError, match="no room for 2 functions on 1 GPU: "):
        experiment(functions(["sleep-1", "sleep-2"]), [(0.0, 0)], "static")
    served = functions(["sleep-1", "sleep-2"], 600_000)  # each needs more than half of the memory that is found there
    made = experiment(served, [(0.0, 0)], "fractional", device="cuda:0", mode="green", limit_bytes=1_000_000)
    made._devices = ["cpu"]
    with pytest.raises(ScenarioError, match="no room for 2 functions on 1 GPU: "):
        made.run(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()
    assert not workers_of(os.getpid())


def test_workers_side_by_side_run_at_once(tmp_path, beside, meeting):
    run = replay(tmp_path / "run", functions(["meet-a", "meet-b"]), [(0.0, 0), (0.0, 1)], "beside")
    rows = run.table("invocations")
    assert (rows.status == "completed").all(), rows.reason
    assert rows.worker.nunique() == 2
    assert set(rows.device) == {0}
    assert rows.started_at_s.max() < rows.completed_at_s.min(), "one waited for the other"
    assert (run.table("workers").ready_at_s == 0).all()


class MeetsAgain(TellingExecutor):
    """After a death, its worker gets ready while another runs, or never."""

    def register(self, function, graph, fresh_inputs):
        if graph.name == "die" and any(t["function"] == function for t in told(Path(os.environ["TOLD"]))):
            meet()
        super().register(function, graph, fresh_inputs)


def test_a_worker_that_dies_is_restarted_beside_the_others(tmp_path, beside, telling, meeting):
    served = functions(["die", "meet", "refuse"])
    arrivals = [(0.0, 0), (0.001, 0), *((0.02 * i, 1) for i in range(1, 5)), (0.1, 2)]
    run = replay(tmp_path / "run", served, arrivals, "beside", executor=f"{__name__}:MeetsAgain")
    rows = run.table("invocations")
    dead, alive = rows[rows.function == 0], rows[rows.function == 1]
    assert set(dead.reason) == {"its worker was killed by SIGKILL"}, "the second needs a second process"
    assert (alive.status == "completed").all(), "the others waited for the restart"
    pids = {function: {t["pid"] for t in told(telling) if t["function"] == function} for function in range(3)}
    assert len(pids[0]) >= 2
    assert [len(pids[1]), len(pids[2])] == [1, 1], "a worker that was alive was restarted"
    assert len(run.table("workers")) == 3
    assert {lost["worker"] for lost in run.manifest["lost_workers"]} == {0}


def test_all_workers_of_a_device_may_die_at_once(tmp_path, beside):
    served = functions(["die", "die", "die", "sleep-5"])
    run = replay(tmp_path / "run", served, [(0.0, i) for i in range(4)] + [(0.001, 3)], "beside")
    assert run.summary["failed"] == 3
    assert run.summary["completed"] == 2
    assert sorted(lost["worker"] for lost in run.manifest["lost_workers"]) == [0, 1, 2]


def test_workers_of_a_device_divide_its_memory_as_they_need_it(tmp_path, beside, telling):
    large, small = functions(["sleep-1"], 600_000)[0], functions(["sleep-2"], 100_000)[0]
    served = [large, Function(1, "f1", small.graph)]
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.0, 1)], "beside", executor=TELLING, limit_bytes=1_000_000)
    limits_bytes = {t["function"]: t["limit_bytes"] for t in told(telling)}
    assert sum(limits_bytes.values()) <= 1_000_000
    assert limits_bytes[0] == pytest.approx(6 * limits_bytes[1], rel=0.01)
    assert run.manifest["replay"]["standing"] == [
        {**Standing(0, i)._asdict(), "limit_bytes": limits_bytes[i], "multiprocessors": None} for i in range(2)
    ]


def test_workers_that_do_not_fit_on_a_device_are_refused_before_anything_is_written(tmp_path, beside):
    made = experiment(functions(["sleep-1", "sleep-2"], 600_000), [(0.0, 0)], "beside", limit_bytes=1_000_000)
    message = "^device 0: the buffers of its 2 workers need 1,200,128 B, which don't fit into 1,000,000 B of memory: a "
    with pytest.raises(ReplayError, match=message):
        made.run(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()
    assert not workers_of(os.getpid())


class Needs:
    """Costs of functions that need the bytes given."""

    def __init__(self, *needs_bytes):
        self.memory_bytes = needs_bytes.__getitem__


def test_every_process_on_a_gpu_has_room_for_its_context():
    served = functions(["sleep-1"] * 4)
    free_bytes = 10 * CONTEXT_BYTES
    facts = {"pci": [0, 1, 0], "limit_bytes": int(0.9 * free_bytes), "free_bytes": free_bytes}
    asked = []

    def rehearse(device, share, limit_bytes):
        asked.append((device, share, limit_bytes))
        return {"capacity_bytes": limit_bytes, "usable_multiprocessors": 32}

    standing = [Standing(0, i, 0.25) for i in range(4)]
    seats = assign_seats(standing, served, Needs(1, 1, 1, 3), [facts], rehearse)
    room_bytes = free_bytes - 3 * CONTEXT_BYTES  # one context was there when free memory was looked at
    assert seats == [Seat(room_bytes * need // 6, 32) for need in (1, 1, 1, 3)]
    assert asked[0] == (0, 0.25, seats[0].limit_bytes)
    alone = assign_seats(standing[:1], served, Needs(1), [facts], rehearse)
    assert alone == [Seat(facts["limit_bytes"], 32)]
    assert asked[-1][1] == 0.25, "a share is to be tried even without others"


def test_the_functions_of_the_tests_for_a_gpu_fit_on_it_side_by_side():
    served = products(4)
    pattern = {"limit_bytes": LIMIT_BYTES, "free_bytes": 40 << 30, "pci": [0, 1, 0]}

    def rehearse(device, share, limit_bytes):
        executor = Executor(open_device("cpu"), memory_limit_bytes=limit_bytes)
        return {"capacity_bytes": executor.capacity_bytes, "usable_multiprocessors": 32}

    costs = CostModel(adapt(load_calibration("v100-kaas"), "GPU", LIMIT_BYTES), served, WorkerKind.EXCLUSIVE)
    seats = assign_seats([Standing(0, i, 0.25) for i in range(4)], served, costs, [pattern], rehearse)
    assert [seat.limit_bytes for seat in seats] == [LIMIT_BYTES // 4] * 4


class Halves(Beside):
    """Two workers a device, with a half of it each."""

    name = "halves"

    def _thread_share(self, n_workers):
        return 0.5


def test_workers_under_mps_have_their_percentage_in_their_environment(tmp_path, beside, telling, monkeypatch):
    monkeypatch.delenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", raising=False)
    made = experiment(functions(["die", "sleep-2"]), [(0.0, 0), (0.0, 1), (0.01, 0)], "beside", executor=TELLING)
    made.policy, made.mode = Halves(), "fractional"  # past the check that there is MPS
    made.run(tmp_path / "run", force=False)
    assert Counter(t["cap"] for t in told(telling)).keys() == {"50"}, "restarted ones, too"
    assert len({t["pid"] for t in told(telling)}) >= 3
    assert "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE" not in os.environ


def test_whole_workers_have_no_percentage(tmp_path, beside, telling, monkeypatch):
    monkeypatch.delenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", raising=False)
    replay(tmp_path / "run", functions(["sleep-1", "sleep-2"]), [(0.0, 0)], "beside", executor=TELLING)
    assert {t["cap"] for t in told(telling)} == {None}


def test_shares_are_refused_in_a_mode_that_has_none(tmp_path, beside):
    made = experiment(functions(["sleep-1", "sleep-2"]), [(0.0, 0)], "beside")
    made.policy = Halves()
    message = r"^halves begins with workers of the mode 'fractional' or 'green', which the mode 'static' can't have$"
    with pytest.raises(ReplayError, match=message):
        made.run(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()
