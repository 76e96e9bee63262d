"""Orders that no built-in policy gives: the fleet carries them out as the simulator does."""

from __future__ import annotations

from sim.domain import WorkerKind
from sim.policies.base import BasePolicy
from sim.protocol import ANY_DEVICE, Arrival, Finished, Reject, Run, Start, Stop, WorkerReady, WorkerStopped
from sim.records.decisions import FILE_NAME, read_decisions
from sim.records.results import open_run
from tests.replay.worlds import check_run, experiment, functions


class Script(BasePolicy):
    """Answers the n-th event with what the script says."""

    name = "script"
    kind = WorkerKind.EXCLUSIVE

    def __init__(self, *answers):
        self._answers = list(answers)

    def describe(self):
        return "script"

    def reset(self, *_):
        pass

    def on_event(self, now_s, event, view):
        return self._answers.pop(0) if self._answers else ()


def scripted(directory, arrivals, *answers, graphs=("sleep-5",), gpus=1):
    """(run, events) of a replay under a script."""
    made = experiment(functions(graphs), arrivals, "exclusive", gpus=gpus)
    made.policy = Script(*answers)
    made.run(directory, force=False)
    run = open_run(directory)
    check_run(run)
    assert run.manifest["valid"], run.manifest["reasons"]
    return run, [event for _, event, _ in read_decisions(directory / FILE_NAME)]


def test_a_stopped_worker_finishes_what_it_was_given(tmp_path):
    work = (Start(0, 0, 0), Run(0, 0), Run(1, 0), Run(2, 0), Run(3, 0), Stop(0))
    run, events = scripted(tmp_path / "run", [(0.0, 0)] * 4, (), (), (), work)
    assert events[4:] == [WorkerReady(0, 0), *(Finished(i, 0) for i in range(4)), WorkerStopped(0)]
    assert run.table("invocations").cold.all()


def test_a_start_on_an_occupied_device_waits(tmp_path):
    first = (Start(0, 0, 0), Run(0, 0), Start(1, 0, 1), Run(1, 1), Stop(0))
    run, events = scripted(tmp_path / "run", [(0.0, 0), (0.0, 1)], (), first, graphs=("sleep-5", "sleep-6"))
    assert events[2:] == [WorkerReady(0, 0), Finished(0, 0), WorkerStopped(0), WorkerReady(1, 0), Finished(1, 1)]
    workers = run.table("workers").set_index("worker")
    assert workers.kill_release_s[1] > 0


def test_a_start_on_any_device_takes_the_first_that_is_free(tmp_path):
    starts = [(Start(i, ANY_DEVICE, 0), Run(i, i), Stop(i)) for i in range(3)]
    starts[0] = starts[0][:2]  # this one stays
    run, events = scripted(tmp_path / "run", [(0.0, 0)] * 3, *starts, gpus=2)
    assert run.table("workers").sort_values("worker").device.tolist() == [0, 1, 1]
    told = {event.worker: event.device for event in events if isinstance(event, WorkerReady)}
    assert told == {0: 0, 1: 1, 2: 1}


def test_a_worker_that_is_stopped_while_it_waits_never_starts(tmp_path):
    first = (Start(0, 0, 0), Start(1, 0, 0), Stop(1))
    run, events = scripted(tmp_path / "run", [(0.0, 0)], first, (), (Run(0, 0),))
    assert events == [Arrival(0, 0), WorkerStopped(1), WorkerReady(0, 0), Finished(0, 0)]
    assert run.table("workers").set_index("worker").ready_at_s.isna().tolist() == [False, True]


def test_a_worker_that_is_stopped_as_it_starts_gets_ready_first(tmp_path):
    run, events = scripted(tmp_path / "run", [(0.0, 0)], (Start(0, 0, 0), Stop(0), Reject(0, "no use")))
    assert events == [Arrival(0, 0), WorkerReady(0, 0), WorkerStopped(0)]
    assert run.table("invocations").reason.tolist() == ["no use"]


def test_a_stopping_worker_that_dies_is_restarted_only_for_what_it_still_has(tmp_path):
    work = (Start(0, 0, 0), Start(1, 1, 1), Run(0, 0), Run(1, 0), Run(2, 1), Stop(0), Stop(1))
    run, events = scripted(
        tmp_path / "run", [(0.0, 0), (0.0, 0), (0.0, 1)], (), (), work, graphs=("die", "sleep-5"), gpus=2
    )
    assert [e for e in events if isinstance(e, Finished) and not e.ok] == [Finished(0, 0, False), Finished(1, 0, False)]
    assert run.summary["failed"] == 2
    assert run.summary["completed"] == 1


def test_an_impossible_order_ends_the_run(tmp_path):
    made = experiment(functions(["sleep-5"]), [(0.0, 0), (0.0, 0)], "exclusive")
    made.policy = Script((Start(0, 0, 0),), (Run(0, 7),))
    summary = made.run(tmp_path / "run", force=False)
    assert not summary["valid"]
    assert "there is no worker 7" in summary["reasons"][1]
    assert summary["unfinished"] == 2
