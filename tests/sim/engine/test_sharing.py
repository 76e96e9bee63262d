"""Workers beside others on a device: memory is their room, and they share its compute."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import WorkerKind
from sim.protocol import (
    ANY_DEVICE,
    Arrival,
    Finished,
    Need,
    Run,
    Standing,
    Start,
    Stop,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from tests.sim.engine.by_script import GPU, SLOW, at, function, play

SHARED = {Need.SHARED_DEVICES}


def part(worker, memory_bytes, function=0, device=0, **more):
    return Start(worker, device, function, memory_bytes=memory_bytes, **more)


def test_memory_is_the_room_of_workers_beside_others(tmp_path):
    work = [part(0, 400), part(1, 600), part(2, 1), Run(0, 0), Run(1, 1), Run(2, 2), Stop(0)]
    played = play(tmp_path, [(Arrival(2, 0), work)], [(1.0, 0)] * 3, needs=SHARED)
    assert played.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (1.5, WorkerReady(1, 0)), (3.5, Finished(0, 0)), (3.5, Finished(1, 1)),
        (3.5, WorkerStopped(0)), (4.0, WorkerReady(2, 0)), (5.0, Finished(2, 2)),
    ]  # fmt: skip
    assert list(played.run.table("workers").device) == [0, 0, 0]


def test_a_worker_of_the_whole_device_waits_until_nobody_is_there_and_nobody_overtakes_it(tmp_path):
    answers = [
        (Arrival(0, 0), [part(0, 400), Start(1, 0, 0), part(2, 400), Run(0, 0), Stop(0)]),
        (WorkerReady(1, 0), [Stop(1)]),
    ]
    played = play(tmp_path, answers, [(1.0, 0)], needs=SHARED)
    assert played.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (2.5, Finished(0, 0)), (2.5, WorkerStopped(0)), (3.0, WorkerReady(1, 0)),
        (3.0, WorkerStopped(1)), (3.5, WorkerReady(2, 0)),
    ]  # fmt: skip


def test_on_any_device_it_gets_the_first_with_room(tmp_path):
    starts = [
        part(0, 700, 0, ANY_DEVICE),
        part(1, 700, 0, ANY_DEVICE),
        part(2, 300, 0, ANY_DEVICE),
        part(3, 300, 0, -1),
    ]
    played = play(tmp_path, [(Arrival(0, 0), [*starts, Run(0, 3)])], [(1.0, 0)], needs=SHARED, gpus=2)
    assert [event.device for _, event in played.log[1:5]] == [0, 1, 0, 1]


def test_who_waited_for_memory_waits_for_the_end_of_who_had_it_and_who_found_room_does_not(tmp_path):
    gpu = replace(GPU, startup_s=replace(GPU.startup_s, kill_release=0.25))
    answers = [
        (Arrival(0, 0), [part(0, 600), part(1, 600), Run(0, 0), Stop(0), at(2.75)]),
        (Woke("go"), [part(2, 400)]),
    ]
    played = play(tmp_path, answers, [(1.0, 0)], needs={*SHARED, Need.TIMERS}, gpu=gpu)
    assert played.after(2.5) == [(2.75, Woke("go")), (3.25, WorkerReady(1, 0)), (3.25, WorkerReady(2, 0))]
    assert list(played.run.table("workers").kill_release_s) == [0.0, 0.25, 0.0]


@pytest.mark.parametrize(
    ("sharing", "ends"),
    [
        ("mps", [(3.5, 0), (3.5, 1)]),
        ("turns", [(2.5, 0), (3.5, 1)]),
        ("slices[length=0.5]", [(3.0, 0), (3.5, 1)]),
        ("slices[length=0]", [(3.5, 0), (3.5, 1)]),
    ],
)
@pytest.mark.parametrize("per_kernel", [False, True])
def test_how_they_share_compute_is_the_affair_of_the_device(tmp_path, sharing, ends, per_kernel):
    work = [part(0, 500), part(1, 500), Run(0, 0), Run(1, 1)]
    played = play(
        tmp_path, [(Arrival(1, 0), work)], [(1.0, 0)] * 2, needs=SHARED, sharing=sharing, per_kernel=per_kernel
    )
    assert played.after(1.5) == [(at_s, Finished(i, i)) for at_s, i in ends]
    assert played.rows("started_at_s", "run_s") == [(1.5, at_s - 1.5) for at_s, _ in ends]


def test_a_cap_stretches_kernels_and_leaves_the_rest_to_others(tmp_path):
    work = [part(0, 500, share=0.5), part(1, 500, share=0.5), Run(0, 0), Run(1, 1), Run(2, 0), Run(3, 0)]
    played = play(tmp_path, [(Arrival(3, 0), work)], [(1.0, 0)] * 4, needs=SHARED)
    assert played.after(1.5) == [
        (3.5, Finished(0, 0)), (3.5, Finished(1, 1)), (5.5, Finished(2, 0)), (7.5, Finished(3, 0)),
    ]  # fmt: skip


def test_one_that_comes_slows_the_other_from_then_on(tmp_path):
    """Alone from 1.5 to 2.0, then half speed: 0.5 s of work in 1 s."""
    answers = [(Arrival(0, 0), [part(0, 500), part(1, 500), Run(0, 0)]), (Arrival(1, 0), [Run(1, 1)])]
    played = play(tmp_path, answers, [(1.0, 0), (2.0, 0)], needs=SHARED)
    assert played.after(2.0) == [(3.0, Finished(0, 0)), (3.5, Finished(1, 1))]


@pytest.mark.parametrize("memory_bytes", [None, 500])
def test_a_worker_runs_as_many_at_once_as_its_concurrency(tmp_path, memory_bytes):
    work = [Start(0, 0, 0, memory_bytes=memory_bytes, concurrency=2), Run(0, 0), Run(1, 0), Run(2, 0), Stop(0)]
    played = play(tmp_path, [(Arrival(2, 0), work)], [(1.0, 0)] * 3, needs={*SHARED, Need.CONCURRENCY})
    assert played.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (3.5, Finished(0, 0)), (3.5, Finished(1, 0)), (4.5, Finished(2, 0)),
        (4.5, WorkerStopped(0)),
    ]  # fmt: skip
    assert played.rows("started_at_s", "cold") == [(1.5, True), (1.5, True), (3.5, True)]


def test_a_worker_with_a_free_lane_begins_at_once(tmp_path):
    answers = [
        (Arrival(0, 0), [Start(0, 0, 0, concurrency=2)]),
        (Arrival(1, 0), [Run(0, 0), Run(1, 0)]),
    ]
    played = play(tmp_path, answers, [(1.0, 0), (2.0, 0)], needs={Need.CONCURRENCY}, sharing="turns")
    assert played.after(2.0) == [(3.0, Finished(0, 0)), (4.0, Finished(1, 0))]
    assert played.rows("started_at_s", "run_s", "cold") == [(2.0, 1.0, False), (2.0, 2.0, False)]


@pytest.mark.parametrize("memory_bytes", [None, 500])
def test_a_started_executor_begins_with_empty_memory(tmp_path, memory_bytes):
    """A byte takes 0.25 s, and each function has one; modules of a graph another 0.25 s."""
    gpu = replace(GPU, copies=SLOW, module_s=replace(GPU.module_s, kaas=0.25))
    answers = [
        (Arrival(1, 0), [Start(0, 0, memory_bytes=memory_bytes), Run(0, 0), Run(1, 0)]),
        (Finished(1, 0), [Stop(0), Start(1, 0, memory_bytes=memory_bytes)]),
        (WorkerReady(1, 0), [Run(2, 1)]),
    ]
    needs = {*SHARED, Need.EXECUTORS}
    played = play(tmp_path, answers, [(1.0, 0), (1.0, 0), (1.25, 0)], needs=needs, gpu=gpu, workers=[WorkerKind.KAAS])
    assert played.after(1.25) == [
        (1.5, WorkerReady(0, 0)), (3.0, Finished(0, 0)), (4.0, Finished(1, 0)), (4.0, WorkerStopped(0)),
        (4.5, WorkerReady(1, 0)), (6.0, Finished(2, 1)),
    ]  # fmt: skip
    assert played.rows("load_s", "constant_bytes") == [(0.5, 1), (0.0, 0), (0.5, 1)]


def test_the_memory_of_an_executor_is_its_part(tmp_path):
    """Room for two functions of three."""
    functions = [function(i, 1, (200,)) for i in range(3)]
    answers = [(Arrival(4, 0), [Start(0, 0, memory_bytes=500), *(Run(i, 0) for i in range(5))])]
    arrivals = [(1.0, f) for f in (0, 1, 2, 2, 0)]
    needs = {*SHARED, Need.EXECUTORS}
    played = play(tmp_path, answers, arrivals, functions, needs=needs, workers=[WorkerKind.KAAS])
    assert played.rows("constant_bytes", "n_evicted") == [(200, 0), (200, 0), (200, 1), (0, 0), (200, 1)]


def test_executors_and_processes_share_a_device(tmp_path):
    """Each kind has its own costs: a process has its constants when it is ready, an executor loads them then, behind
    those of the process on the link.
    """
    gpu = replace(GPU, copies=SLOW)
    work = [Start(0, 0, memory_bytes=500), part(1, 500), Run(0, 0), Run(1, 1)]
    needs = {*SHARED, Need.EXECUTORS}
    played = play(tmp_path, [(Arrival(1, 0), work)], [(1.0, 0)] * 2, needs=needs, gpu=gpu, sharing="turns")
    assert played.after(1.0) == [
        (1.5, WorkerReady(0, 0)), (1.75, WorkerReady(1, 0)), (2.75, Finished(1, 1)), (3.75, Finished(0, 0)),
    ]  # fmt: skip
    assert played.rows("load_s", "run_s") == [(0.5, 1.75), (0.0, 1.0)]
    assert list(played.run.table("workers").kind) == ["kaas", "exclusive"]


def test_workers_that_stand_share_with_those_that_are_started(tmp_path):
    """Alone from 1.0 to 1.5, then at half speed beside another."""
    answers = [(Arrival(0, 0), [Run(0, 0), part(1, 500)]), (WorkerReady(1, 0), [Run(1, 1)])]
    standing = [Standing(0, 0, memory_bytes=500)]
    played = play(tmp_path, answers, [(1.0, 0), (1.0, 0)], needs=SHARED, standing=standing)
    assert played.after(1.5) == [(2.5, Finished(0, 0)), (3.0, Finished(1, 1))]


def test_a_worker_that_stands_runs_as_many_at_once_as_its_concurrency(tmp_path):
    answers = [(Arrival(2, 0), [Run(i, 0) for i in range(3)])]
    standing = [Standing(0, 0, concurrency=2)]
    played = play(tmp_path, answers, [(1.0, 0)] * 3, needs={Need.CONCURRENCY}, standing=standing)
    assert played.after(1.0) == [(3.0, Finished(0, 0)), (3.0, Finished(1, 0)), (4.0, Finished(2, 0))]
