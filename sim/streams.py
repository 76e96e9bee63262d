"""The random streams of a run: each is made from the run's seed and what it is for, so that none shifts another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream is for. Numbers differ and aren't 0: to NumPy, [seed, n] and [seed, n, 0] are one seed."""

    PLACEMENT = 1  # where in its minute a counted invocation arrives
    THINNING = 2  # which of the counted invocations stay at a lower rate
    DURATION = 3  # how long the trace says that an invocation takes
    COPIES = 4  # which invocations stay or come again at another rate, and when
    POLICY = 5  # what a policy draws
    SERVICE = 6  # what a world draws: how long things take
    CELL = 7  # the seeds of cells
    CLIENT = 11  # the requests of a client, one stream each
    ORDER = 13  # of clients whose requests come at one instant
    RUN_TIME = 14  # by how much run times differ from what is expected
    FAILURE = 15  # when workers, devices, nodes and links fail, and for how long
    PATIENCE = 16  # when clients give up, and when they ask again


def generator(seed: int, stream: Stream, *where: int) -> np.random.Generator:
    """The generator of a stream, at a place in it such as (day, minute); of one stream all places are equally long."""
    return np.random.default_rng([seed, stream, *where])
