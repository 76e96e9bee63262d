"""Loads and evictions that a policy orders: a byte of constants takes 0.25 s."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import WorkerKind
from sim.errors import PolicyError
from sim.protocol import Arrival, Evict, Finished, Load, Loaded, Need, Run, Standing, Stop, Woke, WorkerStopped
from tests.sim.engine.by_script import GPU, SLOW, at, function, play

NEEDS = {Need.RESIDENCY, Need.TIMERS}
SLOW_GPU = replace(GPU, copies=SLOW)


def played(directory, answers, arrivals, functions=(), **more):
    standing = [Standing(0)]
    options = {"needs": NEEDS, "standing": standing, "workers": [WorkerKind.KAAS], "gpu": SLOW_GPU} | more
    return play(directory, answers, arrivals, functions, **options)


def test_what_was_loaded_is_there_for_the_next_run(tmp_path):
    answers = [(Arrival(0, 0), [Load(0, 0), Load(0, 1)]), (Loaded(0, 1), [Run(0, 0)])]
    functions = [function(0), function(1)]
    told = played(tmp_path, answers, [(1.0, 0)], functions)
    assert told.after(1.0) == [(1.25, Loaded(0, 0)), (1.5, Loaded(0, 1)), (2.5, Finished(0, 0))]
    assert told.rows("load_s", "constant_bytes", "h2d_bytes") == [(0.0, 0, 0)]
    assert list(told.run.table("workers").h2d_bytes) == [2]
    assert told.run.summary["h2d_bytes"] == 2


def test_what_is_there_already_is_told_at_once(tmp_path):
    answers = [(Arrival(0, 0), [Load(0, 0), at(2.0)]), (Woke("go"), [Load(0, 0), Run(0, 0)])]
    told = played(tmp_path, answers, [(1.0, 0)])
    assert told.after(1.0) == [(1.25, Loaded(0, 0)), (2.0, Woke("go")), (2.0, Loaded(0, 0)), (3.0, Finished(0, 0))]


def test_a_run_waits_for_what_is_being_loaded_and_so_does_a_second_load(tmp_path):
    functions = [function(0, 4, (4,))]
    answers = [(Arrival(0, 0), [Load(0, 0), at(1.5)]), (Woke("go"), [Run(0, 0), Load(0, 0)])]
    told = played(tmp_path, answers, [(1.0, 0)], functions)
    assert told.after(1.5) == [(2.0, Loaded(0, 0)), (2.0, Loaded(0, 0)), (3.0, Finished(0, 0))]
    assert told.rows("started_at_s", "load_s", "constant_bytes") == [(1.5, 0.5, 0)]


def test_a_load_goes_on_beside_what_runs_behind_it_on_the_link(tmp_path):
    functions = [function(0, 4, (1,)), function(1, 4, (2,))]
    answers = [(Arrival(1, 1), [Run(0, 0), Load(0, 1), Run(1, 0)])]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 1)], functions)
    assert told.after(1.0) == [(1.75, Loaded(0, 1)), (2.25, Finished(0, 0)), (3.25, Finished(1, 0))]
    assert told.rows("load_s") == [(0.25,), (0.0,)]


def test_an_eviction_makes_room_and_what_was_evicted_is_loaded_again(tmp_path):
    answers = [(Arrival(1, 0), [Run(0, 0)]), (Finished(0, 0), [Evict(0, 0), Evict(0, 0), Run(1, 0)])]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 0)])
    assert told.after(1.0) == [(2.25, Finished(0, 0)), (3.5, Finished(1, 0))]
    assert told.rows("constant_bytes", "n_evicted") == [(1, 0), (1, 0)]


@pytest.mark.parametrize("orders", [[Run(0, 0), Evict(0, 0)], [Load(0, 0), Evict(0, 0)]], ids=["runs", "is loaded"])
def test_what_runs_or_is_being_loaded_can_not_be_evicted(tmp_path, orders):
    with pytest.raises(PolicyError, match=r"^Evict\(worker=0, function=0\) refused: the worker runs or loads this"):
        played(tmp_path, [(Arrival(0, 0), orders)], [(1.0, 0)])


def test_a_load_evicts_what_is_not_needed_but_not_what_runs(tmp_path):
    """600 of 1000 bytes run; 300 are idle, and make room for 400. No more fits then, until the run is over."""
    sizes = (600, 300, 400, 500)
    functions = [function(i, 4, (size,)) for i, size in enumerate(sizes)]
    answers = [
        (Arrival(0, 0), [Load(0, 1), Run(0, 0), at(1.5)]),
        (Woke("go"), [Load(0, 3), Load(0, 2)]),
        (Finished(0, 0), [Load(0, 3)]),
    ]
    told = played(tmp_path, answers, [(1.0, 0)], functions, gpu=GPU)
    assert told.after(1.0) == [
        (1.5, Woke("go")), (1.5, Loaded(0, 3, resident=False)), (1.5, Loaded(0, 2)), (2.0, Finished(0, 0)),
        (2.0, Loaded(0, 3)),
    ]  # fmt: skip


def test_what_a_run_needs_beside_its_constants_is_no_room_for_a_load(tmp_path):
    functions = [function(0, 4, (100,), scratch_bytes=500), function(1, 4, (400,)), function(2, 4, (401,))]
    answers = [(Arrival(0, 0), [Run(0, 0), at(1.5)]), (Woke("go"), [Load(0, 2), Load(0, 1)])]
    told = played(tmp_path, answers, [(1.0, 0)], functions, gpu=GPU)
    assert told.after(1.0)[1:3] == [(1.5, Loaded(0, 2, resident=False)), (1.5, Loaded(0, 1))]


def test_a_worker_that_is_gone_loads_nothing(tmp_path):
    answers = [(Arrival(0, 0), [Load(0, 0), Stop(0), Run(0, 1)])]
    standing = [Standing(0), Standing(1)]
    needs = {*NEEDS, Need.EXECUTORS}
    told = played(tmp_path, answers, [(1.0, 0)], standing=standing, gpus=2, needs=needs)
    assert told.after(0.0)[1:] == [(1.0, WorkerStopped(0)), (2.25, Finished(0, 1))]


def test_a_run_of_what_is_being_loaded_keeps_its_place_for_others(tmp_path):
    """Of two functions that fill the memory, the one that runs stays when the other is asked for, which has no room."""
    functions = [function(0, 4, (900,)), function(1, 4, (200,))]
    answers = [(Arrival(1, 1), [Load(0, 0), Run(0, 0), Load(0, 1), Run(1, 0)])]
    told = played(tmp_path, answers, [(1.0, 0), (1.0, 1)], functions, gpu=GPU)
    assert told.after(0.0)[2:] == [
        (1.0, Loaded(0, 1, resident=False)), (1.0, Loaded(0, 0)), (2.0, Finished(0, 0)), (3.0, Finished(1, 0)),
    ]  # fmt: skip
    assert told.rows("constant_bytes") == [(0,), (200,)]
