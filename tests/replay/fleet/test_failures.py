"""What happens when something dies."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.errors import KernelError, ReplayError
from replay.fleet.driver import _hurry
from sim.domain import Function
from sim.models.workloads.catalogue import load_catalogue
from sim.policies.balance import Balance
from sim.records.results import open_run
from tests.replay.worlds import experiment, functions, replay, wait_until, workers_of


@pytest.mark.parametrize("policy", ["balance", "exclusive"])
def test_a_killed_worker_fails_its_invocation_and_serves_the_others(tmp_path, policy):
    served = functions(["die", "sleep-5"])
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.001, 1), (0.002, 1)], policy)
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.status.tolist() == ["failed", "completed", "completed"]
    assert rows.reason[0] == "its worker was killed by SIGKILL"
    assert not run.manifest["valid"]
    (reason,) = run.manifest["reasons"]
    assert re.fullmatch(r"1 worker was lost: worker 0 of device 0 was killed by SIGKILL after [0-9.e-]+ s", reason)


def test_a_hung_worker_fails_its_invocation_and_is_replaced(tmp_path):
    """The patience is longer than any start of a worker takes, on a busy machine too."""
    served = functions(["stop", "sleep-5"])
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.001, 1), (0.002, 1)], patience_s=10.0)
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.status.tolist() == ["failed", "completed", "completed"]
    assert rows.reason[0] == "its worker was silent for 10 s"
    assert "worker 0 of device 0 was silent for 10 s" in run.manifest["reasons"][0]


def test_a_worker_with_a_queue_is_restarted_and_goes_on_with_it(tmp_path):
    served = functions(["die", "sleep-5"])
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.0, 1), (0.0, 1), (0.0, 0), (0.0, 1)], "least-loaded")
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.status.tolist() == ["failed", "completed", "completed", "failed", "completed"]
    assert len(run.table("workers")) == 1
    assert run.manifest["reasons"][0].startswith("2 workers were lost: worker 0 of device 0")
    assert run.manifest["n_lost_workers"] == 2
    assert [lost["how"] for lost in run.manifest["lost_workers"]] == ["was killed by SIGKILL"] * 2


def test_a_fault_of_a_kernel_is_named(tmp_path):
    served = functions(["fault", "sleep-5"])
    run = replay(tmp_path / "run", served, [(0.0, 0), (0.0, 1)], "least-loaded")
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.status.tolist() == ["failed", "completed"]
    assert rows.reason[0] == "kernel nn.broken failed"


def test_an_invocation_can_fail_alone(tmp_path):
    run = replay(tmp_path / "run", functions(["refuse", "sleep-5"]), [(0.0, 1), (0.0, 0), (0.0, 1)])
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.reason.tolist() == ["", "not today", ""]
    assert rows.constant_bytes.tolist() == [4096, 0, 0], "the worker was restarted"
    assert run.manifest["valid"]
    assert run.manifest["lost_workers"] == []


def test_a_worker_that_never_gets_ready_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("STARTS_ONCE", str(tmp_path / "started"))
    made = experiment(functions(["sleep-5"]), [(0.0, 0)], executor=f"{__name__}:StartsOnce")
    summary = made.run(tmp_path / "run", force=False)
    assert not summary["valid"]
    assert "ended 3 times before it was ready" in summary["reasons"][-1]
    assert (tmp_path / "run" / "workers.log").read_text() == "no second start\n" * 3
    assert not workers_of(os.getpid())


class StartsOnce:
    """An executor that only the preparing process can make."""

    def __init__(self, device, *, memory_limit_bytes, fill=None):
        try:
            Path(os.environ["STARTS_ONCE"]).touch(exist_ok=False)
        except FileExistsError:
            print("no second start", file=sys.stderr, flush=True)
            os._exit(3)
        self.capacity_bytes = memory_limit_bytes


SCRIPT = """
import signal
from pathlib import Path
import sim.policies
from tests.replay.worlds import Beside, experiment, functions
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs tests in the background ignores it
sim.policies._POLICIES["beside"] = Beside
arrivals = [(0.01 * i, i % 2) for i in range(30_000)]  # more than can be served, until somebody ends it
made = experiment(functions(["sleep-50", "sleep-51"]), arrivals, {policy!r}, gpus={gpus})
directory = Path({directory!r})
begun = directory.with_name("begun")
print(made.run(directory, force=False, progress=lambda n: begun.touch())["reasons"], flush=True)
"""


def _begin(directory, policy, gpus=1):
    """A driver in a process of its own, in the middle of its run."""
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(policy=policy, directory=str(directory), gpus=gpus)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: directory.with_name("begun").exists() and workers_of(driver.pid))
    time.sleep(0.3)
    return driver


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("policy", "gpus"), [("balance", 1), ("exclusive", 1), ("static", 2), ("beside", 1)])
def test_an_interrupted_run_leaves_a_whole_directory_and_nothing_else(tmp_path, policy, gpus, number):
    driver = _begin(tmp_path / "run", policy, gpus)
    os.killpg(driver.pid, number)  # as Ctrl-C and batch systems do: to the workers too
    said, _ = driver.communicate(timeout=600)
    assert "interrupted after" in said
    run = open_run(tmp_path / "run")
    assert not run.manifest["valid"]
    rows = run.table("invocations")
    assert set(rows.status) <= {"completed", "unfinished"}
    assert run.summary["unfinished"] > 0
    assert not workers_of(driver.pid)


@pytest.mark.parametrize("policy", ["balance", "exclusive", "beside"])
def test_no_worker_outlives_a_killed_driver(tmp_path, policy):
    driver = _begin(tmp_path / "run", policy)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not workers_of(driver.pid))
    assert not (tmp_path / "run").exists()
    made = experiment(functions(["sleep-5"]), [(0.0, 0)])
    made.run(tmp_path / "run", force=False)
    assert not [file for file in os.listdir(tmp_path) if file.startswith(".")], "what was left is cleared away"


class SlowBalance(Balance):
    """A policy that thinks for too long."""

    def on_event(self, now_s, event, view):
        time.sleep(0.02)
        return super().on_event(now_s, event, view)


def test_a_run_with_late_arrivals_is_invalid(tmp_path, monkeypatch):
    monkeypatch.setattr("replay.run.LATE_S", 0.005)
    made = experiment(functions(["sleep-1"]), [(0.001 * i, 0) for i in range(20)])
    made.policy = SlowBalance()
    summary = made.run(tmp_path / "run", force=False)
    assert not summary["valid"]
    assert "arrivals were issued more than 5 ms late" in summary["reasons"][0]
    assert summary["completed"] == 20
    assert summary["lateness_s"]["max"] > 0.1
    assert open_run(tmp_path / "run").table("invocations").queued_at_s.max() > 0.1


def test_graphs_without_kernels_for_a_device_are_refused_before_their_data_are_made():
    entry = load_catalogue("kaas-authors")["resnet50"]
    with pytest.raises(KernelError, match=r"^graph 'resnet50': kernel source 'resnet50-tvm' doesn't exist"):
        experiment([Function(0, "f0", entry.graph)], [(0.0, 0)])


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    made = experiment(functions(["sleep-1"]), [(0.0, 0)])
    made._setup = made._setup.__class__("cuda:7", None, 1 << 20, made._setup.executor)
    made._devices = ["cuda:7"]
    with pytest.raises(ReplayError, match="cpu"):
        made.run(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("policy", ["exclusive", "least-loaded"])
def test_a_run_ends_when_the_memory_of_a_dead_worker_cannot_be_watched(tmp_path, monkeypatch, policy):
    """The driver of a GPU may answer with an error once, whenever it is asked."""

    def refuse():
        raise OSError("NVML fails with status 15")

    monkeypatch.setattr("replay.run.release_of", lambda facts, n: refuse)
    made = experiment(functions(["die", "sleep-5"]), [(0.0, 0), (0.001, 1)], policy)
    summary = made.run(tmp_path / "run", force=False)
    assert not summary["valid"]
    said = "device 0: whether the memory of worker 0 is free can't be told (NVML fails with status 15)"
    assert said in summary["reasons"][-1]
    assert not workers_of(os.getpid())


def test_a_system_may_refuse_precedence_in_any_way(monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with _hurry() as is_realtime:
        assert not is_realtime
