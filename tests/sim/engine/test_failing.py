"""Failures in the simulated world: who is told what in which order, and that nothing is lost or done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.compose import assemble, simulate_into
from sim.dispatcher import Dispatcher
from sim.domain import WorkerKind
from sim.models.calibration import Startup, load_calibration
from sim.models.clients import ClientSettings
from sim.models.failures import Failure
from sim.models.mig.profiles import table_of
from sim.policies import known, make_policy
from sim.policies.base import BasePolicy
from sim.protocol import (
    ANY_DEVICE,
    Arrival,
    DeviceChanged,
    Finished,
    Need,
    Outcome,
    Partition,
    Reject,
    Run,
    Scale,
    Slot,
    Standing,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
    slot_number,
)
from sim.records.decisions import check_decisions
from sim.scenario import FleetSettings, NodeSettings
from sim.streams import Stream, generator
from tests.support import V100, ListTrace, ideal, own, poisson, same_tables, simulate

AT_ONCE = ideal(startup_s=Startup(0.0, 0.0, 0.0, 0.0, 0.0))
SLOWLY = ideal(startup_s=Startup(0.0, 1.0, 0.0, 0.0, 0.0))


def logged(workload, policy, directory, **more):
    """A run, and all that its policy was told and answered."""
    log = []

    def watch(now_s, event, actions):
        log.append((now_s, event, list(actions)))

    with patch("sim.engine.simulation.Dispatcher", Checked):
        run = simulate(workload, policy, directory, log=watch, **{"sharing": "slices"} | more)
    return run, log


class Checked(Dispatcher):
    """Its invariants hold after every event."""

    def report(self, now_s, event):
        actions = super().report(now_s, event)
        if len(self.workers) < 50:
            self.check()
        return actions


def told(log, *kinds):
    return [(now_s, event) for now_s, event, _ in log if isinstance(event, kinds)]


def arrivals(n, every_s, run_s, n_functions=1):
    return own(ListTrace([every_s * i for i in range(n)], [i % n_functions for i in range(n)], [run_s] * n))


# Who is told what


def test_what_a_failure_takes_is_told_before_what_was_lost_by_it(tmp_path):
    """A node of two devices: first both devices, then both workers, then what these had; then what enters again."""
    run, log = logged(
        arrivals(3, 0.0, 5.0), make_policy("balance"), tmp_path, gpus=3, gpus_per_node=2, calibration=AT_ONCE,
        failures=[Failure("node", 0, at_s=2.0, mttr_s=4.0)], retries=1,
    )  # fmt: skip
    at_failure = [event for now_s, event, _ in log if now_s == 2.0]
    assert at_failure == [
        DeviceChanged(0, ()), DeviceChanged(1, ()), WorkerStopped(0, died=True), WorkerStopped(1, died=True),
        Finished(0, 0, Outcome.FAILED), Finished(1, 1, Outcome.FAILED), Arrival(0, 0), Arrival(1, 0),
    ]  # fmt: skip
    back = [event for now_s, event, _ in log if now_s == 6.0]
    assert [type(event) for event in back] == [DeviceChanged, DeviceChanged, WorkerReady, WorkerReady]
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.status) == ["completed"] * 3
    assert list(rows.attempt) == [2, 2, 1]
    assert list(rows.completed_at_s) == [10.0, 11.0, 5.0], "the third worker is free first, the others when repaired"
    workers = run.table("workers")
    assert list(workers.stopped_at_s.fillna(-1)) == [2.0, 2.0, -1, -1, -1]
    assert list(workers.device) == [0, 1, 2, 0, 1]
    assert run.summary["retries"] == 2


def test_without_retries_what_was_lost_has_failed_with_its_reason(tmp_path):
    failures = [Failure("device", 0, at_s=1.0), Failure("worker", 1, at_s=2.0), Failure("node", 1, at_s=2.5)]
    run, _ = logged(arrivals(3, 0.0, 5.0), make_policy("balance"), tmp_path, gpus=3, gpus_per_node=2, failures=failures)
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.status) == ["failed"] * 3
    assert list(rows.reason) == ["its device failed", "its worker crashed", "its node failed"]
    assert list(rows.completed_at_s) == [1.0, 2.0, 2.5]
    assert list(rows.started_at_s) == [0.0, 0.0, 0.0]
    assert list(rows.worker) == [0, 1, 2]
    assert run.summary["failed"] == 3


def test_a_crashed_worker_is_replaced_and_its_memory_is_free_at_once(tmp_path):
    run, log = logged(
        arrivals(2, 1.0, 5.0), make_policy("balance"), tmp_path, calibration=SLOWLY,
        failures=[Failure("worker", 0, at_s=2.0)], retries=1,
    )  # fmt: skip
    assert told(log, WorkerStopped, WorkerReady) == [(2.0, WorkerStopped(0, died=True)), (3.0, WorkerReady(1, 0))]
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.completed_at_s) == [13.0, 8.0], "what entered again is behind what waited"


def test_a_completion_at_the_instant_of_a_failure_comes_first(tmp_path):
    run, log = logged(
        arrivals(1, 0.0, 2.0), make_policy("balance"), tmp_path, failures=[Failure("device", 0, at_s=2.0)]
    )
    assert list(run.table("invocations").status) == ["completed"]
    assert told(log, DeviceChanged) == [], "and nothing fails when all is over"


class Scripted(BasePolicy):
    """Answers the events that are written in it, and no other."""

    name = "scripted"
    workers = (WorkerKind.EXCLUSIVE,)
    needs = frozenset({Need.SHARED_DEVICES, Need.CONCURRENCY, Need.PREEMPTION, Need.PARTITIONS, Need.SCALING})

    def __init__(self, answers, standing=()):
        self._answers, self._standing = answers, standing

    def describe(self):
        return "scripted"

    def reset(self, *_):
        pass

    def standing(self, fleet):
        return list(self._standing)

    def on_event(self, now_s, event, view):
        return next((actions for said, actions in self._answers if said == event), ())


def test_who_waits_for_a_device_that_is_lost_is_gone_as_well(tmp_path):
    """The second worker waits in the line of device 0, with an invocation; the third for any, and starts later."""
    answers = [
        (Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)]),
        (Arrival(1, 0), [Start(1, 0, 0), Run(1, 1)]),
        (Arrival(2, 0), [Start(2, ANY_DEVICE, 0), Run(2, 2)]),
    ]
    run, log = logged(
        arrivals(3, 0.25, 5.0), Scripted(answers), tmp_path, calibration=AT_ONCE,
        failures=[Failure("device", 0, at_s=2.0, mttr_s=3.0)],
    )  # fmt: skip
    assert [event for now_s, event, _ in log if now_s == 2.0] == [
        DeviceChanged(0, ()), WorkerStopped(0, died=True), WorkerStopped(1, died=True),
        Finished(0, 0, Outcome.FAILED), Finished(1, 1, Outcome.FAILED),
    ]  # fmt: skip
    assert told(log, WorkerReady)[-1] == (5.0, WorkerReady(2, 0))
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.status) == ["failed", "failed", "completed"]
    assert list(rows.device) == [0, -1, 0]


def test_what_is_ordered_of_a_worker_that_is_dead_already_is_lost_or_moot(tmp_path):
    """Between the devices of a node, the policy gives work to a worker of the next one, and stops it."""
    answers = [(DeviceChanged(0, ()), [Run(0, 1), Stop(2)]), (Arrival(1, 0), [Reject(1, "nobody is left")])]
    standing = [Standing(0, 0), Standing(1, 0), Standing(2, 0)]
    run, log = logged(
        arrivals(2, 5.0, 5.0), Scripted(answers, standing), tmp_path, gpus=3, failures=[Failure("node", 0, at_s=2.0)]
    )
    assert [event for now_s, event, _ in log if now_s == 2.0] == [
        *(DeviceChanged(d, ()) for d in range(3)), *(WorkerStopped(w, died=True) for w in range(3)),
        Finished(0, 1, Outcome.FAILED),
    ]  # fmt: skip
    assert list(run.table("invocations").status) == ["failed", "rejected"]


def test_a_worker_that_dies_as_it_starts_never_gets_ready(tmp_path):
    answers = [(Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)])]
    for per_kernel in (False, True):
        run, log = logged(
            arrivals(1, 0.0, 5.0), Scripted(answers), tmp_path / str(per_kernel), calibration=SLOWLY,
            per_kernel=per_kernel, failures=[Failure("worker", 0, at_s=0.5)],
        )  # fmt: skip
        assert told(log, WorkerReady, WorkerStopped) == [(0.5, WorkerStopped(0, died=True))]
        assert np.isnan(run.table("workers").ready_at_s[0])


def test_others_on_the_device_of_a_crashed_process_have_it_for_themselves(tmp_path):
    """Two processes in slices: at 2 s each has done half of that, and 3 s are left for the other alone."""
    answers = [
        (Arrival(0, 0), [Start(0, 0, 0, 1.0, 10**9), Run(0, 0)]),
        (Arrival(1, 1), [Start(1, 0, 1, 1.0, 10**9), Run(1, 1)]),
    ]
    run, _ = logged(
        own(ListTrace([0.0, 0.0], [0, 1], [4.0, 4.0])), Scripted(answers), tmp_path, calibration=AT_ONCE,
        sharing="slices", check=False, failures=[Failure("worker", 1, at_s=2.0)],
    )  # fmt: skip
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.status) == ["completed", "failed"]
    assert rows.completed_at_s.iloc[0] == pytest.approx(5.0, abs=0.01)


# Slots that change


A100 = replace(load_calibration("a100-80").without_frontend(), startup_s=Startup(0.0, 0.0, 0.0, 0.0, 0.0))
HALVES = ("3g.40gb", "3g.40gb")
SLOTS = tuple(Slot(slot_number(0, i, 1), table_of(A100.spec.mig)["3g.40gb"].memory_bytes, "3g.40gb") for i in range(2))


def test_a_partitioned_device_comes_back_as_it_was(tmp_path):
    answers = [
        (Arrival(0, 0), [Partition(0, HALVES)]),
        (Arrival(1, 0), [Start(0, SLOTS[1].number, 0), Run(0, 0)]),
    ]
    _, log = logged(
        arrivals(2, 20.0, 100.0), Scripted(answers), tmp_path, calibration=A100, check=False,
        failures=[Failure("device", 0, at_s=50.0, mttr_s=10.0)],
    )  # fmt: skip
    assert told(log, DeviceChanged)[1:] == [(50.0, DeviceChanged(0, ())), (60.0, DeviceChanged(0, SLOTS))]
    assert told(log, WorkerStopped) == [(50.0, WorkerStopped(0, died=True))]


def test_a_device_that_fails_while_it_is_partitioned_has_its_slots_when_it_is_repaired(tmp_path):
    answers = [(Arrival(0, 0), [Partition(0, HALVES)])]
    failures = [Failure("device", 0, at_s=0.5, mttr_s=50.0)]
    _, log = logged(
        arrivals(2, 80.0, 1.0), Scripted(answers), tmp_path, calibration=A100, failures=failures, check=False
    )
    (first_s, first), (last_s, last) = told(log, DeviceChanged)
    assert (first, last, last_s) == (DeviceChanged(0, ()), DeviceChanged(0, SLOTS), 50.5)
    assert 0.5 < first_s < 50.5, "the order ended when it would have, without slots"


def test_a_node_on_standby_may_fail_and_then_comes_without_slots_until_it_is_repaired(tmp_path):
    nodes = tuple(NodeSettings(gpus=1, calibration="v100-kaas", standby=standby) for standby in (False, True))
    inputs = assemble(
        arrivals(2, 80.0, 1.0), Scripted([(Arrival(0, 0), [Scale(1, True)])]), V100.without_frontend(),
        FleetSettings(sharing="slices", nodes=nodes, node_start_s=10.0),
        failures=[Failure("node", 1, at_s=5.0, mttr_s=20.0)],
    )  # fmt: skip
    log = []
    simulate_into(tmp_path, inputs, lambda now_s, event, actions: log.append((now_s, event, actions)))
    memory_bytes = V100.device.memory_bytes
    assert told(log, DeviceChanged) == [
        (10.0, DeviceChanged(1, ())), (25.0, DeviceChanged(1, (Slot(1, memory_bytes),))),
    ]  # fmt: skip


# Slow devices and links


@pytest.mark.parametrize("per_kernel", [False, True])
def test_what_begins_on_a_slow_device_takes_longer(tmp_path, per_kernel):
    """Slow from 1.5 s to 6.5 s: the first has begun before, the fourth begins after."""
    run, _ = logged(
        arrivals(4, 0.0, 2.0), make_policy("balance"), tmp_path, per_kernel=per_kernel,
        failures=[Failure("slow", 0, at_s=1.5, mttr_s=5.0, factor=1.5)],
    )  # fmt: skip
    rows = run.table("invocations").sort_values("invocation")
    assert list(rows.run_s) == [2.0, 3.0, 3.0, 2.0]
    assert list(rows.completed_at_s) == [2.0, 5.0, 8.0, 10.0]


def test_slow_devices_are_slow_by_the_product(tmp_path):
    failures = [Failure("slow", 0, at_s=0.5, factor=2.0), Failure("slow", 0, at_s=0.5, mttr_s=3.0, factor=3.0)]
    run, _ = logged(arrivals(3, 0.0, 1.0), make_policy("balance"), tmp_path, failures=failures)
    assert list(run.table("invocations").run_s) == [1.0, 6.0, 2.0]


def test_copies_on_a_link_at_half_its_rate_take_twice_as_long(tmp_path):
    """Three loads of 12 GB at 12 GB/s, of functions that never fit together; the second is slow."""
    copies = ideal().copies
    slow = ideal(copies=type(copies)(h2d_bytes_per_s=12e9, h2d_first_bytes_per_s=12e9, d2h_bytes_per_s=1e30))
    workload = own(ListTrace([0.0, 10.0, 20.0], [0, 1, 0], [1.0] * 3, memory_bytes=12 * 10**9))
    failures = [Failure("link", 0, at_s=5.0, mttr_s=10.0, factor=0.5)]
    run, _ = logged(workload, make_policy("balance"), tmp_path, calibration=slow, failures=failures)
    np.testing.assert_allclose(run.table("invocations").load_s, [1.0, 2.0, 1.0], rtol=1e-9)


def test_where_nothing_fails_nothing_changes(tmp_path):
    """A failure that never comes, and clients who never lose patience."""
    workload = own(poisson(2_000, 3.0, "exponential", 1, 3))
    for policy in ("balance", "exclusive"):
        plain, watched = tmp_path / policy / "plain", tmp_path / policy / "watched"
        simulate(workload, make_policy(policy), plain, gpus=4)
        late = [Failure("device", at_s=1e9), Failure("worker", mtbf_s=1e12)]
        simulate(workload, make_policy(policy), watched, gpus=4, failures=late, clients=ClientSettings(1e9), retries=3)
        assert same_tables(plain, watched)


# All policies, and many failures

EVERYTHING = (
    Failure("worker", mtbf_s=40.0),
    Failure("device", mtbf_s=60.0, mttr_s=6.0),
    Failure("node", mtbf_s=120.0, mttr_s=4.0),
    Failure("slow", mtbf_s=30.0, mttr_s=5.0, factor=2.0),
    Failure("link", mtbf_s=30.0, mttr_s=5.0, factor=0.25),
)


def check_log(log, retries):
    """Each order ends once, nothing runs twice to completion, and a fresh policy answers the same."""
    ended, arrived, lost = Counter(), Counter(), Counter()
    gone, stopped = set(), set()
    for _, event, actions in log:
        if isinstance(event, Arrival):
            arrived[event.invocation] += 1
        elif isinstance(event, Finished):
            for invocation in (event.invocation, *event.others):
                (ended if event.outcome == Outcome.OK else lost)[invocation] += 1
        elif isinstance(event, WorkerStopped):
            assert event.worker not in gone
            gone.add(event.worker)
            assert event.died or event.worker in stopped
        elif isinstance(event, WorkerReady):
            assert event.worker not in gone
        stopped |= {action.worker for action in actions if isinstance(action, Stop)}
    assert max(ended.values(), default=1) == 1, "an invocation was completed twice"
    assert all(arrived[i] <= 1 + lost[i] for i in arrived)
    assert all(n <= retries for n in (arrived - Counter(arrived.keys())).values())


@pytest.mark.parametrize("name", sorted(known()))
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**20), st.integers(0, 2), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.2]))
def test_whatever_fails_all_is_accounted_for(name, seed, retries, impatient, real, delay_s):
    """300 invocations; every invariant of a run, and the belief after every event."""
    policy = make_policy(name)
    workload = own(poisson(300, 3.0, "exponential", seed, 4))
    clients = ClientSettings(3.0, 1, 0.5) if impatient else None
    with TemporaryDirectory() as directory:
        run, log = logged(
            workload, policy, Path(directory), gpus=4, gpus_per_node=2, seed=seed, retries=retries, clients=clients,
            calibration=V100 if real else SLOWLY, failures=EVERYTHING, report_delay_s=delay_s,
        )  # fmt: skip
        rows = run.table("invocations")
    assert sorted(rows.invocation) == list(range(300))
    check_log(log, retries + (1 if impatient else 0))
    assert not (rows.status == "unfinished").any(), "a policy left something that could have run"
    completed = {
        i for _, event, _ in log if isinstance(event, Finished) and event.outcome == Outcome.OK
        for i in (event.invocation, *event.others)
    }  # fmt: skip
    assert completed == set(rows.invocation[rows.status == "completed"])


@pytest.mark.parametrize("name", sorted(known()))
def test_a_log_with_failures_fed_to_a_fresh_policy_gives_the_same_actions(tmp_path, name):
    workload = own(poisson(500, 3.0, "exponential", 5, 4))
    policy = make_policy(name)
    _, log = logged(
        workload, policy, tmp_path, gpus=4, gpus_per_node=2, retries=1, failures=EVERYTHING, calibration=SLOWLY
    )
    inputs = assemble(workload, policy, SLOWLY, FleetSettings(gpus=4, gpus_per_node=2, sharing="slices"))
    rng = generator(0, Stream.POLICY)
    fresh = Dispatcher(make_policy(name), inputs.fleet, workload.functions, inputs.costs, rng)
    assert check_decisions(log, fresh) == len(log)


@pytest.mark.parametrize("name", ["balance", "exclusive", "static"])
def test_a_device_that_fails_amid_many_invocations(tmp_path, name):
    """10^5 invocations; device 1 is lost half-way for a while, and used again afterwards; the same run twice."""
    n = 100_000
    workload = own(poisson(n, 3.2, "exponential", 7, 4))
    middle_s = n / 3.2 / 2
    failures = [Failure("device", 1, at_s=middle_s, mttr_s=100.0), Failure("worker", mtbf_s=5_000.0)]
    log = []
    more = {"gpus": 8, "failures": failures, "retries": 5, "calibration": SLOWLY}
    simulate(workload, make_policy(name), tmp_path / "one", log=lambda *entry: log.append(entry), **more)
    run = simulate(workload, make_policy(name), tmp_path / "other", check=False, **more)
    assert same_tables(tmp_path / "one", tmp_path / "other")
    check_log(log, retries=5)
    rows = run.table("invocations")
    assert (rows.status == "completed").all()
    assert len(rows) == n
    assert run.summary["retries"] == int((rows.attempt - 1).sum()) > 0
    on_it = rows[rows.device == 1]
    assert (on_it.started_at_s < middle_s).any()
    assert not ((on_it.started_at_s > middle_s) & (on_it.started_at_s < middle_s + 100.0)).any()
    assert (on_it.started_at_s > middle_s + 100.0).any(), "it is used again"


def test_what_fails_does_not_shift_what_arrives(tmp_path):
    workload = own(poisson(500, 3.0, "exponential", 5, 4))
    calm = simulate(workload, make_policy("balance"), tmp_path / "calm", gpus=4)
    rough = simulate(
        workload, make_policy("balance"), tmp_path / "rough", gpus=4, failures=EVERYTHING, retries=9, seed=0
    )
    columns = ["invocation", "function", "arrival_at_s"]
    one, other = (run.table("invocations", columns).sort_values("invocation") for run in (calm, rough))
    assert one.reset_index(drop=True).equals(other.reset_index(drop=True))
