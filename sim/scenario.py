"""What to run: strict, typed, and the same whether it comes from a YAML file or from flags."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sim.errors import ScenarioError
from sim.files.plaindata import read_yaml
from sim.models.clients import ClientSettings
from sim.models.constants import ConstantsSettings
from sim.models.deadlines import parse_objective
from sim.models.eviction import make_strategy
from sim.models.failures import Failure
from sim.models.variation import require_spread
from sim.schema import build
from sim.settings import IN_FILE, require
from sim.text import shown

MOST_GPUS = 100_000  # the largest published fleets have tens of thousands; a simulation of these needs 0.6 GB and more
MOST_MEMORY_GIB = 100_000
MOST_RETRIES = 1_000
MOST_CELLS = 10_000
# Of a node of a cluster until its GPUs can be used: lognormal with this median in what is reported; unverified.
NODE_START_S = 120.0
_OF_TRACES = {"traces", "format", "placement", "window", "limit", "rate_scale", "functions", "map"}  # no load has them


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """``count`` equal nodes. standby: they are not there until a policy starts them. For the rest see FleetSettings."""

    gpus: int
    calibration: str
    count: int = 1
    gpus_per_link: int = 1
    standby: bool = False

    def __post_init__(self) -> None:
        for name in ("gpus", "count", "gpus_per_link"):
            require(1 <= getattr(self, name) <= MOST_GPUS, name, getattr(self, name), f"from 1 to {MOST_GPUS:,}")
        require(self.gpus_per_link <= self.gpus, "gpus_per_link", self.gpus_per_link, f"at most gpus, {self.gpus}")


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Equal GPUs, or ``nodes`` of different ones. calibration: its name or file. gpus_per_link: neighbours that share a
    host link. sharing: how workers share a GPU, see ``sim.models.sharing``. memory_gib: of each GPU; None: what the
    calibration says. node_start_s: of a node on standby.
    """

    gpus: int = 4
    gpus_per_node: int = 8
    gpus_per_link: int = 1
    sharing: str = "mps"
    memory_gib: float | None = None
    calibration: str = "v100-kaas"
    nodes: tuple[NodeSettings, ...] = ()
    node_start_s: float = NODE_START_S

    def __post_init__(self) -> None:
        if self.nodes:
            for name in ("gpus", "gpus_per_node", "gpus_per_link", "memory_gib", "calibration"):
                value = getattr(self, name)
                default = next(f.default for f in dataclasses.fields(self) if f.name == name)
                require(value == default, name, value, "left out where nodes say it")
            require(any(not node.standby for node in self.nodes), "nodes", "all on standby", "there, at least one")
            n_gpus = sum(node.count * node.gpus for node in self.nodes)
            require(n_gpus <= MOST_GPUS, "nodes", f"{n_gpus:,} GPUs", f"at most {MOST_GPUS:,}")
        require(0 <= self.node_start_s < float("inf"), "node_start_s", self.node_start_s, "at least 0")
        memory = self.memory_gib
        require(
            memory is None or 0 < memory <= MOST_MEMORY_GIB,
            "memory_gib",
            memory,
            f"above 0 and at most {MOST_MEMORY_GIB:,}",
        )
        for name in ("gpus", "gpus_per_node", "gpus_per_link"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
            require(getattr(self, name) <= MOST_GPUS, name, getattr(self, name), f"at most {MOST_GPUS:,}")
        fits = self.gpus_per_link <= self.gpus_per_node
        require(fits, "gpus_per_link", self.gpus_per_link, f"at most gpus_per_node, {self.gpus_per_node}")

    @property
    def first_calibration(self) -> str:
        """That of the first node."""
        return self.nodes[0].calibration if self.nodes else self.calibration


@dataclass(frozen=True, slots=True)
class ClientLoad:
    """Clients in place of a trace: each makes its part of a load (see ``sim.loads``) with its own copy of a graph.

    name: the load with parameters. graph: of the scenario's catalogue.
    """

    name: str
    graph: str
    clients: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A complete description of an experiment: the same scenario gives byte-identical tables.

    traces, format, placement, window, rate_scale: see ``traces.open_trace``. limit: only the first arrivals. load:
    clients instead of all these.
    functions: "catalogue" binds every function of the trace to a kernel graph of ``catalogue`` (a built-in name or a
    file), by ``map`` (a file) or its weight, see ``sim.binding``; "trace" runs it with the trace's own durations and
    memory. policies: see ``sim.policies.make_policy``.
    frontend: what stands between clients and pool. "none": nothing, requests come straight into the pool, and host
    stages run elsewhere; "kaas": the calibration's frontend, see ``sim.models.frontend``.
    spread: of the run times of graphs, as a coefficient of variation; "calibration": as measured, see
    ``sim.models.variation``. Times of a trace vary as they do in the trace.
    granularity: "kernel" gives each kernel an event of its own (same results, slower).
    residency: who loses constants when an executor needs room, see ``sim.models.eviction``; None: what the calibration
    says.
    constants: where the constants of functions lie, see ``sim.models.constants``; without it in host memory, from
    where copies take what the calibration has measured.
    failures: what fails, see ``sim.models.failures``. retries: how often what is lost by a failure is run again. slo,
    slo_file: deadlines of all functions, and of some, see ``sim.models.deadlines``. clients: how long they wait, see
    ``sim.models.clients``; for ever without it.
    report_delay_s: until a policy hears of what workers and devices did, so that its view is stale.
    cells: into how many independent parts the fleet is split, each with a part of the tenants, see ``sim.cells``. cell:
    that only this one of them is run, from 0; None for all.
    warmup_s, cooldown_s: what arrives in so long at the start and at the end of the trace is run, but it is not in the
    shares and distributions of the summary, see ``sim.records.totals``.
    """

    traces: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    format: str | None = None
    placement: Literal["uniform", "equidistant", "poisson", "start"] = "uniform"
    window: str | None = None
    limit: int | None = None
    rate_scale: float = 1.0
    seed: int = 0
    functions: Literal["catalogue", "trace"] = "catalogue"
    catalogue: str = "kaas"
    map: str | None = None
    fleet: FleetSettings = field(default_factory=FleetSettings)
    frontend: Literal["none", "kaas"] = "none"
    spread: Literal["calibration"] | float = "calibration"
    granularity: Literal["graph", "kernel"] = "graph"
    residency: str | None = None
    constants: ConstantsSettings | None = None
    failures: tuple[Failure, ...] = ()
    retries: int = 0
    slo: str | None = None
    slo_file: str | None = None
    clients: ClientSettings | None = None
    report_delay_s: float = 0.0
    warmup_s: float = 0.0
    cooldown_s: float = 0.0
    load: ClientLoad | None = None
    cells: int = 1
    cell: int | None = None

    def __post_init__(self) -> None:
        if self.load is None:
            require(bool(self.traces), "traces", list(self.traces), "at least one trace")
        else:
            for f in dataclasses.fields(self):
                value = getattr(self, f.name)
                require(f.name not in _OF_TRACES or value == f.default, f.name, value, "left out with a load")
        require(bool(self.policies), "policies", list(self.policies), "at least one policy")
        require(self.limit is None or self.limit >= 1, "limit", self.limit, "at least 1")
        require(0 < self.rate_scale < float("inf"), "rate_scale", self.rate_scale, "a finite number above 0")
        delay_s = self.report_delay_s
        require(0 <= delay_s < float("inf"), "report_delay_s", delay_s, "a finite number, at least 0")
        for name in ("warmup_s", "cooldown_s"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), name, value, "a finite number, at least 0")
        require(1 <= self.cells <= MOST_CELLS, "cells", self.cells, f"from 1 to {MOST_CELLS:,}")
        cell = self.cell
        require(cell is None or 0 <= cell < self.cells, "cell", cell, f"from 0 to {self.cells - 1}, the last of cells")
        whole = self.cells == 1 or (self.load is None and not self.failures)
        require(whole, "cells", self.cells, "1 with a load or failures, which are of the whole fleet")
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        without = self.map is None or self.functions == "catalogue"
        require(without, "map", self.map, "left out with functions of the trace, which run no graph")
        require(0 <= self.retries <= MOST_RETRIES, "retries", self.retries, f"from 0 to {MOST_RETRIES}")
        if self.slo is not None:
            parse_objective(self.slo, "slo")
        if self.residency is not None:
            make_strategy(self.residency)
        if not isinstance(self.spread, str):
            require_spread(self.spread)
            its_own = self.functions == "trace"
            require(not its_own, "spread", self.spread, "left out with functions of the trace, whose times are its own")

    def measured(self, duration_s: float) -> tuple[float, float]:
        """From when until when what arrives is measured, in a trace that lasts so long; infinite without a cooldown.

        Raises ScenarioError when nothing is left.
        """
        left_s = duration_s - self.warmup_s - self.cooldown_s
        if (self.warmup_s or self.cooldown_s) and left_s <= 0:
            raise ScenarioError(
                f"warmup_s is {self.warmup_s:g} and cooldown_s {self.cooldown_s:g}, must leave something of the "
                f"{duration_s:g} s of the trace"
            )
        return self.warmup_s, duration_s - self.cooldown_s if self.cooldown_s else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON, with absolute paths: they can be read from anywhere."""
        plain = dataclasses.asdict(self) | {"traces": list(self.traces), "policies": list(self.policies)}
        rebase(plain, Path.cwd())
        return plain


def read_scenario(file: str | Path | None, overrides: dict[str, Any]) -> Scenario:
    """Read a scenario file, if any, and override single values; a mapping overrides key by key.

    Paths in the file (traces, catalogue, map, slo_file, calibration, files of policies) are relative to it. Raises
    ScenarioError naming the key and the rule.
    """
    data = {} if file is None else read_keys(Path(file))
    where = "scenario" if file is None else str(file)
    for key, value in overrides.items():
        old = data.get(key, {})
        if isinstance(value, dict) and not isinstance(old, dict):
            continue  # of the wrong type in the file, which is refused below
        data[key] = {**old, **value} if isinstance(value, dict) else value
    return build(Scenario, data, where)


def read_keys(file: Path) -> dict[str, Any]:
    """The keys of a scenario file, with absolute paths, as far as they are a mapping at all. Raises ScenarioError."""
    data = read_yaml(file)
    if not isinstance(data, dict):
        raise ScenarioError(f"{file}: is {shown(data)}, must be a mapping of keys to values")
    rebase(data, file.parent)
    return data


def read_fleet(file: Path) -> dict[str, Any]:
    """Read the ``fleet`` of a scenario from a file of its own; paths in it are relative to it. Raises ScenarioError."""
    data = read_yaml(file)
    if not isinstance(data, dict):
        raise ScenarioError(f"{file}: is {shown(data)}, must be a mapping of keys to values")
    whole = {"fleet": data}
    rebase(whole, file.parent)
    build(FleetSettings, data, str(file))
    return whole["fleet"]


def rebase(data: dict[str, Any], folder: Path) -> None:
    """Make the paths in a scenario absolute. Names (of catalogues, calibrations, policies) are no paths, and stay."""

    def move(text: Any, moves: bool = True) -> Any:
        return os.path.abspath(folder / text) if isinstance(text, str) and moves else text

    if isinstance(data.get("traces"), list):
        data["traces"] = [move(text) for text in data["traces"]]
    if isinstance(data.get("policies"), list):
        data["policies"] = [move(text, IN_FILE in str(text)) for text in data["policies"]]
    for key in ("map", "slo_file"):
        if key in data:
            data[key] = move(data[key])
    fleet = data.get("fleet")
    nodes = fleet.get("nodes") if isinstance(fleet, dict) else None
    of_nodes = [(node, "calibration") for node in nodes] if isinstance(nodes, list | tuple) else []
    for owner, key in ((data, "catalogue"), (fleet, "calibration"), *of_nodes):
        if isinstance(owner, dict) and key in owner:
            owner[key] = move(owner[key], os.path.isfile(folder / str(owner[key])))
