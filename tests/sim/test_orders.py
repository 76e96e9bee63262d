"""Orders beyond running whole workers: each needs its name, and each impossible one is refused with its sentence."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from sim.dispatcher import Dispatcher
from sim.domain import DeviceSpec, FleetSpec, NodeSpec, WorkerKind
from sim.errors import PolicyError
from sim.protocol import (
    ANY_DEVICE,
    Arrival,
    DeviceChanged,
    Evict,
    Finished,
    Load,
    Need,
    Outcome,
    Partition,
    Preempt,
    Run,
    Scale,
    Slot,
    Standing,
    Start,
    Stop,
    Wake,
    WorkerReady,
    WorkerStopped,
)
from tests.contract.policies import Script
from tests.contract.scripted import FixedCosts, functions

GPU = DeviceSpec("A100", 80 << 30, "a100-80")
PLAIN = DeviceSpec("scripted", 16 * 10**9)
FLEET = FleetSpec.of_nodes([NodeSpec(GPU, 2), NodeSpec(PLAIN, 1), NodeSpec(GPU, 1, standby=True)], node_start_s=1.0)
EXECUTOR, PROCESS = Standing(0), Standing(1, 0)
ALL = frozenset(Need)
ITS_PROCESS = "a ready worker of function 0 on device 1 with 0 outstanding"
ANYWHERE = "worker 2 is to be on any device, and may have got one of them"


def dispatcher(answers, needs=ALL, standing=(EXECUTOR, PROCESS)):
    policy = Script(answers, standing, needs, tuple(WorkerKind))
    return Dispatcher(policy, FLEET, functions(2), FixedCosts([1.0, 1.0]), np.random.default_rng(0))


def refused(*orders, needs=ALL, n_arrivals=3):
    """The sentence with which orders are refused that answer the last of some arrivals, of functions 0, 1, 0, ..."""
    last = n_arrivals - 1
    brain = dispatcher([(Arrival(last, last % 2), list(orders))], needs)
    for i in range(last):
        brain.report(1.0, Arrival(i, i % 2))
    with pytest.raises(PolicyError) as refusal:
        brain.report(1.0, Arrival(last, last % 2))
    return str(refusal.value).split("refused: ")[1]


@pytest.mark.parametrize(
    ("need", "order"),
    [
        (Need.TIMERS, Wake("a", 2.0)),
        (Need.SHARED_DEVICES, Start(2, 0, 0, memory_bytes=1)),
        (Need.EXECUTORS, Start(2, 0)),
        (Need.EXECUTORS, Stop(0)),
        (Need.CONCURRENCY, Start(2, 0, 0, concurrency=2)),
        (Need.LATEST, Run(0, 0, 2.0)),
        (Need.BATCHES, Run(0, 0, others=(2,))),
        (Need.RESIDENCY, Load(0, 0)),
        (Need.RESIDENCY, Evict(0, 0)),
        (Need.PREEMPTION, Preempt(0)),
        (Need.PARTITIONS, Partition(2, ())),
        (Need.SCALING, Scale(2, up=True)),
    ],
    ids=lambda value: value.name if isinstance(value, Need) else type(value).__name__,
)
def test_an_order_without_its_need_is_refused(need, order):
    brain = dispatcher([(Arrival(2, 0), [order])], {need})
    for i in range(3):
        brain.report(1.0, Arrival(i, i % 2))
    brain.check()
    for without in (ALL - {need}, frozenset()):
        assert refused(order, needs=without) == f"Script.needs does not name {need.value} (Need.{need.name})"


@pytest.mark.parametrize(
    ("orders", "story"),
    [
        ([Wake("a", nan)], "an instant must be a number"),
        ([Start(2, 0, 0, memory_bytes=0)], "its memory must be above 0 and at most 85,899,345,920 bytes"),
        ([Start(2, 2, 0, memory_bytes=16 * 10**9 + 1)], "its memory must be above 0 and at most 16,000,000,000 bytes"),
        ([Start(2, 0, 0, share=0.5)], "a part of the multiprocessors goes with a part of the memory"),
        ([Start(2, 0, 0, share=nan, memory_bytes=1)], "a share is above 0 and at most 1"),
        ([Start(2, 0, 0, concurrency=0)], "a worker runs at least 1 invocation at once"),
        ([Start(2, 0, concurrency=2)], "a KaaS executor runs one graph at a time"),
        ([Start(2, 4, 0)], "the devices are 0 to 3, or -1 for any"),
        ([Start(2, 3, 0)], "device 3 has no slot 3 now"),
        ([Start(2, 7, 0)], "device 3 has no slot 7 now"),
        ([Start(2, -2, 0)], "the devices are 0 to 3, or -1 for any"),
        ([Run(0, 0, others=(0,))], "an invocation is twice in its batch"),
        ([Run(0, 0, others=(2, 2))], "an invocation is twice in its batch"),
        ([Run(0, 0, others=(1,))], "invocation 1 of its batch is not waiting, or of another function"),
        ([Run(2, 0), Run(0, 0, others=(2,))], "invocation 2 of its batch is not waiting, or of another function"),
        ([Run(1, 1)], "invocation 1 is of function 1, worker 1 is " + ITS_PROCESS),
        ([Load(7, 0)], "there is no worker 7"),
        ([Load(0, 2)], "the functions are 0 to 1"),
        ([Evict(0, -1)], "the functions are 0 to 1"),
        ([Load(1, 0)], "the constants of a worker of one function are always there, it is " + ITS_PROCESS),
        ([Start(2, 2), Load(2, 0)], "it is a starting worker of every function on device 2 with 0 outstanding"),
        ([Stop(0), Load(0, 0)], "it is a stopping worker of every function on device 0 with 0 outstanding"),
        ([Stop(0), Stop(0)], "it is being stopped already"),
        ([Preempt(2)], "there is no worker 2"),
        ([Partition(4, ())], "the devices are 0 to 3"),
        ([Partition(-1, ())], "the devices are 0 to 3"),
        ([Partition(3, ())], "device 3 has no slots now"),
        ([Partition(1, ())], "worker 1 is on device 1"),
        ([Stop(1), Partition(1, ())], "worker 1 is on device 1"),
        ([Start(2, 2, 0), Partition(2, ())], "worker 2 is on device 2"),
        ([Partition(2, ("1g.10gb",))], "MIG can't partition a scripted"),
        ([Scale(3, up=True)], "the nodes are 0 to 2"),
        ([Scale(1, up=True)], "node 1 is there already"),
        ([Scale(2, up=False)], "node 2 is not there"),
        ([Scale(0, up=False)], "worker 0 is on device 0"),
        ([Scale(1, up=False), Scale(1, up=True)], "node 1 is changing already"),
        ([Scale(2, up=True), Scale(2, up=True)], "node 2 is changing already"),
        ([Scale(2, up=True), Scale(2, up=False)], "node 2 is changing already"),
        ([Scale(2, up=True), Start(2, 3, 0)], "device 3 has no slot 3 now"),
        ([Scale(1, up=False), Start(2, 2, 0)], "device 2 has no slot 2 now"),
        ([Partition(2, ()), Scale(1, up=False)], "node 1 is changing already"),
        ([Partition(2, ()), Start(2, 2, 0)], "device 2 has no slot 2 now"),
        ([Start(2, ANY_DEVICE, 0), Partition(2, ())], ANYWHERE),
        ([Start(2, ANY_DEVICE, 0), Scale(1, up=False)], ANYWHERE),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(type(order).__name__ for order in value),
)  # fmt: skip
def test_the_impossible_is_refused_with_its_sentence(orders, story):
    assert refused(*orders) == story


@pytest.mark.parametrize(
    ("profiles", "story"),
    [
        (("1g.5gb",), "unknown MIG profile of a100-80 '1g.5gb'"),
        (("1g.10gb",) * 8, "a100-80: 8 instances of 1g.10gb are wanted, it holds at most 7"),
        (("4g.40gb", "3g.40gb", "1g.10gb"), "a100-80: 4g.40gb, 3g.40gb, 1g.10gb take 9 memory slices, it has 8"),
    ],
)
def test_instances_that_can_not_be_are_refused(profiles, story):
    brain = dispatcher([(Arrival(0, 0), [Partition(0, profiles)])], standing=())
    with pytest.raises(PolicyError) as refusal:
        brain.report(1.0, Arrival(0, 0))
    assert str(refusal.value).split("refused: ")[1].startswith(story)


def test_waiting_for_any_device_is_no_reason_against_more_of_them():
    brain = dispatcher([(Arrival(0, 0), [Start(2, ANY_DEVICE, 0), Scale(2, up=True)])])
    brain.report(1.0, Arrival(0, 0))
    assert brain.belief.changing == {3}
    brain.report(2.0, DeviceChanged(3, (Slot(3, 80 << 30),)))
    assert not brain.belief.changing
    assert brain.belief.slot(3) == Slot(3, 80 << 30)


def test_slots_are_those_of_the_last_change():
    parts = (Slot(4, 10, "1g.10gb"), Slot(8, 20, "2g.20gb"))
    answers = [
        (Arrival(0, 0), [Partition(0, ("1g.10gb", "2g.20gb"))]),
        (DeviceChanged(0, parts), [Start(0, 8, 0, memory_bytes=20)]),
        (Arrival(1, 0), [Start(1, 4, 0, memory_bytes=11)]),
    ]
    brain = dispatcher(answers, standing=())
    brain.report(1.0, Arrival(0, 0))
    assert brain.belief.slot(0) is None
    brain.report(2.0, DeviceChanged(0, parts))
    assert (brain.belief.slot(0), brain.belief.slot(4), brain.belief.slot(12)) == (None, parts[0], None)
    with pytest.raises(PolicyError, match="its memory must be above 0 and at most 10 bytes"):
        brain.report(3.0, Arrival(1, 0))


@pytest.mark.parametrize("outcome", [Outcome.LATE, Outcome.PREEMPTED])
def test_what_is_late_or_preempted_waits_again_with_its_batch(outcome):
    brain = dispatcher([(Arrival(2, 0), [Run(0, 0, 3.0, (2,))])])
    for i in range(3):
        brain.report(1.0, Arrival(i, i % 2))
    assert (brain.waiting, brain.running, brain.workers[0].outstanding) == ({1: 1}, {0: 0, 2: 0}, 2)
    brain.report(2.0, Finished(0, 0, outcome, (2,)))
    assert (brain.waiting, brain.running, brain.workers[0].outstanding) == ({1: 1, 0: 0, 2: 0}, {}, 0)
    brain.check()


def test_a_world_that_finishes_another_batch_contradicts_the_belief():
    brain = dispatcher([(Arrival(2, 0), [Run(0, 0, others=(2,))])])
    for i in range(3):
        brain.report(1.0, Arrival(i, i % 2))
    with pytest.raises(PolicyError, match="the worker did not have 1"):
        brain.report(2.0, Finished(0, 0, others=(1,)))


def test_what_a_worker_that_died_had_is_told_after_it():
    brain = dispatcher([(Arrival(0, 0), [Run(0, 1)])])
    brain.report(1.0, Arrival(0, 0))
    brain.report(2.0, WorkerStopped(1, died=True))
    brain.check()
    brain.report(2.0, Finished(0, 1, Outcome.FAILED))
    assert (brain.waiting, brain.running) == ({}, {})
    brain.check()


def test_nobody_stands_on_a_node_that_is_not_there():
    with pytest.raises(PolicyError, match="device 3 has no slot 3 now"):
        dispatcher([], standing=(Standing(3),))


def test_executors_with_parts_of_the_memory_stand_beside_others():
    standing = [Standing(0, memory_bytes=1), Standing(0, memory_bytes=1), Standing(0, 1, memory_bytes=1, concurrency=4)]
    assert len(dispatcher([], standing=standing).workers) == 3


def test_infinity_takes_a_timer_back_and_is_no_latest_start():
    brain = dispatcher([(Arrival(0, 0), [Wake("a", inf), Run(0, 0, inf)])], {Need.TIMERS})
    brain.report(1.0, Arrival(0, 0))
    assert brain.running == {0: 0}


def test_a_worker_on_an_instance_is_ready_there():
    brain = dispatcher([(Arrival(0, 0), [Start(0, ANY_DEVICE, 0)])], standing=())
    brain.report(1.0, Arrival(0, 0))
    brain.report(2.0, WorkerReady(0, 8))
    assert brain.workers[0].device == 8
