"""What is preempted ends at the next boundary between kernels, and goes on where it was, or begins again elsewhere.

A run is four kernels of 0.25 s. Each way of running it must tell the same: as one event, copy and kernels apart, kernel
by kernel, and beside others that do nothing.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.models.calibration import ByKind, Copies
from sim.protocol import Arrival, Finished, Need, Outcome, Preempt, Reject, Run, Standing, Stop, Woke, WorkerStopped
from tests.sim.engine.by_script import BATCHED, GPU, SLOW, at, function, play

NEEDS = {Need.PREEMPTION, Need.TIMERS}
PREEMPTED = Outcome.PREEMPTED
WAYS = {
    "lumped": {},
    "copy apart": {"needs": {*NEEDS, Need.RESIDENCY}},
    "kernel by kernel": {"per_kernel": True},
    "beside others": {"standing": [Standing(0, 0, memory_bytes=400), Standing(0, 0, memory_bytes=400)]},
    "beside others, kernel by kernel": {
        "standing": [Standing(0, 0, memory_bytes=400), Standing(0, 0, memory_bytes=400)], "per_kernel": True,
    },
    "in turns": {"standing": [Standing(0, 0, memory_bytes=400), Standing(0, 0, memory_bytes=400)], "sharing": "turns"},
    "in slices": {
        "standing": [Standing(0, 0, memory_bytes=400), Standing(0, 0, memory_bytes=400)],
        "sharing": "slices[length=0.125]",
    },
}  # fmt: skip
any_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def played(directory, answers, arrivals, way, **more):
    standing = [Standing(0, 0), Standing(1, 0)]
    return play(directory, answers, arrivals, **({"needs": NEEDS, "standing": standing, "gpus": 2} | way | more))


@any_way
@pytest.mark.parametrize(
    ("preempt_s", "stopped_s", "left_s"), [(1.375, 1.5, 0.5), (1.5, 1.5, 0.5), (1.0, 1.0, 1.0), (1.625, 1.75, 0.25)]
)
def test_it_ends_at_the_next_boundary_and_goes_on_from_there(tmp_path, way, preempt_s, stopped_s, left_s):
    answers = [
        (Arrival(0, 0), [Run(0, 0), at(preempt_s)]),
        (Woke("go"), [Preempt(0), Preempt(0), at(2.0, "again")]),
        (Woke("again"), [Run(0, 0)]),
    ]
    told = played(tmp_path, answers, [(1.0, 0)], way)
    assert told.log[1:] == [
        (preempt_s, Woke("go")), (stopped_s, Finished(0, 0, PREEMPTED)), (2.0, Woke("again")),
        (2.0 + left_s, Finished(0, 0)),
    ]  # fmt: skip
    assert told.rows("queued_at_s", "started_at_s", "run_s") == [(1.0, 2.0, left_s)]


@any_way
def test_it_can_be_preempted_again_and_again(tmp_path, way):
    answers = [
        (Arrival(0, 0), [Run(0, 0), at(1.125)]),
        (Finished(0, 0, PREEMPTED), [Run(0, 0)]),
        (Woke("go"), [Preempt(0), at(1.375, "b")]),
        (Woke("b"), [Preempt(0), at(1.5, "c")]),
        (Woke("c"), [Preempt(0), at(1.625, "d")]),
    ]
    told = played(tmp_path, answers, [(1.0, 0)], way)
    assert [(t, e) for t, e in told.log[1:] if isinstance(e, Finished)] == [
        (1.25, Finished(0, 0, PREEMPTED)), (1.5, Finished(0, 0, PREEMPTED)), (1.5, Finished(0, 0, PREEMPTED)),
        (2.0, Finished(0, 0)),
    ]  # fmt: skip
    assert told.rows("started_at_s", "run_s") == [(1.5, 0.5)]


@any_way
def test_elsewhere_it_begins_again_and_so_it_does_when_it_comes_back(tmp_path, way):
    answers = [
        (Arrival(0, 0), [Run(0, 0), at(1.375)]),
        (Woke("go"), [Preempt(0), at(2.0, "b")]),
        (Woke("b"), [Run(0, 1), at(2.625, "c")]),
        (Woke("c"), [Preempt(1), at(3.0, "d")]),
        (Woke("d"), [Run(0, 0)]),
    ]
    told = played(tmp_path, answers, [(1.0, 0)], way)
    assert told.after(2.0) == [
        (2.625, Woke("c")), (2.75, Finished(0, 1, PREEMPTED)), (3.0, Woke("d")), (4.0, Finished(0, 0)),
    ]  # fmt: skip


@any_way
def test_in_its_last_kernel_it_is_completed_and_what_comes_next_is_not_preempted(tmp_path, way):
    answers = [(Arrival(1, 0), [Run(0, 0), Run(1, 0), at(1.875)]), (Woke("go"), [Preempt(0)])]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], way)
    assert told.after(1.0)[1:] == [(2.0, Finished(0, 0)), (3.0, Finished(1, 0))]


@any_way
def test_a_copy_back_is_completed_and_what_comes_next_is_not_preempted(tmp_path, way):
    """Its output takes from 2.0 to 2.5."""
    gpu = replace(GPU, copies=Copies(h2d_bytes_per_s=1e30, h2d_first_bytes_per_s=1e30, d2h_bytes_per_s=4.0))
    answers = [(Arrival(1, 0), [Run(0, 0), Run(1, 0), at(2.25)]), (Woke("go"), [Preempt(0)])]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], way, functions=[function(0, output_bytes=2)], gpu=gpu)
    assert told.after(1.0)[1:] == [(2.5, Finished(0, 0)), (4.0, Finished(1, 0))]


@any_way
def test_a_copy_in_is_completed_before_it_ends_and_its_input_does_not_come_again(tmp_path, way):
    """Input comes from 1.0 to 1.5, the worker is preempted in between."""
    answers = [
        (Arrival(0, 0), [Run(0, 0), at(1.25)]),
        (Woke("go"), [Preempt(0), at(2.0, "b")]),
        (Woke("b"), [Run(0, 0)]),
    ]
    gpu = replace(GPU, copies=SLOW)
    told = played(tmp_path, answers, [(1.0, 0)], way, functions=[function(0, input_bytes=2)], gpu=gpu)
    assert told.after(1.25) == [(1.5, Finished(0, 0, PREEMPTED)), (2.0, Woke("b")), (3.0, Finished(0, 0))]
    assert told.rows("started_at_s", "load_s", "run_s") == [(2.0, 0.0, 1.0)]


@any_way
def test_in_its_dispatch_too(tmp_path, way):
    gpu = replace(GPU, dispatch_s=ByKind(0.5, 0.5))
    answers = [(Arrival(0, 0), [Run(0, 0), at(1.25)]), (Woke("go"), [Preempt(0), at(2.0, "b")])]
    answers.append((Woke("b"), [Reject(0, "no")]))
    told = played(tmp_path, answers, [(1.0, 0)], way, gpu=gpu)
    assert told.after(1.25) == [(1.5, Finished(0, 0, PREEMPTED)), (2.0, Woke("b"))]


@any_way
def test_who_is_next_begins_at_once_and_a_worker_that_is_to_stop_goes(tmp_path, way):
    answers = [
        (Arrival(1, 0), [Run(0, 0), at(1.125)]),
        (Woke("go"), [Run(1, 0), Preempt(0), Stop(0)]),
        (Finished(0, 0, PREEMPTED), [Reject(0, "no")]),
    ]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], way)
    assert told.after(1.125) == [(1.25, Finished(0, 0, PREEMPTED)), (2.25, Finished(1, 0)), (2.25, WorkerStopped(0))]


@any_way
def test_who_runs_nothing_is_not_preempted(tmp_path, way):
    answers = [(Arrival(0, 0), [Preempt(0), Run(0, 0)])]
    assert played(tmp_path, answers, [(1.0, 0)], way).after(1.0) == [(2.0, Finished(0, 0))]


@any_way
def test_a_batch_goes_on_as_the_same_batch_or_not_at_all(tmp_path, way):
    """Two take 1.5 s: kernels of 0.375 s."""
    gpu = replace(GPU, graphs=BATCHED)
    needs = {*way.get("needs", NEEDS), Need.BATCHES}
    answers = [
        (Arrival(1, 0), [Run(0, 0, others=(1,)), at(1.25), at(1.375, "a"), at(1.5, "b"), at(2.0, "c")]),
        (Woke("go"), [Preempt(0)]),
        (Woke("a"), [Run(0, 0, others=(1,))]),
        (Woke("b"), [Preempt(0)]),
        (Woke("c"), [Run(0, 0), Run(1, 0)]),
    ]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], {**way, "needs": needs}, gpu=gpu)
    finished = [(t, e) for t, e in told.log if isinstance(e, Finished)]
    assert finished == [
        (1.375, Finished(0, 0, PREEMPTED, (1,))), (1.75, Finished(0, 0, PREEMPTED, (1,))), (3.0, Finished(0, 0)),
        (4.0, Finished(1, 0)),
    ]  # fmt: skip


def test_a_kernel_that_is_slowed_by_others_ends_later(tmp_path):
    """Two graphs at half speed: a kernel of each takes 0.5 s. From 2.0 on the other is alone, with 0.5 s left."""
    answers = [
        (Arrival(1, 0), [Run(0, 0), Run(1, 1), at(1.625)]),
        (Woke("go"), [Preempt(0)]),
        (Finished(0, 0, PREEMPTED), [Reject(0, "no")]),
    ]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], WAYS["beside others"])
    assert told.after(1.625) == [(2.0, Finished(0, 0, PREEMPTED)), (2.5, Finished(1, 1))]


def test_who_has_the_device_in_turns_keeps_it_until_the_boundary_and_who_waits_for_it_ends_now(tmp_path):
    answers = [
        (Arrival(1, 0), [Run(0, 0), Run(1, 1), at(1.125)]),
        (Woke("go"), [Preempt(0), Preempt(1)]),
        (Finished(0, 0, PREEMPTED), [Reject(0, "no")]),
        (Finished(1, 1, PREEMPTED), [Run(1, 1)]),
    ]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)], WAYS["in turns"])
    assert told.after(1.0)[1:] == [
        (1.125, Finished(1, 1, PREEMPTED)), (1.25, Finished(0, 0, PREEMPTED)), (2.25, Finished(1, 1)),
    ]  # fmt: skip
