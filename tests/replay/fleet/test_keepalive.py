"""The keep-alive policy of the simulator in a replay: warm workers, expiry by its timer, and eviction."""

from __future__ import annotations

import pytest

from replay.calibration.validate import check_log
from sim.protocol import Need, Stop, Wake, Woke, WorkerStopped
from sim.records.decisions import FILE_NAME, read_decisions
from tests.replay.worlds import functions, replay

pytest.importorskip("sim.policies.keepalive")

SERVED = functions(["sleep-1", "sleep-2", "sleep-3"], 300_000)
FITS = 1_000_000  # three of them don't


def replayed(directory, arrivals, ttl_s):
    """(run, log) of a replay, of which a fresh policy thinks the same."""
    run = replay(directory, SERVED, arrivals, f"keepalive[ttl={ttl_s}]", limit_bytes=FITS)
    assert run.manifest["replay"]["mode"] == "shared"
    assert run.manifest["valid"], run.manifest["reasons"]
    log = list(read_decisions(directory / FILE_NAME))
    assert check_log(run, SERVED) == len(log)
    return run, log


def test_a_warm_worker_is_used_again(tmp_path):
    run, log = replayed(tmp_path / "run", [(0.0, 0), (0.0, 1), (3.0, 0), (3.0, 1)], 600)
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.cold.tolist() == [True, True, False, False]
    assert rows.worker.nunique() == 2
    assert not [event for _, event, _ in log if isinstance(event, WorkerStopped)]
    assert any(isinstance(action, Wake) for _, _, actions in log for action in actions)


def test_a_timer_ends_a_worker_that_is_idle_for_too_long(tmp_path):
    """The second invocation comes long after that, and is a cold start."""
    run, log = replayed(tmp_path / "run", [(0.0, 0), (4.0, 0)], 0.2)
    rows, workers = run.table("invocations"), run.table("workers").set_index("worker").sort_index()
    assert rows.cold.all()
    ended_at_s = rows.set_index("worker").completed_at_s[0]
    assert workers.stopped_at_s[0] >= ended_at_s + 0.2
    woken = [actions for _, event, actions in log if isinstance(event, Woke)]
    assert [Stop(0)] in [[action for action in actions if isinstance(action, Stop)] for actions in woken]


def test_an_idle_worker_makes_room_for_another_function(tmp_path):
    run, log = replayed(tmp_path / "run", [(0.0, 0), (2.0, 1), (4.0, 2)], 600)
    assert run.summary["completed"] == 3
    workers = run.table("workers").set_index("worker").sort_index()
    assert workers.stopped_at_s.notna().tolist() == [True, False, False], "the longest idle was evicted"
    assert workers.kill_release_s[2] > 0, "it waited for that memory"


def test_what_it_needs_is_what_a_replay_carries():
    from sim.policies import make_policy

    assert make_policy("keepalive").needs == {Need.TIMERS, Need.SHARED_DEVICES}
