"""Random streams: what is drawn for one thing changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.policies.balance import Balance
from sim.streams import Stream, generator
from tests.support import V100, own, poisson, simulate


@dataclass
class Gambler(Balance):
    """As balance, but it draws all the time, and for nothing."""

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self._rng = rng

    def on_event(self, now_s, event, view):
        self._rng.random(7)
        self._rng.spawn(1)
        return super().on_event(now_s, event, view)


def test_what_a_policy_draws_changes_nothing_else(tmp_path):
    workload = own(poisson(600, 150.0, "constant", seed=1))
    one, other = (
        simulate(workload, p, tmp_path / p.__class__.__name__, calibration=V100) for p in (Balance(), Gambler())
    )
    assert (one.table("invocations").queued_at_s > one.table("invocations").arrival_at_s).any()
    assert one.table("invocations").equals(other.table("invocations"))


def test_streams_have_a_number_each_that_stays():
    """A number that changes changes what every seed gives."""
    told = {"PLACEMENT": 1, "THINNING": 2, "DURATION": 3, "COPIES": 4, "POLICY": 5, "SERVICE": 6, "CELL": 7}
    told |= {"CLIENT": 11, "ORDER": 13, "RUN_TIME": 14, "FAILURE": 15, "PATIENCE": 16}
    assert {stream.name: stream.value for stream in Stream} == told


def test_what_one_stream_draws_shifts_no_other():
    alone = {stream: generator(3, stream).random(5).tolist() for stream in Stream}
    streams = {stream: generator(3, stream) for stream in Stream}
    drawn = {stream: [] for stream in Stream}
    for _ in range(5):
        for stream, rng in streams.items():
            drawn[stream].append(rng.random())
    assert drawn == alone


def test_no_stream_of_a_seed_is_another_one():
    first = {generator(3, stream, *where).random() for stream in Stream for where in ((1, 2), (0, 1), (2, 1))}
    assert len(first) == 3 * len(Stream)
    same = generator(3, Stream.POLICY), generator(3, Stream.DURATION, 0, 0)  # NumPy pads seeds with zeros
    assert len({rng.random() for rng in same}) == 2
    assert np.array_equal(generator(3, Stream.POLICY).random(9), generator(3, Stream.POLICY).random(9))
