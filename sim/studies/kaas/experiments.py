"""The experiments of Kernel-as-a-Service (Pemberton et al., arXiv 2212.08146) as their public code runs them.

n clients, each with a private copy of one model, on 4 V100s. Throughput: each keeps 8 requests outstanding. Latency:
each sends Poisson requests at 70 % of the peak that its mode has with so many clients. Two generations of the code
differ in policies, cache and margins, and must not be mixed: ``arxiv`` of 2022, and before it ``dissertation`` (UCB
EECS-2022-86).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from sim.models.calibration import Calibration, load_calibration
from sim.models.workloads.authors import bert, resnet50
from sim.models.workloads.catalogue import CatalogueEntry, load_catalogue
from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.policies.base import BasePolicy
from sim.policies.exclusive import Exclusive
from sim.policies.exclusive_random import ExclusiveRandom
from sim.policies.fractional import Fractional
from sim.policies.static import Static

WORKLOADS = ("resnet50", "cGEMM", "bert", "jacobi")
N_GPUS = 4  # of all published curves
OUTSTANDING = 2 * N_GPUS  # of each client, when it warms the fleet and in the closed loop
LOAD_FRAC = 0.7  # of the peak, when latencies are measured
DURATION_S = 300.0
THRASHING_DURATION_S = 600.0  # of exclusive with more clients than GPUs


class Point(NamedTuple):
    """One measurement: so many clients of a workload in a mode.

    offered_per_s: requests that all clients together send when latencies are measured; None: LOAD_FRAC of the peak.
    """

    workload: str
    mode: str
    clients: int
    offered_per_s: float | None = None


@dataclass(frozen=True)
class System:
    """What a point is measured on. ``entry``: the graph that every client has a copy of."""

    calibration: Calibration
    policy: BasePolicy
    entry: CatalogueEntry


@dataclass(frozen=True)
class Setup:
    """A generation of the experiments.

    modes: policies by the names that the authors give them. entries: graphs by name. points: that are simulated if no
    others are asked for.
    """

    modes: Mapping[str, Callable[[], BasePolicy]]
    calibration: Callable[[], Calibration]
    entries: Callable[[], Mapping[str, CatalogueEntry]]
    points: tuple[Point, ...]

    def system(self, point: Point) -> System:
        """What a point is measured on."""
        return System(self.calibration(), self.modes[point.mode](), self.entries()[point.workload])


@cache
def entries() -> Mapping[str, CatalogueEntry]:
    """The authors' graphs by name."""
    return load_catalogue("kaas-authors")


@cache
def _entries_before_sharing() -> Mapping[str, CatalogueEntry]:
    """The same before July 2022, when every result of a TVM graph had a buffer of its own: BERT's took 1.8 GB."""
    each = {name: build(shares=False) for name, build in {"bert": bert.build, "resnet50": resnet50.build}.items()}
    return {**entries(), **{name: replace(entries()[name], graph=graph) for name, graph in each.items()}}


@cache
def _arxiv() -> Calibration:
    return load_calibration("v100-kaas")


@cache
def _dissertation() -> Calibration:
    """As ``v100-kaas``, but the executor leaves 10 MiB and clients share temporaries and outputs.

    The cache was keyed by the name of a buffer alone, and all clients of a model call theirs alike. One set for the
    one request that runs is what an executor needs that doesn't cache them. The run times of graphs with more buffers
    are longer by the time of a buffer each.
    """
    later = _arxiv()
    executor = replace(later.executor, margin_bytes=10 * 2**20, caches_temporaries=False)
    graphs = dict(later.graphs)
    for name, entry in _entries_before_sharing().items():
        n_more = len(entry.graph.buffers) - len(entries()[name].graph.buffers)
        if n_more:
            kaas = later.graphs[name]["kaas"]
            run_s = kaas.run_s + n_more * later.buffer_s.kaas
            graphs[name] = later.graphs[name] | {"kaas": replace(kaas, run_s=run_s)}
    return replace(later, name="v100-kaas-dissertation", executor=executor, graphs=graphs)


# Of the throughput figure: kaas for every number of clients up to 16 and from 24 on, and so on.
_CLIENTS = {
    "kaas": (*range(1, 17), 20, *range(24, 33)),
    "exclusive": (*range(1, 9), 10, 12, 14, 16),
    "static": (1, 2, 3, 4),
    "fractional": (*range(1, 17), 20, 24, 28),
}

SETUPS: Mapping[str, Setup] = {
    "arxiv": Setup(
        {
            "kaas": Affinity,
            "exclusive": Exclusive,
            "static": Static,
            "fractional": Fractional,
            "balance": Balance,
        },
        _arxiv,
        entries,
        tuple(Point(w, mode, n) for w in WORKLOADS for mode, clients in _CLIENTS.items() for n in clients),
    ),
    "dissertation": Setup(
        {"kaas_balance": Balance, "exclusive": ExclusiveRandom},
        _dissertation,
        _entries_before_sharing,
        tuple(Point(w, mode, n) for w in WORKLOADS for mode in ("kaas_balance", "exclusive") for n in range(1, 17)),
    ),
}


def duration_s(point: Point) -> float:
    """How long a point is measured: 600 s where nearly every request is a cold start, else 300 s (kaasBenchmarks)."""
    return THRASHING_DURATION_S if point.mode == "exclusive" and point.clients > N_GPUS else DURATION_S
