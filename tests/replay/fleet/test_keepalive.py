"""The keep-alive policy of the simulator in a replay: warm workers, expiry by its timer, and eviction."""

from __future__ import annotations

from replay.calibration.validate import check_log
from sim.protocol import Stop, Woke, WorkerStopped
from sim.records.decisions import FILE_NAME, read_decisions
from tests.replay.worlds import functions, replay

SERVED = functions(["sleep-1", "sleep-2", "sleep-3"], 300_000)
FITS = 900_000  # two of them, with what their executors need to move buffers, but not three
LONG_S = 6.0  # in which a worker starts on any machine that can run these tests


def replayed(directory, arrivals, ttl_s):
    """(run, log) of a replay, of which a fresh policy thinks the same."""
    run = replay(directory, SERVED, arrivals, f"keepalive[ttl={ttl_s}]", limit_bytes=FITS)
    assert run.manifest["replay"]["mode"] == "shared"
    assert run.manifest["valid"], run.manifest["reasons"]
    log = list(read_decisions(directory / FILE_NAME))
    assert check_log(run, SERVED) == len(log)
    return run, log


def test_a_warm_worker_is_used_again_until_another_function_needs_its_memory(tmp_path):
    arrivals = [(0.0, 0), (LONG_S, 0), (LONG_S, 1), (2 * LONG_S, 2)]
    run, log = replayed(tmp_path / "run", arrivals, 600)
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert rows.cold.tolist() == [True, False, True, True]
    assert rows.worker.tolist() == [0, 0, 1, 2]
    assert [event for _, event, _ in log if isinstance(event, WorkerStopped)] == [WorkerStopped(0)]
    workers = run.table("workers").set_index("worker").sort_index()
    assert workers.kill_release_s[2] > 0, "it waited for that memory"
    assert not [event for _, event, _ in log if isinstance(event, Woke)], "nobody waits for ten minutes"


def test_a_timer_ends_a_worker_that_is_idle_for_too_long(tmp_path):
    run, log = replayed(tmp_path / "run", [(0.0, 0), (LONG_S, 0)], 0.2)
    rows, workers = run.table("invocations"), run.table("workers").set_index("worker").sort_index()
    assert rows.cold.all()
    assert workers.stopped_at_s[0] >= rows.set_index("worker").completed_at_s[0] + 0.2
    assert [actions for _, event, actions in log if isinstance(event, Woke)] == [[Stop(0)]]
