"""Orders that no built-in policy gives are carried out alike in every world."""

from __future__ import annotations

import pytest

from sim.protocol import (
    ANY_DEVICE,
    Arrival,
    Finished,
    Need,
    Outcome,
    Reject,
    Run,
    Standing,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from tests.contract.policies import Script
from tests.contract.scripted import FLEET_MEMORY_BYTES


def test_a_stopped_worker_finishes_what_it_was_given(any_world):
    work = [Start(0, 0, 0), Run(0, 0), Run(1, 0), Run(2, 0), Run(3, 0), Stop(0)]
    told = any_world(Script([(Arrival(3, 0), work)]), [0] * 4)
    assert told.events[4:] == [WorkerReady(0, 0), *(Finished(i, 0) for i in range(4)), WorkerStopped(0)]


def test_an_idle_worker_stops_at_once(world):
    told = world(Script([(Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)]), (Finished(0, 0), [Stop(0)])]), [0])
    assert told.events == [Arrival(0, 0), WorkerReady(0, 0), Finished(0, 0), WorkerStopped(0)]


def test_a_worker_that_is_stopped_as_it_starts_gets_ready_first(world):
    told = world(Script([(Arrival(0, 0), [Start(0, 0, 0), Stop(0), Reject(0, "no use")])]), [0])
    assert told.events == [Arrival(0, 0), WorkerReady(0, 0), WorkerStopped(0)]


def test_a_start_on_an_occupied_device_waits(any_world):
    work = [Start(0, 0, 0), Run(0, 0), Start(1, 0, 1), Run(1, 1), Stop(0)]
    told = any_world(Script([(Arrival(1, 1), work)]), [0, 1])
    assert told.events[2:] == [WorkerReady(0, 0), Finished(0, 0), WorkerStopped(0), WorkerReady(1, 0), Finished(1, 1)]


def test_a_worker_that_is_stopped_while_it_waits_never_starts(any_world):
    answers = [
        (Arrival(0, 0), [Start(0, 0, 0), Start(1, 0, 0), Start(2, ANY_DEVICE, 0), Stop(1), Stop(2)]),
        (WorkerReady(0, 0), [Run(0, 0)]),
    ]
    told = any_world(Script(answers), [0])
    assert told.events == [Arrival(0, 0), WorkerStopped(1), WorkerStopped(2), WorkerReady(0, 0), Finished(0, 0)]


def test_a_worker_that_is_stopped_while_it_waits_with_work_does_it_first(world):
    work = [Start(0, 0, 0), Start(1, 0, 0), Run(0, 1), Stop(1), Stop(0)]
    told = world(Script([(Arrival(0, 0), work)]), [0])
    assert told.events[1:] == [
        WorkerReady(0, 0), WorkerStopped(0), WorkerReady(1, 0), Finished(0, 1), WorkerStopped(1),
    ]  # fmt: skip


def test_a_device_goes_first_to_those_that_want_no_other(world):
    """And in each line to those that came first; who left a line early is in nobody's way."""
    wants = [0, ANY_DEVICE, ANY_DEVICE, 0, 0, 0, ANY_DEVICE]
    starts = [Start(worker, device, 0) for worker, device in enumerate(wants)]
    stops = [(WorkerReady(worker, 0), [Stop(worker)]) for worker in (0, 1, 3, 5)]
    told = world(Script([(Arrival(0, 0), [*starts, Stop(2), Stop(4)]), *stops, (WorkerReady(6, 0), [Run(0, 6)])]), [0])
    assert told.events[1:3] == [WorkerStopped(2), WorkerStopped(4)]
    order = [event.worker for event in told.events if isinstance(event, WorkerReady)]
    assert order == [0, 3, 5, 1, 6]
    assert told.events[-1] == Finished(0, 6)


def test_a_start_on_any_device_takes_the_first_that_is_free(any_world):
    """The first of two, then the second, then the one that is left; then the lower of those that were left."""
    answers = [
        (Arrival(0, 0), [Start(0, ANY_DEVICE, 0)]),
        (WorkerReady(0, 0), [Start(1, ANY_DEVICE, 0), Start(2, ANY_DEVICE, 0)]),
        (WorkerReady(1, 1), [Stop(1)]),
        (WorkerReady(2, 1), [Stop(2)]),
        (WorkerStopped(2), [Stop(0)]),
        (WorkerStopped(0), [Start(3, ANY_DEVICE, 0), Run(0, 3)]),
    ]
    told = any_world(Script(answers), [0], n_gpus=2)
    assert told.devices == {0: 0, 1: 1, 2: 1, 3: 0}
    assert told.events[-1] == Finished(0, 3)


def test_any_device_is_none_on_which_a_worker_stands_or_that_another_took_by_its_number(world):
    work = [Start(1, 1, 0), Start(2, ANY_DEVICE, 0)]
    answers = [(Arrival(0, 0), work), (WorkerReady(1, 1), [Stop(1)]), (WorkerReady(2, 1), [Run(0, 2)])]
    told = world(Script(answers, [Standing(0, 0)]), [0], n_gpus=2)
    assert told.events[1:] == [WorkerReady(1, 1), WorkerStopped(1), WorkerReady(2, 1), Finished(0, 2)]


def test_a_device_is_free_when_all_that_stand_on_it_are_gone(any_world):
    answers = [
        (Arrival(0, 0), [Start(2, 0, 0), Run(0, 2), Stop(0)]),
        (WorkerStopped(0), [Start(3, ANY_DEVICE, 0), Stop(1)]),
        (Finished(0, 2), [Stop(2), Stop(3)]),
    ]
    told = any_world(Script(answers, [Standing(0, 0), Standing(0, 0)]), [0])
    stopped = [WorkerStopped(3), WorkerStopped(2)]
    assert told.events[1:5] == [WorkerStopped(0), WorkerStopped(1), WorkerReady(2, 0), Finished(0, 2)]
    assert sorted(told.events[5:], key=lambda event: -event.worker) == stopped


def test_an_impossible_order_is_refused(world):
    told = world(Script([(Arrival(0, 0), [Start(0, 0, 0)]), (Arrival(1, 0), [Run(0, 7)])]), [0, 0])
    assert told.refusal.endswith("with Run(invocation=0, worker=7), refused: there is no worker 7")
    assert told.events == [Arrival(0, 0)]


# What goes beyond running whole workers


@pytest.mark.parametrize(
    "order", [Wake("a", 1.0), Start(0, 0, 0, memory_bytes=1), Run(0, 0, 5.0), Run(0, 0, others=(1,))],
    ids=["timers", "parts", "latest", "batches"],
)  # fmt: skip
def test_what_a_policy_has_not_named_is_refused(world, order):
    standing = [Standing(0, 0)] if isinstance(order, Run) else []
    told = world(Script([(Arrival(1, 0), [order])], standing), [0, 0])
    assert "refused: Script.needs does not name " in told.refusal


def test_timers_ring_in_order_and_only_as_they_were_set_last(virtual_world):
    orders = [Wake("a", 2.0), Wake("b", 1.5), Wake("a", 1.75), Wake("c", 0.0), Wake("d", 1.0), Wake("d", float("inf"))]
    script = Script([(Arrival(0, 0), [*orders, Run(0, 0)])], [Standing(0, 0)], [Need.TIMERS])
    told = virtual_world(script, [0])
    assert [(now_s, event) for now_s, event, _ in told.log] == [
        (0.0, Arrival(0, 0)), (0.0, Woke("c")), (0.005, Finished(0, 0)), (1.5, Woke("b")), (1.75, Woke("a")),
    ]  # fmt: skip


def test_workers_with_parts_of_a_device_are_there_together_as_far_as_memory_allows(virtual_world):
    half = FLEET_MEMORY_BYTES // 2
    starts = [Start(worker, ANY_DEVICE, 0, memory_bytes=half) for worker in range(3)]
    work = [*starts, Run(0, 0), Run(1, 1), Run(2, 2), Stop(1)]
    told = virtual_world(Script([(Arrival(2, 0), work)], needs=[Need.SHARED_DEVICES]), [0] * 3)
    assert told.events[3:] == [
        WorkerReady(0, 0), WorkerReady(1, 0), Finished(0, 0), Finished(1, 1), WorkerStopped(1), WorkerReady(2, 0),
        Finished(2, 2),
    ]  # fmt: skip


def test_a_batch_ends_together_and_what_is_late_waits_again(virtual_world):
    late = Finished(3, 0, Outcome.LATE)
    answers = [(Arrival(3, 0), [Run(0, 0, others=(2, 1)), Run(3, 0, 0.0)]), (late, [Reject(3, "late")])]
    told = virtual_world(Script(answers, [Standing(0, 0)], needs=[Need.BATCHES, Need.LATEST]), [0] * 4)
    assert told.events[4:] == [Finished(0, 0, others=(2, 1)), late]
