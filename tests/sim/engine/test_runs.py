"""Runs that have a latest start, and runs of several invocations at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import WorkerKind
from sim.models.calibration import ByKind
from sim.protocol import (
    Arrival,
    Finished,
    Need,
    Outcome,
    Reject,
    Run,
    Standing,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
)
from tests.sim.engine.by_script import BATCHED, GPU, SLOW, function, play

LATEST, BATCHES = {Need.LATEST}, {Need.BATCHES}
LATE = Outcome.LATE
ONE = [Standing(0, 0)]


@pytest.mark.parametrize("needs", [LATEST, {Need.LATEST, Need.RESIDENCY}], ids=["lumped", "step by step"])
def test_what_can_not_begin_by_its_latest_start_waits_again(tmp_path, needs):
    """The first begins at 1.0, the second at 2.0, its latest; then it is too late for the third."""
    work = [Run(0, 0, 1.0), Run(1, 0, 2.0), Run(2, 0, 2.75)]
    answers = [(Arrival(2, 0), work), (Finished(2, 0, LATE), [Run(2, 0)])]
    played = play(tmp_path, answers, [(1.0, 0)] * 3, needs=needs, standing=ONE)
    assert played.after(1.0) == [
        (2.0, Finished(0, 0)), (3.0, Finished(1, 0)), (3.0, Finished(2, 0, LATE)), (4.0, Finished(2, 0)),
    ]  # fmt: skip
    assert played.rows("queued_at_s", "started_at_s") == [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]


def test_one_that_is_late_makes_way_for_the_next_at_once(tmp_path):
    answers = [
        (Arrival(2, 0), [Run(0, 0), Run(1, 0, 1.75), Run(2, 0)]),
        (Finished(1, 0, LATE), [Reject(1, "late")]),
    ]
    played = play(tmp_path, answers, [(1.0, 0)] * 3, needs=LATEST, standing=ONE)
    assert played.after(1.0) == [(2.0, Finished(0, 0)), (2.0, Finished(1, 0, LATE)), (3.0, Finished(2, 0))]
    assert list(played.run.table("invocations").status) == ["completed", "completed", "rejected"]


def test_the_time_of_its_dispatch_counts(tmp_path):
    gpu = replace(GPU, dispatch_s=ByKind(0.5, 0.5))
    answers = [
        (Arrival(0, 0), [Run(0, 0, 1.25)]),
        (Finished(0, 0, LATE), [Run(0, 0, 1.5)]),
    ]
    played = play(tmp_path, answers, [(1.0, 0)], needs=LATEST, standing=ONE, gpu=gpu)
    assert played.after(0.0)[1:] == [(1.0, Finished(0, 0, LATE)), (2.5, Finished(0, 0))]
    assert played.rows("started_at_s", "dispatch_s") == [(1.5, 0.5)]


def test_a_worker_that_is_to_stop_goes_when_what_it_had_was_late(tmp_path):
    work = [Start(0, 0, 0), Run(0, 0, 1.25), Stop(0)]
    answers = [(Arrival(0, 0), work), (Finished(0, 0, LATE), [Reject(0, "late")])]
    played = play(tmp_path, answers, [(1.0, 0)], needs=LATEST)
    assert played.after(1.0) == [(1.5, WorkerReady(0, 0)), (1.5, Finished(0, 0, LATE)), (1.5, WorkerStopped(0))]


def test_one_that_is_late_at_once_is_told_after_what_is_told_of_now(tmp_path):
    work = [Run(0, 0, 0.75), Stop(0)]
    answers = [(Arrival(0, 0), work), (Finished(0, 0, LATE), [Reject(0, "late")])]
    played = play(tmp_path, answers, [(1.0, 0)], needs=LATEST, standing=ONE)
    assert played.log[1:] == [(1.0, Finished(0, 0, LATE)), (1.0, WorkerStopped(0))]


@pytest.mark.parametrize("needs", [BATCHES, {Need.BATCHES, Need.RESIDENCY}], ids=["lumped", "step by step"])
@pytest.mark.parametrize("standing", [Standing(0, 0), Standing(0)], ids=["process", "executor"])
def test_a_batch_runs_as_one_and_ends_together(tmp_path, needs, standing):
    """Half of the time of one is paid once: 2 s for three."""
    gpu = replace(GPU, graphs=BATCHED)
    answers = [(Arrival(3, 0), [Run(1, 0, others=(0, 3)), Run(2, 0)])]
    arrivals = [(1.0, 0), (1.25, 0), (1.5, 0), (1.75, 0)]
    played = play(tmp_path, answers, arrivals, needs=needs, standing=[standing], gpu=gpu)
    assert played.after(1.75) == [(3.75, Finished(1, 0, others=(0, 3))), (4.75, Finished(2, 0))]
    batch = (1.75, 0.0, 2.0, 3.75)
    assert played.rows("started_at_s", "load_s", "run_s", "completed_at_s") == [
        batch, batch, (3.75, 0.0, 1.0, 4.75), batch,
    ]  # fmt: skip
    assert played.rows("arrival_at_s", "queued_at_s")[3] == (1.75, 1.75)


def test_a_batch_waits_in_line_and_may_be_late_as_a_whole(tmp_path):
    gpu = replace(GPU, graphs=BATCHED)
    answers = [
        (Arrival(2, 0), [Run(0, 0), Run(1, 0, 1.75, (2,))]),
        (Finished(1, 0, LATE, (2,)), [Run(2, 0, 2.0, (1,))]),
    ]
    played = play(tmp_path, answers, [(1.0, 0)] * 3, needs=BATCHES | LATEST, standing=ONE, gpu=gpu)
    assert played.after(1.0) == [
        (2.0, Finished(0, 0)), (2.0, Finished(1, 0, LATE, (2,))), (3.5, Finished(2, 0, others=(1,))),
    ]  # fmt: skip


def test_a_batch_loads_its_constants_once_and_all_of_a_cold_one_are_cold(tmp_path):
    gpu = replace(GPU, graphs=BATCHED, copies=SLOW)
    work = [Start(0, 0), Run(0, 0, others=(1,)), Run(2, 0)]
    needs = {*BATCHES, Need.EXECUTORS}
    played = play(tmp_path, [(Arrival(2, 0), work)], [(1.0, 0)] * 3, needs=needs, gpu=gpu, workers=[WorkerKind.KAAS])
    assert played.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (3.25, Finished(0, 0, others=(1,))), (4.25, Finished(2, 0)),
    ]  # fmt: skip
    assert played.rows("cold", "load_s", "constant_bytes", "h2d_bytes") == [
        (True, 0.25, 1, 1), (True, 0.25, 0, 0), (True, 0.0, 0, 0),
    ]  # fmt: skip


def test_what_is_no_constant_is_there_for_each_of_a_batch(tmp_path):
    """400 bytes of scratch each beside 100 of constants: two fit, when the other function has made room."""
    gpu = replace(GPU, graphs=BATCHED)
    functions = [function(0, 4, (100,), scratch_bytes=400), function(1, 1, (300,))]
    answers = [(Arrival(3, 0), [Run(0, 0), Run(1, 0), Run(2, 0, others=(3,))])]
    arrivals = [(1.0, 1), (1.0, 0), (1.0, 0), (1.0, 0)]
    played = play(tmp_path, answers, arrivals, functions, needs=BATCHES, standing=[Standing(0)], gpu=gpu)
    assert played.rows("n_evicted") == [(0,), (0,), (1,), (0,)]


def test_a_batch_beside_others_shares_the_device(tmp_path):
    gpu = replace(GPU, graphs=BATCHED)
    work = [Run(0, 0, others=(1,)), Run(2, 1)]
    standing = [Standing(0, 0, memory_bytes=500), Standing(0, 0, memory_bytes=500)]
    needs = {*BATCHES, Need.SHARED_DEVICES}
    played = play(tmp_path, [(Arrival(2, 0), work)], [(1.0, 0)] * 3, needs=needs, standing=standing, gpu=gpu)
    assert played.after(1.0) == [(3.0, Finished(2, 1)), (3.5, Finished(0, 0, others=(1,)))]
