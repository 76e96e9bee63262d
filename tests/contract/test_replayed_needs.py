"""What policies may need beyond whole workers, in the replayed world: timers, parts of memory, executors, deadlines."""

from __future__ import annotations

import json
import os
from math import inf

import pytest

from replay.fleet.seats import CONTEXT_BYTES
from sim.dispatcher import Dispatcher
from sim.domain import DeviceSpec, FleetSpec, WorkerKind
from sim.protocol import (
    ANY_DEVICE,
    EVERY_FUNCTION,
    Arrival,
    Finished,
    Need,
    Outcome,
    Run,
    Standing,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from sim.records.decisions import FILE_NAME, check_decisions, read_decisions
from sim.records.results import open_run
from sim.streams import Stream, generator
from tests.contract.policies import Script
from tests.contract.scripted import FixedCosts
from tests.replay.fake_executor import PATH, TELLING
from tests.replay.worlds import check_run, experiment, follow, functions, workers_of

MIB = 1 << 20


class Device:
    """A device for replays: its name, and the memory of a process in which an executor has ``of_executor``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def process(self, of_executor: int) -> int:
        return of_executor + (CONTEXT_BYTES if self.name.startswith("cuda:") else 0)


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request):
    if request.param != "cpu":
        cuda = pytest.importorskip("cupy.cuda")
        try:
            cuda.runtime.getDeviceCount()
        except RuntimeError as error:
            pytest.skip(f"no GPU: {error}")
    return Device(request.param)


@pytest.fixture
def meeting(tmp_path, monkeypatch):
    """Gives workers a place to meet."""
    place = tmp_path / "meeting"
    place.mkdir()
    monkeypatch.setenv("MEETING", str(place))


def script(answers, needs, *, workers=(WorkerKind.EXCLUSIVE,), standing=()):
    """A policy of written answers that names what it needs."""
    policy = Script(answers, standing)
    policy.needs, policy.workers = frozenset(needs), workers
    return policy


def carry_out(directory, policy, graphs, arrivals, device="cpu", *, limit_bytes=MIB, executor=PATH, valid=True):
    """(run, log) of a replay of (instant, function), of which a fresh policy must think the same."""
    served = functions(graphs)
    made = experiment(served, arrivals, "exclusive", device=device, limit_bytes=limit_bytes, executor=executor)
    follow(made, policy)
    made.run(directory, force=False)
    run = open_run(directory)
    assert not workers_of(os.getpid()), "a worker is left"
    log = list(read_decisions(directory / FILE_NAME))
    assert run.manifest["valid"] is valid, run.manifest["reasons"]
    if valid:
        check_run(run)
        facts = run.manifest["replay"]["device"]
        spec = FleetSpec(DeviceSpec(facts["name"], facts["limit_bytes"]), 1)
        fresh = Dispatcher(policy, spec, served, FixedCosts([1.0] * len(served)), generator(0, Stream.POLICY))
        assert check_decisions(log, fresh) == len(log)
    return run, log


def told(log):
    return [event for _, event, _ in log]


def test_timers_ring_at_their_instants_and_in_their_order(tmp_path):
    """One that is set anew rings then; one that was taken back never does; one for an instant that is over at once."""
    at_s = {"anew": 0.05, "served": 0.1, "past": 0.0}
    wakes = [Wake("anew", 60.0), Wake("served", 0.1), Wake("anew", 0.05), Wake("never", 0.08), Wake("never", inf)]
    answers = [(Arrival(0, 0), [*wakes, Wake("past", -1.0)]), (Woke("served"), [Run(0, 0)])]
    policy = script(answers, {Need.TIMERS}, standing=[Standing(0, 0)])
    _, log = carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0)])
    assert told(log) == [Arrival(0, 0), Woke("past"), Woke("anew"), Woke("served"), Finished(0, 0)]
    assert all(now_s >= at_s[event.tag] for now_s, event, _ in log if isinstance(event, Woke))


def test_of_one_instant_the_timers_ring_as_they_were_set_and_after_the_arrivals(tmp_path):
    wakes = [Wake("b", 0.05), Wake("a", 0.06), Wake("c", 0.06), Wake("b", 0.06)]
    answers = [(Arrival(0, 0), wakes), (Woke("b"), [Run(0, 0), Run(1, 0), Run(2, 0)])]
    policy = script(answers, {Need.TIMERS}, standing=[Standing(0, 0)])
    _, log = carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0), (0.06, 0), (0.06, 0)])
    assert told(log)[:6] == [Arrival(0, 0), Arrival(1, 0), Arrival(2, 0), Woke("a"), Woke("c"), Woke("b")]


def test_nobody_waits_for_a_timer_that_no_invocation_waits_for(tmp_path):
    answers = [(Arrival(0, 0), [Wake("far", 3600.0), Run(0, 0)])]
    policy = script(answers, {Need.TIMERS}, standing=[Standing(0, 0)])
    run, log = carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0)])
    assert told(log) == [Arrival(0, 0), Finished(0, 0)]
    assert run.summary["simulated_s"] < 3600


def test_what_waits_for_nothing_does_not_make_a_run_wait(tmp_path):
    """Neither an invocation that nobody runs, nor a worker in line for a device that nobody leaves, with its work."""
    answers = [(Arrival(0, 0), [Start(1, 0, 0), Run(0, 1)])]
    policy = script(answers, (), standing=[Standing(0, 0)])
    run, _ = carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0), (0.0, 0)], valid=False)
    assert run.manifest["reasons"] == ["the policy left 2 invocations waiting for ever"]
    assert (run.table("invocations").status == "unfinished").all()


def test_workers_with_parts_of_memory_run_at_once_and_the_next_waits_for_room(tmp_path, device, meeting):
    part = device.process(4 * MIB)
    starts = [Start(i, where, i, memory_bytes=part) for i, where in enumerate([0, ANY_DEVICE, ANY_DEVICE])]
    runs = [Run(i, i) for i in range(3)]
    answers = [(Arrival(2, 2), [*starts, *runs]), (Finished(0, 0), [Stop(0)])]
    graphs, arrivals = ["meet-a", "meet-b", "sleep-1"], [(0.0, i) for i in range(3)]
    policy = script(answers, {Need.SHARED_DEVICES})
    limit_bytes = 3 * part - MIB
    run, log = carry_out(tmp_path / "run", policy, graphs, arrivals, device.name, limit_bytes=limit_bytes)
    assert run.manifest["replay"]["mode"] == "shared"
    events = told(log)
    assert {type(event) for event in events[3:7]} == {WorkerReady, Finished}
    assert [event for event in events[3:] if event.worker == 2] == [WorkerReady(2, 0), Finished(2, 2)]
    assert events.index(WorkerStopped(0)) < events.index(WorkerReady(2, 0)), "there was no room before"
    rows = run.table("invocations").set_index("worker").sort_index()
    assert rows.started_at_s[:2].max() < rows.completed_at_s[:2].min(), "one waited for the other"
    workers = run.table("workers").set_index("worker").sort_index()
    assert (workers.kill_release_s > 0).tolist() == [False, False, True]
    assert (workers.process_s > 0).all()


def test_an_executor_of_a_part_has_what_a_context_leaves(tmp_path, device, monkeypatch):
    file = tmp_path / "told"
    file.touch()
    monkeypatch.setenv("TOLD", str(file))
    work = [Start(0, 0, 0, memory_bytes=device.process(5 * MIB)), Run(0, 0)]
    policy = script([(Arrival(0, 0), work)], {Need.SHARED_DEVICES})
    limit_bytes = device.process(10 * MIB)
    carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0)], device.name, limit_bytes=limit_bytes, executor=TELLING)
    assert [json.loads(line)["limit_bytes"] for line in file.read_text().splitlines()] == [5 * MIB]


def test_standing_workers_may_have_parts(tmp_path, meeting):
    standing = [Standing(0, i, memory_bytes=MIB) for i in range(2)]
    answers = [(Arrival(i, i), [Run(i, i)]) for i in range(2)]
    policy = script(answers, {Need.SHARED_DEVICES}, standing=standing)
    run, _ = carry_out(tmp_path / "run", policy, ["meet-a", "meet-b"], [(0.0, 0), (0.0, 1)], limit_bytes=2 * MIB)
    assert run.summary["completed"] == 2
    assert [seat["limit_bytes"] for seat in run.manifest["replay"]["standing"]] == [MIB, MIB]


@pytest.mark.parametrize("under_mps", [False, True])
def test_the_manifest_says_how_workers_share_a_device(tmp_path, monkeypatch, under_mps):
    """Under MPS their shares are caps."""
    file = tmp_path / "told"
    file.touch()
    monkeypatch.setenv("TOLD", str(file))
    share = 0.5 if under_mps else 1.0
    work = [Start(0, 0, 0, share, memory_bytes=MIB // 2), Run(0, 0)]
    made = experiment(functions(["sleep-1"]), [(0.0, 0)], "exclusive", executor=TELLING)
    follow(made, script([(Arrival(0, 0), work)], {Need.SHARED_DEVICES}))
    made._under_mps = under_mps  # there is no daemon on a CPU
    made.run(tmp_path / "run", force=False)
    run = open_run(tmp_path / "run")
    assert run.summary["completed"] == 1
    assert run.manifest["scenario"]["fleet"]["sharing"] == ("mps" if under_mps else "slices")
    assert [json.loads(line)["cap"] for line in file.read_text().splitlines()] == [f"{100 * share:g}"]


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (Start(0, 0, 0, memory_bytes=100), "a worker of what it serves takes 4,"),
        (Start(0, 0, 0, 0.5, memory_bytes=MIB), "nothing holds a worker to a share of the multiprocessors here: "),
    ],
)
def test_what_this_machine_can_not_carry_out_is_refused_when_it_is_ordered(tmp_path, start, why):
    policy = script([(Arrival(0, 0), [start])], {Need.SHARED_DEVICES})
    run, _ = carry_out(tmp_path / "run", policy, ["sleep-1"], [(0.0, 0)], valid=False)
    assert run.manifest["reasons"] == ["the policy ordered something impossible"]
    assert f"ordered {start} at " in run.manifest["error"]
    assert f", refused: {why}" in run.manifest["error"]


def test_an_executor_that_is_started_serves_every_function_from_empty_memory(tmp_path, device):
    work = [Run(0, 0), Run(1, 0), Stop(0), Start(1, ANY_DEVICE), Run(2, 1)]
    policy = script([(Arrival(2, 0), [Start(0, 0), *work])], {Need.EXECUTORS}, workers=(WorkerKind.KAAS,))
    arrivals = [(0.0, 0), (0.0, 1), (0.0, 0)]
    run, log = carry_out(tmp_path / "run", policy, ["sleep-1", "sleep-2"], arrivals, device.name)
    assert told(log)[3:] == [
        WorkerReady(0, 0), Finished(0, 0), Finished(1, 0), WorkerStopped(0), WorkerReady(1, 0), Finished(2, 1),
    ]  # fmt: skip
    workers, rows = run.table("workers"), run.table("invocations")
    assert workers.kind.tolist() == ["kaas"] * 2
    assert workers.function.tolist() == [EVERY_FUNCTION] * 2
    assert (workers.h2d_bytes == 0).all(), "an executor that starts has no constants"
    assert (rows.constant_bytes > 0).all()
    assert rows.cold.all()


def test_executors_may_have_parts(tmp_path, meeting):
    starts = [Start(i, 0, memory_bytes=MIB) for i in range(2)]
    answers = [(Arrival(1, 1), [*starts, Run(0, 0), Run(1, 1)])]
    policy = script(answers, {Need.EXECUTORS, Need.SHARED_DEVICES}, workers=(WorkerKind.KAAS,))
    run, _ = carry_out(tmp_path / "run", policy, ["meet-a", "meet-b"], [(0.0, 0), (0.0, 1)], limit_bytes=2 * MIB)
    assert run.summary["completed"] == 2


def test_what_can_not_begin_in_time_waits_again(tmp_path, device):
    late = Finished(1, 0, Outcome.LATE)
    answers = [(Arrival(1, 0), [Run(0, 0, latest_s=60.0), Run(1, 0, latest_s=0.1)]), (late, [Run(1, 0)])]
    policy = script(answers, {Need.LATEST}, standing=[Standing(0, 0)])
    run, log = carry_out(tmp_path / "run", policy, ["sleep-200"], [(0.0, 0), (0.01, 0)], device.name)
    assert told(log)[2:] == [Finished(0, 0), late, Finished(1, 0)]
    assert run.summary["completed"] == 2


def test_a_worker_with_a_part_that_dies_is_restarted_beside_the_others(tmp_path):
    work = [Start(i, 0, i, memory_bytes=MIB) for i in range(2)]
    answers = [(Arrival(2, 1), [*work, Run(0, 0), Run(1, 0), Run(2, 1)])]
    policy = script(answers, {Need.SHARED_DEVICES})
    served, arrivals = functions(["die", "sleep-1"]), [(0.0, 0), (0.0, 0), (0.0, 1)]
    made = experiment(served, arrivals, "exclusive", limit_bytes=2 * MIB)
    follow(made, policy)
    made.run(tmp_path / "run", force=False)
    rows = open_run(tmp_path / "run").table("invocations").set_index("invocation").sort_index()
    assert rows.status.tolist() == ["failed", "failed", "completed"]
    ended = [e for _, e, _ in read_decisions(tmp_path / "run" / FILE_NAME) if isinstance(e, Finished)]
    assert {e.invocation: e.outcome for e in ended} == {0: Outcome.FAILED, 1: Outcome.FAILED, 2: Outcome.OK}
