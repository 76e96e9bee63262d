"""The host's part of a request's way: a gate, cores for host stages, and a server that handles one request at a time.

Pure bookkeeping of instants; ``sim.engine.frontend`` moves requests along it. What it stands for is the benchmark
server of KaaS (NathanTP/kaasBenchmarks): clients speak to one process, host stages are tasks on a pool of cores, one
pool actor hands requests to workers.
"""

from __future__ import annotations

from heapq import heapreplace

import numpy as np

_DRAWS = 4_096
# A stage limits a run when it is taken up for more of the time than this: an M/M/1 queue is then 9 long in the mean.
BUSY_FRAC = 0.9
CLOSED_FRAC = 0.01  # and a gate that is closed for more of it than this


class Cores:
    """Equal cores that take host stages first come, first served."""

    def __init__(self, n: int) -> None:
        self._free_at_s = [0.0] * n
        self._busy_s = 0.0

    def reserve(self, now_s: float, duration_s: float) -> float:
        """Queue a stage that is ready now; returns when it ends. Calls come in order of ``now_s``."""
        if not duration_s:
            return now_s
        free_at_s = self._free_at_s[0]
        end_at_s = (free_at_s if free_at_s > now_s else now_s) + duration_s
        heapreplace(self._free_at_s, end_at_s)
        self._busy_s += duration_s
        return end_at_s

    def limit(self, now_s: float) -> str:
        """A phrase if host stages wait for cores all the time until now, else none."""
        frac = self._busy_s / (now_s * len(self._free_at_s)) if now_s else 0.0
        return f"its {len(self._free_at_s)} cores were busy for {frac:.0%} of the time" if frac > BUSY_FRAC else ""


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
        self._busy_s = 0.0

    def turn_at_s(self, now_s: float) -> float:
        """When the server turns to a request that is here now. Calls come in order of ``now_s``."""
        if not self._draws:
            self._draws = self._rng.exponential(self._mean_s, _DRAWS).tolist()
        turn_at_s = self._free_at_s if self._free_at_s > now_s else now_s
        taken_s = self._draws.pop()
        self._busy_s += taken_s
        self._free_at_s = turn_at_s + taken_s
        return turn_at_s

    def limit(self, now_s: float) -> str:
        """A phrase if requests wait for the server all the time until now, else none."""
        frac = self._busy_s / now_s if now_s else 0.0
        if frac <= BUSY_FRAC:
            return ""
        most = f"takes at most {1 / self._mean_s:.3g} requests/s, whatever the fleet"
        return f"its server, which {most}, was busy for {min(frac, 1.0):.0%} of the time"


class Gate:
    """Stops reading when more than ``limit`` requests are inside, until fewer than ``resume_frac`` of it are."""

    def __init__(self, limit: int, resume_frac: float) -> None:
        self._limit = limit
        self._resume = resume_frac * limit
        self._n_inside = 0
        self._closed_s = 0.0  # in the past; now it is closed since
        self._closed_at_s = 0.0
        self.is_open = True

    def enter(self, now_s: float) -> bool:
        """Let a request in, if the gate is open."""
        if not self.is_open:
            return False
        self._n_inside += 1
        if self._n_inside > self._limit:
            self.is_open = False
            self._closed_at_s = now_s
        return True

    def leave(self, now_s: float) -> None:
        """A request is through."""
        self._n_inside -= 1
        if not self.is_open and self._n_inside < self._resume:
            self.is_open = True
            self._closed_s += now_s - self._closed_at_s

    def limit(self, now_s: float) -> str:
        """A phrase if the gate was closed for a part of the time until now that counts, else none."""
        closed_s = self._closed_s + (0.0 if self.is_open else now_s - self._closed_at_s)
        if not closed_s > CLOSED_FRAC * now_s:
            return ""
        lets = f"lets {self._limit} requests in at a time"
        return f"its gate, which {lets}, was closed for {closed_s / now_s:.0%} of the time"
