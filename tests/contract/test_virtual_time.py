"""Where time is virtual, worlds tell the same at the same instants, in the same order, whatever a policy orders.

All instants are quarters of seconds, so that many things happen at once and floating point is exact.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.policies import make_policy
from sim.protocol import ANY_DEVICE, Arrival, Finished, Need, Run, Standing, Start, Stop, WorkerReady, WorkerStopped
from tests.contract.policies import Drawn, Script
from tests.contract.rules import check
from tests.contract.scripted import FLEET_MEMORY_BYTES
from tests.contract.worlds import ScriptLoad, scripted, simulated
from tests.support import ELASTIC

N_FUNCTIONS, N_GPUS = 3, 3
Quarters = st.integers(1, 4).map(lambda n: n / 4)
Functions = st.integers(0, N_FUNCTIONS - 1)
Words = st.sampled_from(["start", "run", "batch", "stop", "reject", "wake"])
Moves = st.lists(st.tuples(Words, st.integers(0, 11)), max_size=4)
Needs = st.sampled_from([(), (Need.TIMERS,), (Need.TIMERS, Need.LATEST, Need.BATCHES)])


@st.composite
def loads(draw):
    """Up to 12 arrivals; from 1 s on, beside which the seconds of an ideal copy vanish."""
    arrivals = draw(st.lists(st.tuples(st.integers(4, 16).map(lambda n: n / 4), Functions), min_size=1, max_size=12))
    run_s = draw(st.lists(Quarters, min_size=N_FUNCTIONS, max_size=N_FUNCTIONS))
    start_s = draw(st.sampled_from([0.0, 0.25, 0.5]))
    return ScriptLoad(sorted(arrivals), run_s, draw(st.integers(1, N_GPUS)), start_s)


def agreed(policy, load):
    """What the scripted and the simulated world told, which is the same and by the rules."""
    with TemporaryDirectory() as directory:
        told = simulated(policy, load, Path(directory))
    assert told.log == scripted(policy, load, Path()).log
    check(told, policy, load)
    return told


@st.composite
def odd_loads(draw):
    """The same with instants and seconds that hardly ever coincide, unless one follows from the other."""
    odd_s = st.integers(2**19, 2**22).map(lambda n: n / 2**20)
    arrivals = draw(
        st.lists(st.tuples(odd_s, Functions), min_size=1, max_size=12, unique_by=lambda arrival: arrival[0])
    )
    of_each = draw(st.lists(odd_s, min_size=len(arrivals), max_size=len(arrivals), unique=True))
    start_s, n_gpus = draw(st.sampled_from([0.25, 0.5])), draw(st.integers(1, N_GPUS))
    return ScriptLoad(sorted(arrivals), [1.0] * N_FUNCTIONS, n_gpus, start_s, of_each)


@given(odd_loads(), st.lists(Moves, max_size=25), st.booleans(), Needs)
def test_workers_beside_others(load, answers, stands, needs):
    """Where workers share a device, what ends at one instant need not be told in the order of its causes."""
    part = FLEET_MEMORY_BYTES // 4
    standing = [Standing(0, f, memory_bytes=part) for f in range(N_FUNCTIONS)] if stands else []
    told = agreed(Drawn(answers, standing, needs, parts=True), load)
    arrivals = [event.invocation for event in told.events if isinstance(event, Arrival)]
    assert arrivals == list(range(len(load.arrivals)))


@given(loads(), st.lists(Moves, max_size=25), st.sets(st.integers(0, N_GPUS - 1)), Functions, Needs)
def test_whatever_is_ordered(load, answers, stands, function, needs):
    standing = [
        Standing(device, (device + function) % N_FUNCTIONS) for device in sorted(stands) if device < load.n_gpus
    ]
    told = agreed(Drawn(answers, standing, needs), load)
    arrivals = [event.invocation for event in told.events if isinstance(event, Arrival)]
    assert arrivals == list(range(len(load.arrivals)))


@pytest.mark.parametrize("name", ELASTIC)
def test_the_built_in_policies(name):
    rng = np.random.default_rng(5)
    at_s, function = np.sort(rng.integers(4, 204, 150)) / 4, rng.integers(0, 7, 150)
    run_s = [0.25, 0.5, 1.0, 1.25, 1.5, 1.75, 0.75]
    agreed(make_policy(name), ScriptLoad([*zip(at_s.tolist(), function.tolist(), strict=True)], run_s, 3))


def test_of_one_instant_completions_come_first_then_workers_then_arrivals_then_what_they_set_off():
    answers = [
        (Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)]),
        (Arrival(1, 0), [Start(1, 1, 0), Run(1, 0)]),
        (Arrival(2, 0), [Stop(1), Run(2, 0)]),
    ]
    told = agreed(Script(answers), ScriptLoad([(1.0, 0), (1.5, 0), (2.0, 0)], [0.5], 2))
    assert [event for now_s, event, _ in told.log if now_s == 2.0] == [
        Finished(0, 0), WorkerReady(1, 1), Arrival(2, 0), WorkerStopped(1),
    ]  # fmt: skip


def test_what_is_alike_comes_in_the_order_of_its_causes():
    """What began first ends first; then workers are gone as they ended, not as they were told to stop."""
    answers = [
        (Arrival(0, 0), [Start(0, ANY_DEVICE, 0), Start(1, ANY_DEVICE, 1)]),
        (Arrival(1, 1), [Run(1, 1)]),
        (Arrival(2, 0), [Run(2, 0), Stop(0), Stop(1)]),
    ]
    told = agreed(Script(answers), ScriptLoad([(1.0, 0), (2.0, 1), (2.5, 0)], [0.5, 1.0], 2))
    assert [event for now_s, event, _ in told.log if now_s == 1.5] == [WorkerReady(0, 0), WorkerReady(1, 1)]
    assert [event for now_s, event, _ in told.log if now_s == 3.0] == [
        Finished(1, 1), Finished(2, 0), WorkerStopped(1), WorkerStopped(0),
    ]  # fmt: skip
