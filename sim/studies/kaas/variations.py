"""Systems that lack one mechanism, or have it in another form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sim.domain import KernelGraph
from sim.policies.affinity import Affinity
from sim.policies.base import BasePolicy
from sim.policies.fractional import Fractional
from sim.protocol import Action, Arrival, Event, View
from sim.studies.kaas.experiments import System

NEVER = 1e15  # a limit that isn't reached, or a rate at which copies take no time
FINER = 1000


class EvenShares(Fractional):
    """Fractional without eighths: each of n workers of a GPU gets 1/n of the multiprocessors."""

    def _thread_share(self, n_workers: int) -> float:
        return 1 / n_workers


class KeepsLead(Affinity):
    """Affinity that never sets a virtual time back, as Linux's CFS (Documentation/scheduler/sched-design-CFS.rst).

    A function that gets queued again starts at the least virtual time of the queued, or at its own if that is more.
    """

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Let the base be what this function starts at, if it gets queued again."""
        if not isinstance(event, Arrival) or self._queue[event.function]:
            return super().on_event(now_s, event, view)
        base = self._base
        self._base = max(base, self._vtime[event.function])
        actions = super().on_event(now_s, event, view)
        if not actions:  # it waits, and others still start at the base
            self._base = base
        return actions


def no_headroom(system: System) -> System:
    """A request that hits needs no room."""
    return _with(system, executor=replace(system.calibration.executor, keeps_headroom=False))


def free_copies(system: System) -> System:
    """Copies to the GPU take no time."""
    copies = replace(system.calibration.copies, h2d_bytes_per_s=NEVER, h2d_first_bytes_per_s=NEVER)
    return _with(system, copies=copies)


def instant_release(system: System) -> System:
    """The GPU of a victim is free at once."""
    return _with(system, startup_s=replace(system.calibration.startup_s, kill_release=0.0, notice_period=0.0))


def late_notice(system: System) -> System:
    """An idle victim takes as long to notice as a busy one, a whole period."""
    start = system.calibration.startup_s
    whole_s = start.kill_release + start.notice_period
    return _with(system, startup_s=replace(start, kill_release=whole_s, notice_period=0.0))


def instant_dispatch(system: System) -> System:
    """A GPU turns to its next request at once."""
    calibration = system.calibration
    graphs = {
        name: {kind: replace(costs, dispatch_s=0.0) for kind, costs in kinds.items()}
        for name, kinds in calibration.graphs.items()
    }
    return _with(system, dispatch_s=replace(calibration.dispatch_s, kaas=0.0, exclusive=0.0), graphs=graphs)


def instant_server(system: System) -> System:
    """The server takes no time for a request."""
    frontend = system.calibration.frontend
    assert frontend is not None
    nothing = replace(frontend.server_s, kaas=0.0, exclusive=0.0)
    return _with(system, frontend=replace(frontend, server_s=nothing))


def open_gate(system: System) -> System:
    """Any number of requests may be inside."""
    frontend = system.calibration.frontend
    assert frontend is not None
    return _with(system, frontend=replace(frontend, max_outstanding=int(NEVER)))


def finer_blocks(system: System) -> System:
    """Kernels have FINER times as many blocks, each with as much less to do, so that none leaves anything over."""
    graph = system.entry.graph
    kernels = tuple(replace(k, grid=(FINER * k.grid[0], *k.grid[1:])) for k in graph.kernels)
    finer = KernelGraph(graph.name, kernels, graph.buffers, graph.n_iter)
    return replace(system, entry=replace(system.entry, graph=finer))


def under(policy: BasePolicy) -> Callable[[System], System]:
    """The same under another policy."""
    return lambda system: replace(system, policy=policy)


def _with(system: System, **parts: Any) -> System:
    """Other parts of the calibration."""
    return replace(system, calibration=replace(system.calibration, **parts))
