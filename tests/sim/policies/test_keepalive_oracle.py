"""With room for everybody a fixed keep-alive follows from the arrivals alone, to the last bit: cold starts, the life of
every worker, and so the memory that is held for nothing.

A worker is found warm by who comes at the very instant at which it gets free, or at which it ends.
"""

from __future__ import annotations

from collections import defaultdict
from math import fsum, inf
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.models.calibration import Copies, Startup
from sim.policies import make_policy
from sim.workload import bind
from tests.support import ListTrace, ideal, simulate
from tests.traces.conftest import SAMPLES
from traces.open import open_trace
from traces.synth.azure2019 import write_azure2019

MINUTES = (1, 10, 60)
AT_ONCE = ideal(
    startup_s=Startup(kill_release=0, process=0, runtime=0, context=0, first_run=0), copies=Copies(inf, inf, inf)
)


def predicted(arrivals, ttl_s, reuse):
    """Worker of each arrival (instant, function, seconds), and of each worker (start, function, end).

    The life of a function's workers, without policy, events or other functions. Of workers that get free at the same
    instant, the one that was given its work later is the more recent.
    """
    ran_on, born, ends, of_function = [], [], [], defaultdict(dict)
    for number, (at_s, function, run_s) in enumerate(arrivals):
        free = of_function[function]  # worker -> (instant at which it gets free, its last arrival)
        warm = [w for w, (free_s, _) in free.items() if free_s <= at_s <= free_s + ttl_s]
        if warm:
            worker = (max if reuse == "recent" else min)(warm, key=free.__getitem__)
        else:
            worker = len(born)
            born.append((at_s, function))
            ends.append(0.0)
            of_function[function] = free = {w: f for w, f in free.items() if f[0] + ttl_s >= at_s}
        free[worker] = (at_s + run_s, number)
        ends[worker] = at_s + run_s + ttl_s
        ran_on.append(worker)
    return ran_on, [(at_s, function, end_s) for (at_s, function), end_s in zip(born, ends, strict=True)]


def alive_over_time(start_s, end_s):
    """Instants at which the number of workers changes, and the number after each."""
    at_s = np.concatenate([start_s, end_s])
    change = np.repeat([1, -1], [len(start_s), len(end_s)])
    instants, place = np.unique(at_s, return_inverse=True)
    return instants.tolist(), np.cumsum(np.bincount(place, change)).astype(int).tolist()


class Load:
    """A trace, and its arrivals as (instant, function, seconds)."""

    def __init__(self, trace):
        self.workload = bind(trace, catalogue=None)
        run_s = [function.run_s for function in self.workload.functions]
        self.arrivals = [
            (at_s, function, run_s[function] * size)
            for batch in self.workload.batches()
            for at_s, function, size in zip(*(column.tolist() for column in batch[1:]), strict=True)
        ]


def check(load, minutes, reuse, directory):
    arrivals, functions = load.arrivals, load.workload.functions
    ran_on, workers = predicted(arrivals, 60.0 * minutes, reuse)
    start_s, function, end_s = (np.array(column) for column in zip(*workers, strict=True))
    instants, n_alive = alive_over_time(start_s, end_s)
    n_bytes = np.array([f.graph.buffers[0].size_bytes for f in functions])
    busy = fsum(n_bytes[function] * ((at_s + run_s) - at_s) for at_s, function, run_s in arrivals)
    wasted = fsum(n_bytes[function] * (end_s - start_s)) - busy

    policy = make_policy(f"keepalive[ttl={60 * minutes},reuse={reuse}]")
    room = {"gpus": max(n_alive) + 1, "calibration": AT_ONCE, "sharing": "turns"}  # a GPU for each
    run = simulate(load.workload, policy, directory, **room, check=False)
    rows = run.table("invocations").sort_values("invocation")
    told = run.table("workers").sort_values("worker")
    assert rows.worker.tolist() == ran_on
    assert rows.cold.sum() == run.summary["cold_starts"] == len(workers)
    assert told.function.tolist() == function.tolist()
    assert told.ready_at_s.tolist() == start_s.tolist()
    assert told.stopped_at_s.tolist() == end_s.tolist()
    assert alive_over_time(told.ready_at_s, told.stopped_at_s) == (instants, n_alive)
    busy = fsum(n_bytes[rows.function] * (rows.completed_at_s - rows.arrival_at_s))
    assert fsum(n_bytes[told.function] * (told.stopped_at_s - told.ready_at_s)) - busy == wasted
    assert (rows.started_at_s == rows.arrival_at_s).all(), "somebody waited"


@pytest.fixture(scope="module")
def hour():
    """An hour of a sample of Azure Functions 2019."""
    sample = SAMPLES / "azure2019-500fn"
    if not sample.exists():
        pytest.skip(f"no real sample at {sample}")
    return Load(open_trace([sample], window="08:00-09:00"))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """20 minutes of bursts: all invocations of a minute at its start."""
    directory = tmp_path_factory.mktemp("synthetic")
    write_azure2019(directory / "trace", n_functions=30, minutes=20, rate_per_s=2.0, seed=3)
    return Load(open_trace([directory / "trace"], placement="start"))


@pytest.mark.parametrize("reuse", ["recent", "oldest"])
@pytest.mark.parametrize("minutes", MINUTES)
@pytest.mark.parametrize("load", ["hour", "synthetic"])
def test_what_a_keep_alive_costs_follows_from_the_arrivals(load, minutes, reuse, tmp_path, request):
    check(request.getfixturevalue(load), minutes, reuse, tmp_path / "run")


@given(
    st.lists(
        st.tuples(st.integers(0, 400).map(lambda n: n / 4), st.integers(0, 3), st.integers(1, 40).map(lambda n: n / 4)),
        min_size=1,
        max_size=40,
    ).map(sorted),
    st.sampled_from(["recent", "oldest"]),
)
def test_on_any_trace(arrivals, reuse):
    """On quarters of seconds, so that workers get free and end when somebody comes."""
    with TemporaryDirectory() as directory:
        check(Load(ListTrace(*zip(*arrivals, strict=True))), 1 / 12, reuse, Path(directory) / "run")
