"""Constants that come from farther than host memory.

Four bytes take 2.25 s from disk (a quarter before the first), 0.5 s into pinned memory, and 1 s from there.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.domain import WorkerKind
from sim.models.constants import ConstantsSettings
from sim.models.tiers import Rung, Tiers
from sim.protocol import Arrival, Finished, Load, Loaded, Need, Run, Standing, Start, WorkerReady
from tests.sim.engine.by_script import GPU, function, play

TIERED = replace(
    GPU, tiers=Tiers(pinned=Rung(4.0, group_s=0.125), pageable=Rung(8.0), disk=Rung(2.0, fixed_s=0.25, group_s=0.125))
)
EXECUTORS = [Standing(0), Standing(1)]
FOUR = [function(0, 4, (4,))]
BOTH = [(Arrival(1, 0), [Run(0, 0), Run(1, 1)])]


def tiered(directory, answers, arrivals, functions=FOUR, *, standing=EXECUTORS, **more):
    settings = {name: more.pop(name) for name in list(more) if name in ConstantsSettings.__dataclass_fields__}
    constants = ConstantsSettings(**settings)
    return play(
        directory, answers, arrivals, functions, gpu=TIERED, constants=constants, standing=standing, gpus=2, **more
    )


@pytest.mark.parametrize(("home", "load_s"), [("pinned", 1.0), ("pageable", 1.5), ("disk", 3.75)])
def test_what_comes_whole_takes_the_sum_of_its_rungs(tmp_path, home, load_s):
    told = tiered(tmp_path, [(Arrival(0, 0), [Run(0, 0)])], [(1.0, 0)], home=home, workers=[WorkerKind.KAAS])
    assert told.after(1.0) == [(1.0 + load_s + 1.0, Finished(0, 0))]
    assert told.rows("load_s", "run_s", "constant_bytes") == [(load_s, 1.0, 4)]


@pytest.mark.parametrize(("home", "load_s"), [("pinned", 1.0), ("pageable", 1.5), ("disk", 3.75)])
def test_a_process_waits_for_its_constants_before_it_is_ready(tmp_path, home, load_s):
    answers = [(Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)])]
    told = tiered(tmp_path, answers, [(1.0, 0)], home=home, standing=(), workers=[WorkerKind.EXCLUSIVE])
    assert told.after(1.0) == [(1.5 + load_s, WorkerReady(0, 0)), (2.5 + load_s, Finished(0, 0))]
    workers = told.run.table("workers")
    assert (workers.process_s[0], workers.constants_s[0]) == (0.5, load_s)


def test_host_memory_keeps_what_was_read(tmp_path):
    """The second device finds it in pageable memory, then in pinned memory of enough room."""
    answers = [(Arrival(0, 0), [Run(0, 0)]), (Finished(0, 0), [Run(1, 1)])]
    for pinned_bytes, load_s in ((0, 1.5), (4, 1.0)):
        told = tiered(
            tmp_path / str(pinned_bytes), answers, [(1.0, 0), (1.0, 0)], home="disk", host_memory_bytes=4,
            pinned_bytes=pinned_bytes,
        )  # fmt: skip
        assert told.rows("load_s") == [(3.75,), (load_s,)]


def test_nodes_keep_their_own(tmp_path):
    answers = [(Arrival(0, 0), [Run(0, 0)]), (Finished(0, 0), [Run(1, 1)])]
    more = {"home": "disk", "host_memory_bytes": 4, "gpus_per_node": 1}
    assert tiered(tmp_path, answers, [(1.0, 0), (1.0, 0)], **more).rows("load_s") == [(3.75,), (3.75,)]


def test_two_loads_at_once_share_what_the_first_brings(tmp_path):
    """From disk until 3.25, from where each goes on by itself, over a link of its own."""
    told = tiered(tmp_path, BOTH, [(1.0, 0), (1.0, 0)], home="disk", host_memory_bytes=4)
    assert told.rows("load_s") == [(3.75,), (3.75,)]


def test_two_loads_that_nobody_keeps_queue_for_the_disk(tmp_path):
    told = tiered(tmp_path, BOTH, [(1.0, 0), (1.0, 0)], home="disk")
    assert told.rows("load_s") == [(3.75,), (6.0,)]


def test_devices_that_share_a_link_queue_for_it(tmp_path):
    told = tiered(tmp_path, BOTH, [(1.0, 0), (1.0, 0)], home="pageable", gpus_per_link=2)
    assert told.rows("load_s") == [(1.5,), (2.5,)]


def test_kernels_begin_when_their_groups_are_there(tmp_path):
    """Groups of 4 and 2 bytes: there after 1 s and 1.625 s; kernels 1 to 3 wait for the second."""
    functions = [function(0, 4, (4, 2))]
    answers = [(Arrival(0, 0), [Run(0, 0)])]
    told = tiered(tmp_path, answers, [(1.0, 0)], functions, home="pinned", loading="pipelined", group_bytes=4)
    assert told.rows("load_s", "run_s", "completed_at_s") == [(1.375, 1.0, 3.375)]
    whole = tiered(tmp_path / "whole", answers, [(1.0, 0)], functions, home="pinned")
    assert whole.rows("load_s", "run_s", "completed_at_s") == [(1.5, 1.0, 3.5)]


def test_groups_are_on_several_rungs_at_once(tmp_path):
    """Whole, 8 bytes take 4.25 + 1 + 2 s. In groups of 4, they are read after 2.25 and 4.375 s, pinned after 2.75 and
    4.875 s, and on the device after 3.75 and 6 s. Three kernels wait for the second.
    """
    functions = [function(0, 4, (4, 4))]
    answers = [(Arrival(0, 0), [Run(0, 0)])]
    more = {"home": "disk", "group_bytes": 4}
    told = tiered(tmp_path, answers, [(1.0, 0)], functions, loading="pipelined", **more)
    assert told.rows("completed_at_s") == [(1.0 + 6.0 + 0.75,)]
    assert tiered(tmp_path / "whole", answers, [(1.0, 0)], functions, **more).rows("completed_at_s") == [(9.25,)]


def test_an_ordered_load_comes_the_same_way_and_runs_wait_for_it(tmp_path):
    answers = [(Arrival(1, 0), [Load(0, 0), Run(0, 0), Run(1, 1)])]
    told = tiered(
        tmp_path, answers, [(1.0, 0), (1.0, 0)], home="disk", host_memory_bytes=4, needs={Need.RESIDENCY},
        workers=[WorkerKind.KAAS],
    )  # fmt: skip
    assert told.after(1.0) == [(4.75, Loaded(0, 0)), (5.75, Finished(1, 1)), (5.75, Finished(0, 0))]
    assert told.rows("load_s", "constant_bytes") == [(3.75, 0), (3.75, 4)]
