"""What only the replay shows of orders: what its tables say of them, and deaths; the rest is in tests/contract."""

from __future__ import annotations

from sim.protocol import Arrival, Finished, Outcome, Reject, Run, Start, Stop
from sim.records.decisions import FILE_NAME, read_decisions
from sim.records.results import open_run
from tests.contract.policies import Script
from tests.replay.worlds import check_run, experiment, functions


def replayed(directory, graphs, function, answers, gpus=1, n_lost=0):
    """(run, events) of a replay under a script, in which so many workers die; all arrivals come at once."""
    made = experiment(functions(graphs), [(0.0, f) for f in function], "exclusive", gpus=gpus)
    made.policy = Script(answers)
    made.run(directory, force=False)
    run = open_run(directory)
    check_run(run)
    assert run.manifest["n_lost_workers"] == n_lost
    assert run.manifest["valid"] is (n_lost == 0), run.manifest["reasons"]
    return run, [event for _, event, _ in read_decisions(directory / FILE_NAME)]


def test_tables_tell_what_became_of_orders(tmp_path):
    """A worker that starts cold, one that has to wait for its end, one that never starts, and what is turned away."""
    work = [Start(0, 0, 0), Run(0, 0), Start(1, 0, 1), Run(1, 1), Start(2, 0, 0), Stop(2), Stop(0)]
    answers = [(Arrival(1, 1), work), (Arrival(2, 0), [Reject(2, "no use")])]
    run, _ = replayed(tmp_path / "run", ["sleep-5", "sleep-6"], [0, 1, 0], answers)
    rows, workers = (run.table(name).set_index(name[:-1]).sort_index() for name in ("invocations", "workers"))
    assert rows.status.tolist() == ["completed", "completed", "rejected"]
    assert rows.cold.tolist()[:2] == [True, True]
    assert rows.reason[2] == "no use"
    assert workers.ready_at_s.isna().tolist() == [False, False, True]
    assert workers.stopped_at_s.isna().tolist() == [False, True, False]
    assert (workers.kill_release_s[0], workers.kill_release_s[1] > 0) == (0, True)


def test_a_stopping_worker_that_dies_is_restarted_only_for_what_it_still_has(tmp_path):
    work = [Start(0, 0, 0), Start(1, 1, 1), Run(0, 0), Run(1, 0), Run(2, 1), Stop(0), Stop(1)]
    run, events = replayed(tmp_path / "run", ["die", "sleep-5"], [0, 0, 1], [(Arrival(2, 1), work)], 2, n_lost=2)
    failed = [e for e in events if isinstance(e, Finished) and e.outcome == Outcome.FAILED]
    assert failed == [Finished(0, 0, Outcome.FAILED), Finished(1, 0, Outcome.FAILED)]
    assert run.summary["failed"] == 2
    assert run.summary["completed"] == 1
