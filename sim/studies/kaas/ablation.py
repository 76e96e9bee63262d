"""What each mechanism does: the points that it should explain, with it and without.

An ablation changes the system in one respect: the calibration, the policy, or the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.studies.kaas import variations
from sim.studies.kaas.experiments import SETUPS, Point, System
from sim.studies.kaas.run import measure
from sim.studies.kaas.variations import FINER, NEVER, EvenShares, KeepsLead, under
from sim.studies.processes import TaskBar, in_processes, no_bar


@dataclass(frozen=True)
class Ablation:
    """One mechanism less. quantity: of which the points tell."""

    without: str
    change: Callable[[System], System]
    points: tuple[Point, ...]
    quantity: str = "throughput_qps"


def _points(workload: str, mode: str, *clients: int) -> tuple[Point, ...]:
    return tuple(Point(workload, mode, n) for n in clients)


SERVER = (*_points("resnet50", "kaas", 1, 4, 32), *_points("resnet50", "exclusive", 4), *_points("cGEMM", "kaas", 4))
CLIFF = (*_points("cGEMM", "exclusive", 4, 5, 8), *_points("resnet50", "exclusive", 5))
SAWTOOTH = _points("cGEMM", "fractional", 8, 12, 16)
TAIL = _points("cGEMM", "kaas", 8, 16, 28)
STARTS = (*_points("cGEMM", "exclusive", 8, 12), *_points("resnet50", "exclusive", 8))

ABLATIONS = (
    Ablation(
        "room for the largest buffer of a request that hits",
        variations.no_headroom,
        _points("cGEMM", "kaas", 28, 29, 32),
    ),
    Ablation("affinity: a penalty of 0", under(Affinity(0.0)), TAIL),
    Ablation("fairness and affinity: first come, first served (balance)", under(Balance()), TAIL),
    Ablation("waiting for the victim's process (notice_period)", variations.instant_release, CLIFF),
    Ablation("idle victims: each takes a whole notice period", variations.late_notice, STARTS, "p50_s"),
    Ablation("eighths: shares of 1/n of the multiprocessors", under(EvenShares()), SAWTOOTH),
    Ablation(f"waves: {FINER} times as many blocks, of as much less work", variations.finer_blocks, SAWTOOTH),
    Ablation("the serial stage of the server", variations.instant_server, SERVER),
    Ablation(
        "dispatch, while a GPU stands idle",
        variations.instant_dispatch,
        tuple(Point(workload, "kaas", 4) for workload in ("cGEMM", "bert", "jacobi")),
    ),
    Ablation("the limit on outstanding requests", variations.open_gate, _points("resnet50", "kaas", 32, 40)),
    Ablation("the time of copies to the GPU", variations.free_copies, TAIL, "p90_s"),
    Ablation("the end of the penalty: foreign work only for want of other", under(Affinity(NEVER)), TAIL, "p90_s"),
    Ablation("setting virtual time back when a queue was empty", under(KeepsLead()), TAIL, "p90_s"),
)


def ablate(seed: int, *, jobs: int, bar: TaskBar = no_bar) -> list[dict[str, Any]]:
    """A row for each point of each ablation: its quantity as simulated with the mechanism and without."""
    tasks = [(number, point, seed) for number, ablation in enumerate(ABLATIONS) for point in ablation.points]
    whole = list(dict.fromkeys((-1, point, seed) for _, point, seed in tasks))
    results = in_processes(_measure, [*whole, *tasks], cost=_cost, jobs=jobs, bar=bar)
    values = dict(zip([*whole, *tasks], results, strict=True))
    return [
        {
            "without": ABLATIONS[number].without,
            **point._asdict(),
            "quantity": ABLATIONS[number].quantity,
            "simulated": values[-1, point, seed][ABLATIONS[number].quantity],
            "simulated_without": values[number, point, seed][ABLATIONS[number].quantity],
        }
        for number, point, _ in tasks
    ]


def _measure(task: tuple[int, Point, int]) -> dict[str, float | None]:
    """A point without the mechanism of this number, or with all (-1)."""
    number, point, seed = task
    system = SETUPS["arxiv"].system(point)
    if number >= 0:
        system = ABLATIONS[number].change(system)
    result = measure(system, point, seed, wants_latency=point in (*TAIL, *STARTS))
    return {"throughput_qps": result.throughput_qps, "p50_s": result.latency(0.5), "p90_s": result.latency(0.9)}


def _cost(task: tuple[int, Point, int]) -> float:
    return 4.0 if task[1].workload == "resnet50" else 1.0
