"""What each mechanism does: the points that it should explain, with it and without.

An ablation changes the system in one respect: the calibration, the policy, or the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.domain import KernelGraph
from sim.models.calibration import Calibration
from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.policies.base import BasePolicy
from sim.policies.fractional import Fractional
from sim.protocol import Action, Arrival, Event, View
from sim.studies.kaas import SETUPS, Point, System
from sim.studies.run import in_processes, measure

NEVER = 1e15  # a limit that isn't reached, or a rate that takes no time
FINER = 1000  # times as many blocks, each with as much less to do


@dataclass(frozen=True)
class Ablation:
    """One mechanism less. quantity: of which the points tell."""

    without: str
    change: Callable[[System], System]
    points: tuple[Point, ...]
    quantity: str = "throughput_qps"


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


def _points(workload: str, mode: str, *clients: int) -> tuple[Point, ...]:
    return tuple(Point(workload, mode, n) for n in clients)


def _calibration(change: Callable[[Calibration], Calibration]) -> Callable[[System], System]:
    return lambda system: replace(system, calibration=change(system.calibration))


def _policy(policy: BasePolicy) -> Callable[[System], System]:
    return lambda system: replace(system, policy=policy)


def _no_headroom(old: Calibration) -> Calibration:
    return replace(old, executor=replace(old.executor, keeps_headroom=False))


def _free_copies(old: Calibration) -> Calibration:
    return replace(old, copies=replace(old.copies, h2d_bytes_per_s=NEVER, h2d_first_bytes_per_s=NEVER))


def _instant_release(old: Calibration) -> Calibration:
    return replace(old, startup_s=replace(old.startup_s, kill_release=0.0))


def _idle_server(old: Calibration) -> Calibration:
    assert old.frontend is not None
    nothing = replace(old.frontend.server_s, kaas=0.0, exclusive=0.0)
    return replace(old, frontend=replace(old.frontend, server_s=nothing))


def _open_gate(old: Calibration) -> Calibration:
    assert old.frontend is not None
    return replace(old, frontend=replace(old.frontend, max_outstanding=int(NEVER)))


def _instant_dispatch(old: Calibration) -> Calibration:
    return replace(old, dispatch_s=replace(old.dispatch_s, kaas=0.0, exclusive=0.0))


def _finer_blocks(system: System) -> System:
    graph = system.entry.graph
    kernels = tuple(replace(k, grid=(FINER * k.grid[0], *k.grid[1:])) for k in graph.kernels)
    finer = KernelGraph(graph.name, kernels, graph.buffers, graph.n_iter)
    return replace(system, entry=replace(system.entry, graph=finer))


KNEE = _points("cGEMM", "kaas", 28, 29, 32)
TAIL = _points("cGEMM", "kaas", 8, 16, 28)
CLIFF = (*_points("cGEMM", "exclusive", 4, 5, 8), *_points("resnet50", "exclusive", 5))
SAWTOOTH = _points("cGEMM", "fractional", 8, 12, 16)

ABLATIONS: Mapping[str, Ablation] = {
    "headroom": Ablation("room for the largest buffer of a request that hits", _calibration(_no_headroom), KNEE),
    "affinity": Ablation("affinity: a penalty of 0", _policy(Affinity(0.0)), _points("cGEMM", "kaas", 8, 16, 28)),
    "fairness": Ablation(
        "fairness and affinity: first come, first served (balance)",
        _policy(Balance()),
        _points("cGEMM", "kaas", 8, 16, 28),
    ),
    "release": Ablation("waiting for the victim's process (kill_release)", _calibration(_instant_release), CLIFF),
    "eighths": Ablation("eighths: shares of 1/n of the multiprocessors", _policy(EvenShares()), SAWTOOTH),
    "waves": Ablation(f"waves: {FINER} times as many blocks, of as much less work", _finer_blocks, SAWTOOTH),
    "server": Ablation(
        "the serial stage of the server",
        _calibration(_idle_server),
        (*_points("resnet50", "kaas", 1, 4, 32), *_points("resnet50", "exclusive", 4), *_points("cGEMM", "kaas", 4)),
    ),
    "dispatch": Ablation(
        "dispatch, while a GPU stands idle",
        _calibration(_instant_dispatch),
        (*_points("cGEMM", "kaas", 4), *_points("bert", "kaas", 4), *_points("jacobi", "kaas", 4)),
    ),
    "gate": Ablation(
        "the limit on outstanding requests", _calibration(_open_gate), _points("resnet50", "kaas", 32, 40)
    ),
    "reloads": Ablation("the time of copies to the GPU", _calibration(_free_copies), TAIL, "p90_s"),
    "lag": Ablation(
        "the end of the penalty: foreign work only for want of other", _policy(Affinity(NEVER)), TAIL, "p90_s"
    ),
    "credit": Ablation("setting virtual time back when a queue was empty", _policy(KeepsLead()), TAIL, "p90_s"),
}


def ablate(seed: int, *, jobs: int, progress: Callable[[int], None] | None = None) -> list[dict[str, Any]]:
    """A row for each point of each ablation: its quantity as simulated with the mechanism and without."""
    tasks = [(name, point, seed) for name, ablation in ABLATIONS.items() for point in ablation.points]
    with_it = list(dict.fromkeys(("", point, seed) for _, point, seed in tasks))
    done = in_processes(_measure, [*with_it, *tasks], cost=_cost, jobs=jobs, progress=progress)
    values = dict(zip([*with_it, *tasks], done, strict=True))
    return [
        {
            "without": ABLATIONS[name].without,
            **point._asdict(),
            "quantity": ABLATIONS[name].quantity,
            "simulated": values["", point, seed][ABLATIONS[name].quantity],
            "simulated_without": values[name, point, seed][ABLATIONS[name].quantity],
        }
        for name, point, _ in tasks
    ]


def n_tasks() -> int:
    """Simulations of all ablations."""
    points = [point for ablation in ABLATIONS.values() for point in ablation.points]
    return len(points) + len(set(points))


def _measure(task: tuple[str, Point, int]) -> dict[str, float | None]:
    name, point, seed = task
    system = SETUPS["arxiv"].system(point)
    if name:
        system = ABLATIONS[name].change(system)
    result = measure(system, point, seed, wants_latency=point in TAIL)
    return {"throughput_qps": result.throughput_qps, "p90_s": result.latency(0.9)}


def _cost(task: tuple[str, Point, int]) -> float:
    return 4.0 if task[1].workload == "resnet50" else 1.0
