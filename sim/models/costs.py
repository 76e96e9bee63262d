"""How long things take and how much memory they need: a calibration applied to the functions of a workload.

Costs are kept as columns by function id, so that an engine reads a number instead of computing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from sim.domain import Function, Kernel, KernelGraph, Role, WorkerKind
from sim.errors import ScenarioError
from sim.models.buffers import BufferSet
from sim.models.calibration import Calibration, GraphCosts
from sim.models.layout import layout
from sim.models.memory import Placement
from sim.models.occupancy import Shared, under_share
from sim.models.startup import Ladder

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_Column = TypeVar("_Column", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class _GraphFacts:
    """What is the same for all functions of a graph."""

    buffers: BufferSet
    scratch_bytes: int
    input_bytes: int
    output_bytes: int
    constants_bytes: int
    n_modules: int
    run_s: float
    pre_s: float
    post_s: float
    dispatch_s: float
    host_s: float
    memory_bytes: int
    offsets_s: tuple[float, ...]
    ladder: Ladder


class CostModel:
    """Durations and sizes by function id, for one kind of worker.

    Columns are read-only arrays with a value for each function: seconds in float64, bytes and counts in int64, graph
    numbers in int32. ``buffers`` and ``ladders`` are lists of objects that functions of a graph share. Methods return
    plain numbers; a loop over events takes the columns it needs with ``tolist()`` once.

    pre_s, post_s: host stages before the pool and after the device. dispatch_s: from the order to run until a worker
    begins. input_s, run_s, store_s: copies of fresh input, kernels, and the rest of a warm invocation, which is copies
    of output and host_s: its worker is at it and the device idle. Their sum is ``expected_s``. An invocation of size x
    (which policies never see) takes x * run_s in kernels.
    scratch_bytes: device memory that an invocation needs beside its cached ``buffers``. input_bytes, output_bytes:
    copied each time; constants_bytes: copied when they are missing. n_modules: what a worker loads before a graph runs.
    graph_of: functions with the same number share their modules. ladders: cold starts.
    notice_period_s: see ``sim.models.startup.elapsed_s``.
    Raises ScenarioError when a function can't fit on the device.
    """

    def __init__(self, calibration: Calibration, functions: Sequence[Function], kind: WorkerKind) -> None:
        self.kind = kind
        self._functions = functions
        self._siblings = {kind: self}
        self.frontend = calibration.frontend
        copies, executor = calibration.copies, calibration.executor
        self._calibration = calibration
        self._h2d, self._h2d_first = copies.h2d_bytes_per_s, copies.h2d_first_bytes_per_s
        self._alloc_s = calibration.executor_alloc_s
        self.notice_period_s = calibration.startup_s.notice_period
        self._first_use_s = calibration.executor_first_use_s
        self._module_s = calibration.module_s.of(kind)
        self.keeps_headroom = executor.keeps_headroom
        self.eviction = executor.eviction
        self.cache_bytes = calibration.device.memory_bytes - executor.margin_bytes - executor.context_bytes
        facts: list[_GraphFacts] = []
        rows: list[int] = []  # of each function in the facts
        row_of: dict[tuple[int, bool], int] = {}
        numbers = _graph_numbers(functions)
        for f, graph in zip(functions, numbers, strict=True):
            row = row_of.setdefault((graph, f.fresh_inputs), len(facts))
            if row == len(facts):
                facts.append(self._facts(f.graph, f.fresh_inputs))
            self._check_fit(f, facts[row])
            rows.append(row)
        each = [facts[row] for row in rows]
        of_each = np.array(rows, dtype=np.intp)

        def seconds(of_facts: list[float]) -> Floats:
            return _frozen(np.array(of_facts, dtype=np.float64)[of_each])

        def integers(of_facts: list[int]) -> Ints:
            return _frozen(np.array(of_facts, dtype=np.int64)[of_each])

        self.graph_of = _frozen(np.array(numbers, dtype=np.int32))
        self.buffers = [g.buffers for g in each]
        self.scratch_bytes = integers([g.scratch_bytes for g in facts])
        self.input_bytes = integers([g.input_bytes for g in facts])
        self.output_bytes = integers([g.output_bytes for g in facts])
        self.constants_bytes = integers([g.constants_bytes for g in facts])
        self.n_modules = integers([g.n_modules for g in facts])
        self.input_s = seconds([g.input_bytes / copies.input_bytes_per_s for g in facts])
        self.host_s = seconds([g.host_s for g in facts])
        self.store_s = seconds([g.output_bytes / copies.d2h_bytes_per_s + g.host_s for g in facts])
        self.pre_s = seconds([g.pre_s for g in facts])
        self.post_s = seconds([g.post_s for g in facts])
        self.dispatch_s = seconds([g.dispatch_s for g in facts])
        run_s = [g.run_s if f.run_s is None else f.run_s for f, g in zip(functions, each, strict=True)]
        self.run_s = _frozen(np.array(run_s, dtype=np.float64))
        self.ladders = [g.ladder for g in each]
        path_s = 2 * self.frontend.transport_s if self.frontend else 0.0
        expected_s = self.input_s + self.run_s + self.store_s
        isolated_s = path_s + (self.pre_s + self.dispatch_s + self.post_s) + expected_s
        self._expected_s: list[float] = expected_s.tolist()
        self._isolated_s: list[float] = isolated_s.tolist()
        self._modules_s: list[float] = (self.n_modules * self._module_s).tolist()
        self._memory_bytes = [g.memory_bytes for g in each]
        self._offsets = [g.offsets_s for g in each]
        self._graphs = [f.graph for f in functions]
        start = calibration.startup_s
        kill_release_s = start.kill_release + start.notice_period
        self._executor_ladder = Ladder(kill_release_s, start.process, start.runtime, start.context, 0.0, 0.0, 0.0)
        self._under_share: dict[tuple[int, float], Shared] = {}

    def of(self, kind: WorkerKind) -> CostModel:
        """The costs of these functions for a kind of worker."""
        if kind not in self._siblings:
            self._siblings[kind] = CostModel(self._calibration, self._functions, kind)
        return self._siblings[kind]

    def ladder(self, function: int) -> Ladder:
        """The cold start of a process of this function, or of an executor (EVERY_FUNCTION), which loads later."""
        return self.ladders[function] if function >= 0 else self._executor_ladder

    def cache_bytes_of(self, memory_bytes: int | None) -> int:
        """Device memory for buffers of an executor that has so much of its device, or (None) all of it."""
        if memory_bytes is None:
            return self.cache_bytes
        return self.cache_bytes - self._calibration.device.memory_bytes + memory_bytes

    def expected_s(self, function: int) -> float:
        """Expected time of a warm invocation on its worker, in seconds: what policies are told."""
        return self._expected_s[function]

    def isolated_s(self, function: int) -> float:
        """Expected latency of a warm invocation without any queue, in seconds."""
        return self._isolated_s[function]

    def memory_bytes(self, function: int) -> int:
        """Device memory of a worker that serves this function alone: as measured, or buffers and a context."""
        return self._memory_bytes[function]

    def kernel_ends_s(self, function: int, run_s: float) -> list[float]:
        """Ends of the kernels of one invocation, from the start of the first; the last is exactly ``run_s``."""
        offsets = self._offsets[function]
        scale = run_s / offsets[-1] if offsets[-1] > 0 else 0.0
        return [o * scale for o in offsets[:-1]] + [run_s]

    def under_share(self, function: int, share: float) -> Shared:
        """How kernels of a function run on a share of the multiprocessors, see ``sim.models.occupancy``.

        Raises ScenarioError when the calibration doesn't tell the number of multiprocessors.
        """
        calibration = self._calibration
        if calibration.n_multiprocessors is None:
            raise ScenarioError(
                f"{calibration.name}: n_multiprocessors is not given, but must be for workers that share a device"
            )
        key = (int(self.graph_of[function]), share)
        if key not in self._under_share:
            self._under_share[key] = under_share(
                self._graphs[function],
                share,
                calibration.n_multiprocessors,
                calibration.roofline,
                calibration.launch_s.of(self.kind),
            )
        return self._under_share[key]

    def load_s(self, function: int, placement: Placement, new_modules: bool) -> float:
        """Time of a KaaS executor to bring in missing buffers, besides fresh input."""
        alloc_s = placement.n_loaded * self._alloc_s
        if not placement.first_use:
            return alloc_s + placement.load_bytes / self._h2d
        modules_s = self._modules_s[function] if new_modules else 0.0
        return self._first_use_s + modules_s + alloc_s + placement.load_bytes / self._h2d_first

    def _facts(self, graph: KernelGraph, fresh_inputs: bool) -> _GraphFacts:
        executor = self._calibration.executor
        its = layout(
            graph,
            fresh_inputs,
            alignment_bytes=executor.alignment_bytes,
            caches_temporaries=executor.caches_temporaries,
        )
        measured = self._calibration.graphs.get(graph.name, {}).get(self.kind.value)
        input_bytes = graph.bytes_of(Role.INPUT) if fresh_inputs else 0
        output_bytes = graph.bytes_of(Role.OUTPUT)
        constants_bytes = graph.bytes_of(Role.CONSTANT)
        graph_bytes = its.cached_set.total_bytes + its.scratch_set.total_bytes
        copies = self._calibration.copies
        kernels_s = [self._kernel_s(k) for k in graph.kernels] * graph.n_iter
        if measured is None:
            run_s = len(graph.buffers) * self._calibration.buffer_s.of(self.kind) + sum(kernels_s)
        else:  # the measured time of a warm request includes its copies
            io_s = input_bytes / copies.input_bytes_per_s + output_bytes / copies.d2h_bytes_per_s
            run_s = max(measured.run_s - io_s, 0.0)
        measured_bytes = measured.memory_bytes if measured else 0
        return _GraphFacts(
            buffers=its.cached_set,
            scratch_bytes=its.scratch_set.total_bytes,
            input_bytes=input_bytes,
            output_bytes=output_bytes,
            constants_bytes=constants_bytes,
            n_modules=graph.n_modules,
            run_s=run_s,
            pre_s=measured.pre_s if measured else 0.0,
            post_s=measured.post_s if measured else 0.0,
            dispatch_s=self._dispatch_s(measured),
            host_s=self._host_s(measured),
            memory_bytes=measured_bytes or graph_bytes + executor.context_bytes,
            offsets_s=tuple(accumulate(kernels_s)),
            ladder=self._ladder(graph, constants_bytes, measured),
        )

    def _kernel_s(self, kernel: Kernel) -> float:
        """Launch-bound or roofline-bound time of a kernel."""
        return max(self._calibration.launch_s.of(self.kind), self._calibration.roofline.busy_s(kernel))

    def _dispatch_s(self, measured: GraphCosts | None) -> float:
        if measured is None or measured.dispatch_s is None:
            return self._calibration.dispatch_s.of(self.kind)
        return measured.dispatch_s

    def _host_s(self, measured: GraphCosts | None) -> float:
        if measured is None or measured.host_s is None:
            return self._calibration.host_s.of(self.kind)
        return measured.host_s

    def _ladder(self, graph: KernelGraph, constants_bytes: int, measured: GraphCosts | None) -> Ladder:
        start = self._calibration.startup_s
        return Ladder(
            kill_release=start.kill_release + start.notice_period,
            process=start.process,
            runtime=start.runtime + (measured.runtime_s if measured else 0.0),
            context=start.context,
            modules=graph.n_modules * self._module_s,
            constants=constants_bytes / self._h2d,
            first_run=start.first_run,
        )

    def _check_fit(self, function: Function, facts: _GraphFacts) -> None:
        needed = facts.buffers.total_bytes + facts.scratch_bytes
        device = self._calibration.device
        limit = self.cache_bytes
        if self.kind is WorkerKind.EXCLUSIVE:
            limit = device.memory_bytes - self._calibration.executor.context_bytes
        if needed > limit:
            raise ScenarioError(
                f"function {function.key} runs {function.graph.name}, whose buffers need {needed:,} B; "
                f"a worker has {limit:,} B of device memory on {device.name} ({self._calibration.name})"
            )


def _frozen(column: _Column) -> _Column:
    column.setflags(write=False)
    return column


def _graph_numbers(functions: Sequence[Function]) -> list[int]:
    """The graph of each function as a number from 0, in order of first appearance; equal graphs have the same.

    Of a function that brings its ``run_s`` nobody knows the kernels, so it shares its graph with no other.
    Graphs are looked up by name, since large ones take long to hash.
    """
    of_name: dict[str, dict[int, KernelGraph]] = {}
    numbers: list[int] = []
    n_graphs = 0
    for f in functions:
        number = n_graphs
        if f.run_s is None:
            alike = of_name.setdefault(f.graph.name, {})
            number = next((n for n, graph in alike.items() if graph is f.graph or graph == f.graph), n_graphs)
            alike[number] = f.graph
        if number == n_graphs:
            n_graphs += 1
        numbers.append(number)
    return numbers
