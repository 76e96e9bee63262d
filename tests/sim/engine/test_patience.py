"""Clients who leave and ask again, and deadlines: by hand, and against theory."""

from __future__ import annotations

from math import exp, inf

import numpy as np
import pytest

from sim.models.clients import ClientSettings
from sim.models.deadlines import read_slo
from sim.models.failures import Failure
from sim.policies import known, make_policy
from sim.protocol import Arrival, Finished, Outcome, Reject
from tests.sim.engine.test_failing import AT_ONCE, EVERYTHING, SLOWLY, Scripted, arrivals, check_log, logged, told
from tests.statistics.test_queueing import assert_mean
from tests.support import ELASTIC, V100, ListTrace, own, poisson, simulate


def by_number(run):
    return run.table("invocations").sort_values("invocation").reset_index(drop=True)


# Clients


def test_a_client_leaves_when_it_has_waited_too_long_and_one_that_runs_is_waited_for(tmp_path):
    """Of three at once, of 5 s each, the second waits for just as long as it would, and the third leaves."""
    run, log = logged(arrivals(3, 0.0, 5.0), make_policy("balance"), tmp_path, clients=ClientSettings(5.0))
    rows = by_number(run)
    assert list(rows.status) == ["completed", "completed", "failed"]
    assert list(rows.completed_at_s) == [5.0, 10.0, 5.0]
    assert rows.reason[2] == "its client left"
    assert rows.device[2] == -1
    assert [event for _, event, _ in log][-2:] == [Finished(1, 0), Finished(2, 0, Outcome.FAILED)]
    assert told(log, Finished)[-1][0] == 10.0, "its request takes no time"


def test_a_client_asks_again_with_twice_the_pause_each_time(tmp_path):
    """The second comes at 0, leaves at 2, is back at 3, leaves at 5, is back at 7, and is served at 8."""
    workload = own(ListTrace([0.0, 0.0], [0, 0], [8.0, 1.0]))
    run, log = logged(workload, make_policy("balance"), tmp_path, clients=ClientSettings(2.0, retries=2, backoff_s=1.0))
    rows = by_number(run)
    assert list(rows.status) == ["completed", "completed"]
    assert list(rows.attempt) == [1, 3]
    assert list(rows.completed_at_s) == [8.0, 9.0]
    assert rows.arrival_at_s[1] == 0.0
    assert run.summary["retries"] == 2
    assert len(told(log, Arrival)) == 2, "its request was found where it was"


def test_a_request_that_was_found_without_its_client_is_a_new_one_later(tmp_path):
    """The second leaves at 2; its turn is at 3, and it is back at 6, behind the third, which runs until 12."""
    workload = own(ListTrace([0.0, 0.0, 2.5], [0, 0, 0], [3.0, 1.0, 9.0]))
    clients = ClientSettings(2.0, retries=3, backoff_s=4.0)
    run, log = logged(workload, make_policy("balance"), tmp_path, clients=clients)
    assert told(log, Arrival) == [
        (0.0, Arrival(0, 0)),
        (0.0, Arrival(1, 0)),
        (2.5, Arrival(2, 0)),
        (6.0, Arrival(1, 0)),
        (16.0, Arrival(1, 0)),
    ]
    assert told(log, Finished)[:3] == [
        (3.0, Finished(0, 0)), (3.0, Finished(1, 0, Outcome.FAILED)), (12.0, Finished(2, 0)),
    ]  # fmt: skip
    rows = by_number(run)
    assert list(rows.status) == ["completed"] * 3
    assert rows.attempt[1] == 3, "it left again at 8, and is back at 16"
    assert rows.queued_at_s[1] == 16.0
    assert rows.arrival_at_s[1] == 0.0


def test_who_gives_up_for_good_has_made_all_its_attempts(tmp_path):
    workload = own(ListTrace([0.0, 0.0], [0, 0], [100.0, 1.0]))
    run, _ = logged(workload, make_policy("balance"), tmp_path, clients=ClientSettings(1.0, retries=2, backoff_s=1.0))
    rows = by_number(run)
    assert (rows.status[1], rows.attempt[1], rows.completed_at_s[1]) == ("failed", 3, 1 + 1 + 1 + 2 + 1)


def test_what_is_rejected_when_its_client_has_left_has_failed(tmp_path):
    answers = [(Arrival(1, 0), [Reject(0, "too late")])]
    run, _ = logged(arrivals(2, 5.0, 1.0), Scripted(answers), tmp_path, clients=ClientSettings(2.0))
    rows = by_number(run)
    assert list(rows.status) == ["failed", "failed"]
    assert list(rows.completed_at_s) == [2.0, 7.0], "the second was never given to anybody"


def test_a_platform_tries_again_only_for_clients_that_are_there(tmp_path):
    """Both wait in the line of a worker that starts, which dies when one client is gone."""
    run, log = logged(
        arrivals(2, 0.5, 1.0), make_policy("exclusive"), tmp_path, calibration=SLOWLY, retries=1,
        failures=[Failure("worker", 0, at_s=0.9)], clients=ClientSettings(0.75),
    )  # fmt: skip
    rows = by_number(run)
    assert list(rows.status) == ["failed", "failed"]
    assert list(rows.completed_at_s) == [0.75, 1.25]
    assert list(rows.attempt) == [1, 1]
    assert told(log, Arrival) == [(0.0, Arrival(0, 0)), (0.5, Arrival(1, 0))]


@pytest.mark.parametrize("policy", ELASTIC)
def test_with_a_frontend_its_gate_opens_for_who_is_left(tmp_path, policy):
    """Too many for the gate of 256: those outside leave too, and nobody's place inside is lost."""
    workload = own(poisson(2_000, 50.0, "exponential", 3, 3))
    run, log = logged(
        workload, make_policy(policy), tmp_path, gpus=4, calibration=V100, clients=ClientSettings(20.0, 1, 2.0),
        failures=EVERYTHING, retries=1,
    )  # fmt: skip
    rows = by_number(run)
    assert len(rows) == 2_000
    assert not (rows.status == "unfinished").any()
    assert {"its client left"} <= set(rows.reason)
    check_log(log, retries=2)


def test_m_m_1_with_clients_of_fixed_patience(tmp_path):
    """Who leaves: Barrer, Queuing with Impatient Customers and Ordered Service, Oper. Res. 5, 1957, for M/M/1."""
    rate, patience_s, lost = 0.9, 3.0, []
    nobody = 1 / (
        1
        + rate * (1 - exp(-(1 - rate) * patience_s)) / (1 - rate)
        + rate * exp(-(1 - rate) * patience_s)
    )  # fmt: skip
    leaves = nobody * rate * exp(-(1 - rate) * patience_s)
    for seed in range(10):
        workload = own(poisson(10_000, rate, "exponential", seed))
        clients = ClientSettings(patience_s)
        run = simulate(workload, make_policy("balance"), tmp_path / str(seed), clients=clients, check=seed == 0)
        lost.append(run.summary["failed"] / 10_000)
    assert_mean(np.array(lost), leaves)


# Deadlines


def test_policies_are_told_the_deadline_and_rows_have_it(tmp_path):
    slo = read_slo("3x", None)
    run, log = logged(arrivals(3, 1.0, 2.5, 2), make_policy("balance"), tmp_path, slo=slo)
    mean_s = 1.0  # isolated latency of what lasts 1 s by its trace
    due = [event.due_at_s for _, event in told(log, Arrival)]
    rows = by_number(run)
    np.testing.assert_allclose(due, rows.arrival_at_s + 3 * mean_s)
    assert list(rows.due_at_s) == due
    kept = rows.completed_at_s <= rows.due_at_s
    assert list(kept) == [True, False, False]
    assert run.summary["slo_attainment_frac"] == pytest.approx(1 / 3)
    assert run.summary["goodput_per_s"] == pytest.approx(1 / rows.completed_at_s.max())


def test_without_an_objective_there_is_no_deadline(tmp_path):
    run, log = logged(arrivals(2, 1.0, 1.0), make_policy("balance"), tmp_path)
    assert all(event.due_at_s == inf for _, event in told(log, Arrival))
    rows = by_number(run)
    assert rows.due_at_s.isna().all()
    assert list(rows.batch) == list(rows.attempt) == [1, 1]
    assert run.summary["slo_attainment_frac"] is None
    assert run.summary["goodput_per_s"] is None


def test_what_never_ends_or_fails_counts_against_the_objective(tmp_path):
    """Four come, with 2 s each: in time, lost with its worker, left by its client, and a fifth function without."""
    file = tmp_path / "slo.csv"
    file.write_text("function,slo\nf0,2s\n")
    workload = own(ListTrace([0.0, 5.0, 5.5, 20.0], [0, 0, 0, 1], [1.0] * 4))
    run, _ = logged(
        workload, make_policy("balance"), tmp_path / "run", slo=read_slo(None, str(file)), calibration=SLOWLY,
        failures=[Failure("device", 0, at_s=5.25, mttr_s=10.0)], clients=ClientSettings(3.0),
    )  # fmt: skip
    rows = by_number(run)
    assert list(rows.status) == ["completed", "failed", "failed", "completed"]
    assert list(rows.due_at_s.fillna(-1)) == [2.0, 7.0, 7.5, -1]
    assert run.summary["slo_attainment_frac"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("policy", sorted(known()))
def test_a_deadline_alone_changes_no_decision_of_a_policy_that_ignores_it(tmp_path, policy):
    workload = own(poisson(500, 3.0, "exponential", 1, 4))
    plain, _ = logged(workload, make_policy(policy), tmp_path / "plain", gpus=4, calibration=AT_ONCE)
    due, _ = logged(
        workload, make_policy(policy), tmp_path / "due", gpus=4, calibration=AT_ONCE, slo=read_slo("1s", None)
    )
    one, other = plain.table("invocations"), due.table("invocations")
    assert one.drop(columns="due_at_s").equals(other.drop(columns="due_at_s"))
