"""The host's part of a request's way: a gate, cores for host stages, and a server that handles one request at a time.

Pure bookkeeping of instants; ``sim.engine.frontend`` moves requests along it. What it stands for is the benchmark
server of KaaS (NathanTP/kaasBenchmarks): clients speak to one process, host stages are tasks on a pool of cores, one
pool actor hands requests to workers.
"""

from __future__ import annotations

from heapq import heapreplace

import numpy as np

_DRAWS = 4_096


class Cores:
    """Equal cores that take host stages first come, first served."""

    def __init__(self, n: int) -> None:
        self._free_at_s = [0.0] * n

    def reserve(self, now_s: float, duration_s: float) -> float:
        """Queue a stage that is ready now; returns when it ends. Calls come in order of ``now_s``."""
        if not duration_s:
            return now_s
        end_at_s = max(now_s, self._free_at_s[0]) + duration_s
        heapreplace(self._free_at_s, end_at_s)
        return end_at_s


class Server:
    """One process through which every request passes, in turn.

    A request goes on as soon as the server turns to it; the server is taken up by it for an exponential time, since
    what it does for a request (replies, completions, bookkeeping) comes after that as well. So an idle server delays
    nothing, and a busy one limits the rate to 1 / mean_s.
    """

    def __init__(self, mean_s: float, rng: np.random.Generator) -> None:
        self._mean_s = mean_s
        self._rng = rng
        self._draws: list[float] = []
        self._free_at_s = 0.0

    def turn_at_s(self, now_s: float) -> float:
        """When the server turns to a request that is here now. Calls come in order of ``now_s``."""
        if not self._draws:
            self._draws = self._rng.exponential(self._mean_s, _DRAWS).tolist()
        turn_at_s = max(now_s, self._free_at_s)
        self._free_at_s = turn_at_s + self._draws.pop()
        return turn_at_s


class Gate:
    """Stops reading when more than ``limit`` requests are inside, until fewer than ``resume_frac`` of it are."""

    def __init__(self, limit: int, resume_frac: float) -> None:
        self._limit = limit
        self._resume = resume_frac * limit
        self._n_inside = 0
        self.is_open = True

    def enter(self) -> bool:
        """Let a request in, if the gate is open."""
        if not self.is_open:
            return False
        self._n_inside += 1
        self.is_open = self._n_inside <= self._limit
        return True

    def leave(self) -> None:
        """A request is through."""
        self._n_inside -= 1
        self.is_open |= self._n_inside < self._resume
