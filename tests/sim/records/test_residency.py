"""The residency table: stays by hand, and of whole runs, whose sums are the memory in use."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sim.domain import WorkerKind
from sim.models.memory import BufferCache
from sim.models.startup import Ladder
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.protocol import Arrival, Evict, Load, Loaded, Need, Run, Standing
from sim.records.residency import ResidencyLog
from sim.workload import bind
from tests.sim.engine.by_script import GPU, SLOW, function, play
from tests.support import POOL, poisson, simulate

NAN = math.nan
GIB = 2**30


def rows(directory):
    """The table, as tuples with None for NaN."""
    table = pd.read_parquet(directory / "residency.parquet").astype({"reason": str})
    return [tuple(None if value != value else value for value in row) for row in table.itertuples(index=False)]


def in_use(stays, at_s):
    """Bytes of the stays of a frame at an instant, after all that happens then."""
    there = (stays["loaded_at_s"] <= at_s) & ~(stays["left_at_s"] <= at_s)
    return int(stays.loc[there, "bytes"].sum())


def test_what_came_last_leaves_first_and_what_is_left_goes_with_the_worker(tmp_path):
    log = ResidencyLog(tmp_path)
    log.changed(1.0, 0, 3, 7, 100, "")
    log.changed(2.0, 0, 3, 7, 40, "evicted")
    log.changed(3.0, 0, 3, 7, 40, "")
    log.changed(4.0, 0, 3, 7, 50, "ordered")
    log.worker(0, 3, -1, (0.0, 0.0, 9.0), None, 0, 0.0)
    log.changed(5.0, 1, 3, 2, 10, "")
    log.worker(1, 3, -1, (0.0, 0.0, NAN), None, 0, 0.0)
    log.close()
    assert rows(tmp_path) == [
        (0, 3, 7, 40, 1.0, 2.0, "evicted"),
        (0, 3, 7, 40, 3.0, 4.0, "ordered"),
        (0, 3, 7, 10, 1.0, 4.0, "ordered"),
        (0, 3, 7, 50, 1.0, 9.0, "gone"),
        (1, 3, 2, 10, 5.0, None, ""),
    ]


def test_a_worker_of_a_function_has_its_constants_from_their_stage_on(tmp_path):
    log = ResidencyLog(tmp_path)
    log.worker(0, 0, 4, (0.0, 7.0, 9.0), Ladder(0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.5), 100, 0.5)
    log.worker(1, 0, 5, (0.0, NAN, 9.0), None, 100, NAN)  # never got ready
    log.worker(2, 0, 6, (0.0, 0.0, NAN), None, 100, 0.0)  # was there from the beginning
    log.close()
    assert rows(tmp_path) == [(0, 0, 4, 100, 4.5, 9.0, "gone"), (2, 0, 6, 100, 0.0, None, "")]


def test_orders_of_a_policy_are_told_apart_from_a_lack_of_room(tmp_path):
    answers = [(Arrival(0, 0), [Load(0, 0)]), (Loaded(0, 0), [Evict(0, 0), Load(0, 1)]), (Loaded(0, 1), [Run(0, 0)])]
    options = {"needs": {Need.RESIDENCY, Need.TIMERS}, "standing": [Standing(0)], "workers": [WorkerKind.KAAS]}
    functions = [function(0), function(1)]
    play(tmp_path, answers, [(1.0, 0)], functions, gpu=replace(GPU, copies=SLOW), stays=True, **options)
    assert [(row[2], *row[4:]) for row in rows(tmp_path)] == [
        (0, 1.0, 1.25, "ordered"),
        (0, 1.5, None, ""),
        (1, 1.25, None, ""),
    ]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Executors whose memory is too small for all functions, and what they had in it after each change, by worker."""
    calibration = replace(POOL, device=replace(POOL.device, memory_bytes=5 * GIB))
    workload = bind(poisson(400, 3.0, "constant", 5, 12), catalogue=load_catalogue("kaas"))
    directory = tmp_path_factory.mktemp("crowded")
    run = simulate(workload, make_policy("balance"), directory, gpus=2, calibration=calibration, stays=True)
    return run, run.table("residency")


def test_the_memory_in_use_never_exceeds_what_there_is(crowded):
    _, stays = crowded
    assert (stays["reason"] == "evicted").sum() > 20
    for _, its in stays.groupby("device"):
        edges = np.unique(its[["loaded_at_s", "left_at_s"]].to_numpy())
        used = [in_use(its, at_s) for at_s in edges[~np.isnan(edges)]]
        assert 0 < max(used) < 5 * GIB
    assert (stays["left_at_s"].fillna(np.inf) >= stays["loaded_at_s"]).all()


def test_what_was_loaded_for_invocations_is_what_came(crowded):
    """A graph may have temporaries that are cached and not copied, so what came is at least what was loaded."""
    run, stays = crowded
    loaded = run.table("invocations").groupby("function")["constant_bytes"].sum()
    came = stays.groupby("function")["bytes"].sum()
    assert (came >= loaded[came.index]).all()
    assert set(stays["loaded_at_s"].round(6)) <= set(
        (run.table("invocations")["started_at_s"] - run.table("invocations")["dispatch_s"]).round(6)
    )


def test_at_every_instant_the_stays_are_what_the_cache_has(tmp_path, monkeypatch):
    """The very caches of the run, asked after every request."""
    asked = []
    request = BufferCache.request

    def watching(cache, *args):
        placement = request(cache, *args)
        asked.append((cache, cache.resident_bytes))
        return placement

    monkeypatch.setattr(BufferCache, "request", watching)
    calibration = replace(POOL, device=replace(POOL.device, memory_bytes=5 * GIB))
    workload = bind(poisson(200, 3.0, "constant", 5, 12), catalogue=load_catalogue("kaas"))
    run = simulate(workload, make_policy("affinity"), tmp_path, calibration=calibration, stays=True)
    rows = run.table("invocations").sort_values("started_at_s")
    stays = run.table("residency")
    began_at_s = (rows["started_at_s"] - rows["dispatch_s"]).tolist()
    assert len(asked) == len(began_at_s) == 200
    assert [in_use(stays, at_s + 1e-9) for at_s in began_at_s] == [n_bytes for _, n_bytes in asked]


def test_without_being_asked_nothing_is_recorded(tmp_path):
    workload = bind(poisson(20, 3.0, "constant", 5, 2), catalogue=load_catalogue("kaas"))
    simulate(workload, make_policy("balance"), tmp_path, calibration=POOL)
    assert not (tmp_path / "residency.parquet").exists()
