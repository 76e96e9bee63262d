"""The numbers of one GPU and software stack, read from a calibration file with the source of each."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from sim.domain import DeviceSpec, Kernel, KernelGraph, WorkerKind
from sim.errors import ScenarioError
from sim.files.inputs import read_text
from sim.files.plaindata import parse_json
from sim.models.eviction import Kaas, make_strategy
from sim.models.mig.profiles import table_of
from sim.models.tiers import Rung, Tiers
from sim.models.variation import require_spread
from sim.schema import build
from sim.settings import require, unknown
from sim.text import shown

SCHEMA_VERSION = 1
LEAST, MOST = 1e-18, 1e18  # no GPU is faster or larger, and products of these stay finite


def _require_positive(numbers: Mapping[str, object]) -> None:
    """Rates and fractions are divided by."""
    for name, value in numbers.items():
        if isinstance(value, float) and not value > 0:
            raise ScenarioError(f"{name} is {value}, must be above 0")


@dataclass(frozen=True, slots=True)
class ByKind:
    """A number for each kind of worker."""

    kaas: float
    exclusive: float

    def of(self, kind: WorkerKind) -> float:
        """The number for this kind."""
        return self.kaas if kind is WorkerKind.KAAS else self.exclusive


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The GPU. mig: the name of its table in ``sim.models.mig``; empty where it can't be partitioned."""

    name: str
    memory_bytes: int
    mig: str = ""

    def __post_init__(self) -> None:
        if self.mig:
            table_of(self.mig)  # or it is refused


@dataclass(frozen=True, slots=True)
class Power:
    """Watts of the GPU while no kernel runs, and while some do."""

    idle_w: float
    busy_w: float

    def __post_init__(self) -> None:
        require(self.busy_w >= self.idle_w, "busy_w", self.busy_w, f"at least idle_w, {self.idle_w}")


@dataclass(frozen=True, slots=True)
class ExecutorFacts:
    """How a KaaS executor uses device memory; every buffer takes a multiple of ``alignment_bytes``.

    eviction: the name of a strategy, see ``sim.models.eviction``.
    """

    margin_bytes: int
    context_bytes: int
    keeps_headroom: bool
    caches_temporaries: bool
    alignment_bytes: int = 1
    eviction: str = Kaas.name

    def __post_init__(self) -> None:
        if self.alignment_bytes < 1:
            raise ScenarioError(f"alignment_bytes is {self.alignment_bytes}, must be at least 1")
        make_strategy(self.eviction)  # refuses a name that isn't known


@dataclass(frozen=True, slots=True)
class Copies:
    """Bandwidths of the host link.

    h2d: of constants and cached inputs; first: where the host touches them for the first time. h2d_input: of inputs
    that every invocation brings, which lie in the host's caches; None: as h2d.
    """

    h2d_bytes_per_s: float
    h2d_first_bytes_per_s: float
    d2h_bytes_per_s: float
    h2d_input_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        _require_positive({f.name: getattr(self, f.name) for f in fields(self)})

    @property
    def input_bytes_per_s(self) -> float:
        """The rate of inputs."""
        return self.h2d_input_bytes_per_s or self.h2d_bytes_per_s


@dataclass(frozen=True, slots=True)
class Roofline:
    """Peaks and the fractions of them that kernels without a measurement are taken to reach.

    library_flops_per_s: peaks of what a library computes, by "source.name" of a kernel; those that aren't listed count
    as kernels. library_frac: the fraction of these peaks.
    batches: whether batches of graphs without facts of their own take what it says, see ``sim.models.batches``.
    """

    flops_per_s: float
    bytes_per_s: float
    compute_frac: float
    bandwidth_frac: float
    library_flops_per_s: dict[str, float] = field(default_factory=dict)
    library_frac: float = 1.0
    batches: bool = False

    def __post_init__(self) -> None:
        numbers = {f.name: getattr(self, f.name) for f in fields(self)}
        of_libraries = numbers.pop("library_flops_per_s")
        _require_positive({**numbers, **of_libraries})

    def part(self, compute: float, bandwidth: float) -> Roofline:
        """That of a part of the device."""
        return replace(
            self,
            flops_per_s=self.flops_per_s * compute,
            bytes_per_s=self.bytes_per_s * bandwidth,
            library_flops_per_s={name: peak * compute for name, peak in self.library_flops_per_s.items()},
        )

    def busy_s(self, kernel: Kernel) -> float:
        """Time of a kernel that fills the device (Williams, Waterman and Patterson, CACM 52(4), 2009)."""
        return max(self.compute_s(kernel), self.memory_s(kernel.moved_bytes))

    def compute_s(self, kernel: Kernel) -> float:
        """Time of a kernel that its operations bound."""
        peak = self.library_flops_per_s.get(f"{kernel.source}.{kernel.name}")
        reached = self.flops_per_s * self.compute_frac if peak is None else peak * self.library_frac
        return kernel.flops / reached

    def memory_s(self, moved_bytes: int) -> float:
        """Time of so many bytes that memory bounds."""
        return moved_bytes / (self.bytes_per_s * self.bandwidth_frac)


@dataclass(frozen=True, slots=True)
class Startup:
    """Stages of an exclusive worker's cold start that do not depend on the function.

    notice_period: adds to kill_release, see ``sim.models.startup.elapsed_s``.
    """

    kill_release: float
    process: float
    runtime: float
    context: float
    first_run: float
    notice_period: float = 0.0


@dataclass(frozen=True, slots=True)
class GraphCosts:
    """Measured costs of a graph for one kind of worker.

    run_s: a warm request on its worker, copies included. pre_s, post_s: host stages, on a core of the frontend.
    dispatch_s, host_s: of this graph, None where that of the kind holds. runtime_s: adds to the stage of that name.
    memory_bytes: of a worker of one client; 0 where it wasn't measured.
    spread: coefficient of variation of the kernels' time, None where that of the calibration holds.
    batch_run_s: as run_s, of batches, by their size. batch_fixed_frac: the part of the kernels' time of one that a
    batch takes once, whatever its size; one of the two at most, see ``sim.models.batches``.
    """

    run_s: float
    pre_s: float = 0.0
    post_s: float = 0.0
    dispatch_s: float | None = None
    host_s: float | None = None
    runtime_s: float = 0.0
    memory_bytes: int = 0
    spread: float | None = None
    batch_run_s: dict[str, float] = field(default_factory=dict)
    batch_fixed_frac: float | None = None

    def __post_init__(self) -> None:
        if self.spread is not None:
            require_spread(self.spread)
        for size in self.batch_run_s:
            plain = size.isascii() and size.isdecimal() and str(int(size)) == size and int(size) > 1
            require(plain, "a size of batch_run_s", size, "a whole number above 1")
        part = self.batch_fixed_frac
        require(part is None or 0 <= part <= 1, "batch_fixed_frac", part, "from 0 to 1")
        both = part is not None and bool(self.batch_run_s)
        require(not both, "batch_fixed_frac", part, "left out where batch_run_s is given")


@dataclass(frozen=True, slots=True)
class FrontendFacts:
    """The path between clients and pool, see ``sim.models.frontend``.

    transport_s: one way. server_s: mean time that the server is taken up by a request. cores: for host stages.
    max_outstanding: with more requests inside, no more are read until they are fewer than ``resume_frac`` of it.
    """

    transport_s: float
    server_s: ByKind
    cores: int
    max_outstanding: int
    resume_frac: float

    def __post_init__(self) -> None:
        for name in ("cores", "max_outstanding"):
            if getattr(self, name) < 1:
                raise ScenarioError(f"{name} is {getattr(self, name)}, must be at least 1")
        if not 0 < self.resume_frac <= 1:
            raise ScenarioError(f"resume_frac is {self.resume_frac}, must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Calibration:
    """See docs/calibration.md for the meaning of every number."""

    schema_version: int
    name: str
    provenance: str
    device: DeviceFacts
    executor: ExecutorFacts
    copies: Copies
    executor_first_use_s: float
    dispatch_s: ByKind
    launch_s: ByKind
    buffer_s: ByKind
    roofline: Roofline
    module_s: ByKind
    startup_s: Startup
    graphs: dict[str, dict[str, GraphCosts]] = field(default_factory=dict)
    frontend: FrontendFacts | None = None
    n_multiprocessors: int | None = None
    executor_alloc_s: float = 0.0
    library_s: dict[str, float] = field(default_factory=dict)
    host_s: ByKind = ByKind(kaas=0.0, exclusive=0.0)
    tiers: Tiers | None = None
    power: Power | None = None
    spread: float = 0.0
    sha256: str = ""  # of the file; filled in by load_calibration

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ScenarioError(f"schema_version is {self.schema_version}, this version reads {SCHEMA_VERSION}")
        if self.n_multiprocessors is not None and self.n_multiprocessors < 1:
            raise ScenarioError(f"n_multiprocessors is {self.n_multiprocessors}, must be at least 1")
        require_spread(self.spread)
        kinds = [kind.value for kind in WorkerKind]
        for graph, costs in self.graphs.items():
            for kind in costs:
                if kind not in kinds:
                    raise ScenarioError(
                        f"graphs: {graph}: unknown kind of worker {kind!r}; they are {', '.join(kinds)}"
                    )
                if self.frontend is None and (costs[kind].pre_s or costs[kind].post_s):
                    raise ScenarioError(f"graphs: {graph}: {kind}: host stages need a frontend, and there is none")

    @property
    def spec(self) -> DeviceSpec:
        """The device, as the fleet knows it."""
        return DeviceSpec(self.device.name, self.device.memory_bytes, self.device.mig)

    @property
    def rungs(self) -> Tiers:
        """From where constants come to the device; all from pinned memory, as the copies, where no tiers are given."""
        return self.tiers or Tiers(pinned=Rung(self.copies.h2d_bytes_per_s))

    def modules_s(self, graph: KernelGraph, kind: WorkerKind) -> float:
        """Time to load the sources of a graph."""
        libraries_s = [self.library_s[source] for source in graph.sources if source in self.library_s]
        return (graph.n_modules - len(libraries_s)) * self.module_s.of(kind) + sum(libraries_s)

    def without_frontend(self) -> Calibration:
        """The same GPUs and workers, but requests come straight into the pool, and host stages run elsewhere."""
        graphs = {
            name: {kind: replace(costs, pre_s=0.0, post_s=0.0) for kind, costs in kinds.items()}
            for name, kinds in self.graphs.items()
        }
        return replace(self, frontend=None, graphs=graphs)

    def with_memory(self, memory_bytes: int) -> Calibration:
        """The same, but the GPU has so much memory."""
        return replace(self, device=replace(self.device, memory_bytes=memory_bytes))

    def with_eviction(self, name: str) -> Calibration:
        """The same with another strategy of the executors' caches, see ``sim.models.eviction``."""
        return replace(self, executor=replace(self.executor, eviction=name))

    def with_spread(self, spread: float) -> Calibration:
        """The same, but run times of all graphs vary by this much."""
        graphs = {
            name: {kind: replace(costs, spread=None) for kind, costs in kinds.items()}
            for name, kinds in self.graphs.items()
        }
        return replace(self, spread=spread, graphs=graphs)


def built_in() -> list[str]:
    """Names of the calibrations that come with the package."""
    files = resources.files("sim.models").joinpath("calibrations").iterdir()
    return sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json"))


def read_calibration(name_or_file: str) -> str:
    """The text of a built-in calibration by name, or of a file. Raises ScenarioError when there is neither."""
    if name_or_file in built_in():
        return resources.files("sim.models").joinpath("calibrations", f"{name_or_file}.json").read_text("utf-8")
    if os.path.exists(name_or_file):
        return read_text(Path(name_or_file))
    raise ScenarioError(f"{unknown('calibration', name_or_file, built_in())}; there is no such file")


def load_calibration(name_or_file: str) -> Calibration:
    """Load a built-in calibration by name, or a file. Raises ScenarioError naming the key and the rule."""
    text = read_calibration(name_or_file)
    calibration = build(Calibration, _values(parse_json(text, name_or_file), name_or_file), name_or_file)
    return replace(calibration, sha256=hashlib.sha256(text.encode()).hexdigest())


def _values(node: Any, where: str) -> Any:
    """Replace each {"value", "source"} by its value; a finite, non-negative number, a truth value or a name.

    Beside them there may be a ``distribution`` of what was measured: numbers by name.
    """
    if not isinstance(node, Mapping):
        if isinstance(node, int | float) and not where.endswith(": schema_version"):
            raise ScenarioError(f"{where}: is {node}, must be an object of value and source")
        return node
    if node.keys() - {"distribution"} != {"value", "source"}:
        return {key: _values(child, f"{where}: {key}") for key, child in node.items()}
    value, source, told = node["value"], node["source"], node.get("distribution", {})
    if not isinstance(source, str) or not source:
        raise ScenarioError(f"{where}: source is {shown(source)}, must say where the number comes from")
    if not (isinstance(told, Mapping) and all(_is_number(child) for child in told.values())):
        raise ScenarioError(f"{where}: distribution is {shown(told)}, must be an object of finite numbers")
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or not (value == 0 or LEAST <= value <= MOST):
        raise ScenarioError(f"{where}: value is {shown(value)}, must be 0, or a number from {LEAST:g} to {MOST:g}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
