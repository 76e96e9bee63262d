"""The smallest thing that can serve a load: servers with one queue, and a fixed service time."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

from sim.domain import ArrivalChunk, ClosedTrace, Trace

REPLY, ARRIVAL = 0, 1  # of the same instant, replies come first


class Served(NamedTuple):
    """Columns of the requests in order of arrival."""

    function: np.ndarray
    arrival_at_s: np.ndarray
    replied_at_s: np.ndarray

    @property
    def latency_s(self):
        return self.replied_at_s - self.arrival_at_s


def arrivals(trace: Trace) -> ArrivalChunk:
    """All arrivals of an open load in one."""
    columns = zip(*((c.at_s, c.function, c.duration_s) for c in trace.chunks()), strict=True)
    return ArrivalChunk(*map(np.concatenate, columns))


def serve(trace: Trace, servers: int, service_s: float = 1.0) -> Served:
    """First come, first served. Replies reach the loop at once."""
    loop = trace if isinstance(trace, ClosedTrace) else None
    if loop is not None:
        loop.reset()
    first = arrivals(trace)
    events = [(at_s, ARRIVAL, n, f) for n, (at_s, f) in enumerate(zip(first.at_s, first.function, strict=True))]
    number = len(events)
    heapify(events)
    free_at_s = [0.0] * servers
    rows = []
    while events:
        now_s, kind, _, function = heappop(events)
        if kind == ARRIVAL:
            end_at_s = max(now_s, heappop(free_at_s)) + service_s
            heappush(free_at_s, end_at_s)
            rows.append((function, now_s, end_at_s))
            heappush(events, (end_at_s, REPLY, len(rows), function))
        elif loop is not None:
            for at_s, another in loop.again(now_s, function):
                assert at_s >= now_s
                heappush(events, (at_s, ARRIVAL, number, another))
                number += 1
    return Served(*map(np.array, zip(*rows, strict=True)))
