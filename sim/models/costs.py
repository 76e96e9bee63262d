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
from sim.models.batches import BatchLaw, batch_law
from sim.models.buffers import BufferSet
from sim.models.calibration import Calibration, GraphCosts
from sim.models.layout import Layout, aligned, layout
from sim.models.memory import Placement
from sim.models.mig.profiles import Profile
from sim.models.occupancy import Shared, on_instance, under_share
from sim.models.pipeline import Groups, first_launches, make_groups
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
    spread: float
    item_bytes: int
    measured: bool


class CostModel:
    """Durations and sizes by function id, for one kind of worker.

    Columns are read-only arrays with a value for each function: seconds in float64, bytes and counts in int64, graph
    numbers in int32. ``buffers`` and ``ladders`` are lists of objects that functions of a graph share. Methods return
    plain numbers; a loop over events takes the columns it needs with ``tolist()`` once.

    pre_s, post_s: host stages before the pool and after the device. dispatch_s: from the order to run until a worker
    begins. input_s, run_s, store_s: copies of fresh input, kernels, and the rest of a warm invocation, which is copies
    of output and host_s: its worker is at it and the device idle. Their sum is ``expected_s``. An invocation of size x
    (which policies never see) takes x * run_s in kernels, times a factor of mean 1 and coefficient of variation
    ``spread`` (see ``sim.models.variation``): 0 where the trace says how long.
    scratch_bytes: device memory that an invocation needs beside its cached ``buffers``. input_bytes, output_bytes:
    copied each time; constants_bytes: copied when they are missing. n_modules: what a worker loads before a graph runs.
    graph_of: functions with the same number share their modules. ladders: cold starts.
    notice_period_s: see ``sim.models.startup.elapsed_s``. predicted: graphs whose run time the roofline says, since the
    calibration has no measurement of them for this kind of worker.

    A batch of n invocations copies n times ``input_bytes`` and ``output_bytes`` in n times input_s and store_s; for the
    rest there are ``batch_run_s`` and ``batch_scratch_bytes``.
    Raises ScenarioError when a function can't fit on the device.
    """

    def __init__(
        self,
        calibration: Calibration,
        functions: Sequence[Function],
        kind: WorkerKind,
        others: Sequence[Calibration] = (),
    ) -> None:
        self.kind = kind
        self._functions = functions
        self._siblings = {(kind, 0): self}
        self._others = others
        self.frontend = calibration.frontend
        self.power = calibration.power
        copies, executor = calibration.copies, calibration.executor
        self._calibration = calibration
        self._h2d, self._h2d_first = copies.h2d_bytes_per_s, copies.h2d_first_bytes_per_s
        self._alloc_s = calibration.executor_alloc_s
        self.notice_period_s = calibration.startup_s.notice_period
        self._first_use_s = calibration.executor_first_use_s
        self.keeps_headroom = executor.keeps_headroom
        self.eviction = executor.eviction
        self.cache_bytes = calibration.device.memory_bytes - executor.margin_bytes - executor.context_bytes
        self._limit_bytes = self.cache_bytes  # for the buffers of a worker
        if kind is WorkerKind.EXCLUSIVE:
            self._limit_bytes = calibration.device.memory_bytes - executor.context_bytes
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
        self.spread = _frozen(np.where([f.run_s is None for f in functions], seconds([g.spread for g in facts]), 0.0))
        self.predicted = tuple(
            dict.fromkeys(
                f.graph.name for f, g in zip(functions, each, strict=True) if f.run_s is None and not g.measured
            )
        )
        run_s = [g.run_s if f.run_s is None else f.run_s for f, g in zip(functions, each, strict=True)]
        self.run_s = _frozen(np.array(run_s, dtype=np.float64))
        self.ladders = [g.ladder for g in each]
        path_s = 2 * self.frontend.transport_s if self.frontend else 0.0
        expected_s = self.input_s + self.run_s + self.store_s
        isolated_s = path_s + (self.pre_s + self.dispatch_s + self.post_s) + expected_s
        self._expected_s: list[float] = expected_s.tolist()
        self._isolated_s: list[float] = isolated_s.tolist()
        self._modules_s = [g.ladder.modules for g in each]
        self._memory_bytes = [g.memory_bytes for g in each]
        self._offsets = [g.offsets_s for g in each]
        self._graphs = [f.graph for f in functions]
        self._item_bytes = [g.item_bytes for g in each]
        self._has_own_run_s = [f.run_s is not None for f in functions]
        self._rows = rows
        self._batch_laws: dict[int, BatchLaw] = {}
        self._batch_run_s: dict[tuple[int, int], float] = {}
        start = calibration.startup_s
        kill_release_s = start.kill_release + start.notice_period
        self._executor_ladder = Ladder(kill_release_s, start.process, start.runtime, start.context, 0.0, 0.0, 0.0)
        self._first_launches: dict[int, list[int]] = {}
        self._under_share: dict[tuple[int, float, str], Shared] = {}

    def of(self, kind: WorkerKind, model: int = 0) -> CostModel:
        """The costs of these functions for a kind of worker, on GPUs of one of the calibrations (0 is this one)."""
        if (kind, model) not in self._siblings:
            calibration = [self._calibration, *self._others][model]
            self._siblings[kind, model] = CostModel(calibration, self._functions, kind)
        return self._siblings[kind, model]

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

    def batch_run_s(self, function: int, n: int) -> float:
        """Seconds in kernels of a batch of ``n`` invocations of a function; of one, ``run_s``.

        Raises ScenarioError where nothing is known of so large a batch, naming calibration, graph and key.
        """
        if n == 1:
            return float(self.run_s[function])
        key = (self._rows[function], n)
        if key not in self._batch_run_s:
            law = self._batch_law(function)
            if not 1 < n <= law.most:
                where = f"{self._calibration.name}: graphs: {self._graphs[function].name}: {self.kind.value}"
                raise ScenarioError(f"{where}: a batch is {n}, must be from 1 to {law.most}, the largest that is known")
            self._batch_run_s[key] = law.run_s(n)
        return self._batch_run_s[key]

    def batch_scratch_bytes(self, function: int, n: int) -> int:
        """``scratch_bytes`` of a batch: each invocation but the first brings whatever is no constant once more."""
        return int(self.scratch_bytes[function]) + (n - 1) * self._item_bytes[function]

    def largest_batch(self, function: int, memory_bytes: int | None = None) -> int:
        """The largest batch that is known and fits into a worker; 1 where nothing is known.

        memory_bytes: what the worker takes of its device, or (None) all of it.
        """
        try:
            most = self._batch_law(function).most
        except ScenarioError:
            return 1
        lacks_bytes = 0 if memory_bytes is None else self._calibration.device.memory_bytes - memory_bytes
        needed_bytes = self.buffers[function].total_bytes + int(self.scratch_bytes[function])
        room = self._limit_bytes - lacks_bytes - needed_bytes
        item_bytes = self._item_bytes[function]
        return max(1, min(most, 1 + room // item_bytes)) if item_bytes else most

    def knows_kernels(self, function: int) -> bool:
        """Whether it is known what its kernels are, and not only how long they take."""
        return self._functions[function].run_s is None

    def under_share(self, function: int, share: float, profile: Profile | None = None) -> Shared:
        """How kernels of a function run on a share of the multiprocessors, see ``sim.models.occupancy``.

        profile: of the instance, if they run on one; all shares are then of it, but ``run_frac``.

        Raises ScenarioError when the calibration doesn't tell the number of multiprocessors.
        """
        calibration = self._calibration
        if calibration.n_multiprocessors is None:
            raise ScenarioError(
                f"{calibration.name}: n_multiprocessors is not given, but must be for workers that share a device"
            )
        key = (int(self.graph_of[function]), share, "" if profile is None else profile.name)
        if key not in self._under_share:
            graph, launch_s = self._graphs[function], calibration.launch_s.of(self.kind)
            n_sms, roofline = calibration.n_multiprocessors, calibration.roofline
            if profile is None:
                shared = under_share(graph, share, n_sms, roofline, launch_s)
            else:
                shared = on_instance(graph, share, profile, n_sms, roofline, launch_s)
            self._under_share[key] = shared
        return self._under_share[key]

    def groups(self, function: int, n_loaded: int, group_bytes: int | None) -> Groups:
        """The leading ``n_loaded`` of a function's cached buffers in groups of at least so many bytes; None: in one."""
        graph = int(self.graph_of[function])
        if graph not in self._first_launches:
            its = self._graphs[function]
            cached = self._layout(its, self._functions[function].fresh_inputs).cached
            self._first_launches[graph] = first_launches(its, cached)
        buffers = self.buffers[function]
        whole = buffers.load_upto[n_loaded]
        return make_groups(buffers, self._first_launches[graph], n_loaded, group_bytes or whole)

    def prepare_s(self, function: int, placement: Placement, new_modules: bool) -> float:
        """What ``load_s`` takes beside the copy."""
        return self.load_s(function, placement._replace(load_bytes=0), new_modules)

    def load_s(self, function: int, placement: Placement, new_modules: bool) -> float:
        """Time of a KaaS executor to bring in missing buffers, besides fresh input."""
        alloc_s = placement.n_loaded * self._alloc_s
        if not placement.first_use:
            return alloc_s + placement.load_bytes / self._h2d
        modules_s = self._modules_s[function] if new_modules else 0.0
        return self._first_use_s + modules_s + alloc_s + placement.load_bytes / self._h2d_first

    def _batch_law(self, function: int) -> BatchLaw:
        if self._has_own_run_s[function]:
            raise ScenarioError(
                f"{self._calibration.name}: function {function} has the trace's own durations, which tell nothing of "
                "batches; it must run a graph of a catalogue"
            )
        row = self._rows[function]
        if row not in self._batch_laws:
            io_s = float(self.input_s[function] + self.store_s[function] - self.host_s[function])
            run_s = float(self.run_s[function])
            self._batch_laws[row] = batch_law(self._calibration, self._graphs[function], self.kind, run_s, io_s)
        return self._batch_laws[row]

    def _facts(self, graph: KernelGraph, fresh_inputs: bool) -> _GraphFacts:
        executor = self._calibration.executor
        its = self._layout(graph, fresh_inputs)
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
            spread=self._spread(measured),
            item_bytes=sum(
                aligned(b.size_bytes, executor.alignment_bytes) for b in graph.buffers if b.role is not Role.CONSTANT
            ),
            measured=measured is not None,
        )

    def _layout(self, graph: KernelGraph, fresh_inputs: bool) -> Layout:
        executor = self._calibration.executor
        return layout(
            graph,
            fresh_inputs,
            alignment_bytes=executor.alignment_bytes,
            caches_temporaries=executor.caches_temporaries,
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

    def _spread(self, measured: GraphCosts | None) -> float:
        if measured is None or measured.spread is None:
            return self._calibration.spread
        return measured.spread

    def _ladder(self, graph: KernelGraph, constants_bytes: int, measured: GraphCosts | None) -> Ladder:
        start = self._calibration.startup_s
        return Ladder(
            kill_release=start.kill_release + start.notice_period,
            process=start.process,
            runtime=start.runtime + (measured.runtime_s if measured else 0.0),
            context=start.context,
            modules=self._calibration.modules_s(graph, self.kind),
            constants=constants_bytes / self._h2d,
            first_run=start.first_run,
        )

    def _check_fit(self, function: Function, facts: _GraphFacts) -> None:
        needed = facts.buffers.total_bytes + facts.scratch_bytes
        device = self._calibration.device
        if needed > self._limit_bytes:
            raise ScenarioError(
                f"function {function.key} runs {function.graph.name}, whose buffers need {needed:,} B; "
                f"a worker has {self._limit_bytes:,} B of device memory on {device.name} ({self._calibration.name})"
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
