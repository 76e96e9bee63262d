"""Record a run: rows stream to Parquet in row groups, and what the summary needs is added up beside.

Only numbers are collected in the event loop; everything that follows from them is computed here, a group at a time.
Nothing is kept for an invocation or a worker once its row is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sim.domain import FleetSpec, WorkerKind
from sim.models.costs import CostModel
from sim.models.startup import Ladder
from sim.records.backlog import Backlog
from sim.records.ended import EndedRows
from sim.records.gpus import Gpus
from sim.records.instances import Instance, Instances
from sim.records.intervals import DeviceSums
from sim.records.parts import latency_parts
from sim.records.population import Population
from sim.records.residency import ResidencyLog
from sim.records.rows import ROWS_IN_BLOCK, Block, Floats
from sim.records.service import Service
from sim.records.summary import summarise
from sim.records.sums import Sums
from sim.records.tables import DEVICES, FUNCTIONS, INVOCATIONS, STAGES, WORKERS, Table
from sim.records.totals import Totals
from sim.records.workers import WorkerDevices, WorkerRows
from sim.workload import Workload

ROWS_IN_GROUP = 16 * ROWS_IN_BLOCK


class Recorder:
    """Writes the tables of a run into a directory, and sums them up.

    ``worker_device`` is told the device of each worker. slo_s: see ``sim.records.service``. measured: from when until
    when arrives what is in shares and distributions of the summary. stays: what is in device memory is recorded
    too, of executors by telling the log of this name. The pages of the files have checksums.
    """

    def __init__(
        self,
        directory: Path,
        workload: Workload,
        fleet: FleetSpec,
        costs: CostModel,
        interval_s: float,
        slo_s: Sequence[float] | None = None,
        measured: tuple[float, float] = (0.0, math.inf),
        *,
        stays: bool = False,
    ) -> None:
        self.stays = ResidencyLog(directory) if stays else None
        self._service = Service(slo_s, len(workload.functions))
        self.worker_device = WorkerDevices()
        self._blocks: list[Block] = []
        self._ended = EndedRows()
        self._workers = WorkerRows(fleet.node_of)
        self._gone: list[Instance] = []
        self._instances = Instances()
        self._measured = measured
        self._population = Population(interval_s)
        self._device_s: dict[str, float] = {}
        self._directory = directory
        self._workload = workload
        self._fleet = fleet
        n = len(workload.functions)
        self._input_bytes = costs.input_bytes
        self._output_bytes = costs.output_bytes
        of_model = {node.model: costs.of(costs.kind, node.model) for node in fleet.nodes}
        self._costs = costs
        self._gpus = Gpus(fleet, [of_model[model].power for model in sorted(of_model)])
        self._expected_s = {model: np.array([its.expected_s(f) for f in range(n)]) for model, its in of_model.items()}
        self._model_of = np.array([node.model for node in fleet.nodes])[fleet.node_of]
        self._isolated_s = np.array([costs.isolated_s(f) for f in range(n)])
        self._constants_bytes = costs.constants_bytes
        self._has_frontend = costs.frontend is not None
        self._store_s = costs.store_s
        self._totals = Totals(self._isolated_s)
        self._last_start_s = 0.0
        self._host_s = costs.host_s
        self._took_at_s: dict[int, float] = {}  # a worker -> when it took its device, where that was told
        self._devices = DeviceSums(fleet.n_gpus, interval_s)
        lasts_s = 0.0 if workload.loop is not None else workload.trace.duration_s  # a closed loop limits what waits
        self._waiting = Backlog(lasts_s, interval_s)
        self._before_pool = Backlog(lasts_s, interval_s)
        self._underway_since_s: Callable[[], float] | None = None
        self._startups: list[tuple[int, float, float]] = []
        text = [c.name for c in INVOCATIONS.columns if pa.types.is_dictionary(c.type)]
        self._invocation_file = self._open(INVOCATIONS, use_dictionary=text)
        self._worker_file = self._open(WORKERS)

    @property
    def interval_s(self) -> float:
        """Length of the intervals of the devices table, so far."""
        return self._devices.interval_s

    def share_devices(self, underway_since_s: Callable[[], float] | None = None) -> None:
        """Say, before the run, that several workers may be on a device at once.

        underway_since_s: called now and then while invocations complete, the instant before which nothing began that is
        yet to be recorded, be it a dispatch, an invocation or the start of a worker. Without it, what devices did is
        kept for every invocation, 80 bytes each, until the end.
        """
        self._devices.shared = True
        self._underway_since_s = underway_since_s

    # Called by a world

    def started(self, device: int, begun_at_s: float, ready_at_s: float) -> None:
        """A worker that took its device at ``begun_at_s`` is ready; only where ``underway_since_s`` is known."""
        self._startups.append((device, begun_at_s, ready_at_s))
        self._last_start_s = max(self._last_start_s, ready_at_s)

    def got_ready(self, number: int, took_device_at_s: float, ready_at_s: float) -> None:
        """A worker is ready that was started, before any invocation that waited for it is completed."""
        self._instances.got_ready(number, took_device_at_s, ready_at_s)

    def scaled(self, at_s: float, devices: Sequence[int], up: bool) -> None:
        """A node with these GPUs was ordered to come, or to go."""
        self._gpus.scaled(at_s, devices, up)

    def completed(self, block: Block) -> None:
        """Invocations were completed: ``sim.records.rows.COLUMNS`` of them, all since the last block.

        And host_s, in a world that measures it.
        """
        self._blocks.append(block)
        self._population.add(block["arrival_at_s"], block["completed_at_s"])
        if sum(len(b["invocation"]) for b in self._blocks) >= ROWS_IN_GROUP:
            self._write_group()
            if self._underway_since_s is not None:
                self._take_startups()
                self._devices.settle(self._underway_since_s())

    def ended(
        self,
        invocation: int,
        function: int,
        arrival_at_s: float,
        admitted_at_s: float,
        queued_at_s: float,
        ended_at_s: float,
        status: str,
        reason: str,
        *,
        started_at_s: float = float("nan"),
        worker: int = -1,
        attempt: int = 1,
    ) -> None:
        """An invocation ended without being completed; ``ended_at_s`` is NaN when it is unfinished.

        admitted_at_s, queued_at_s: when it was let in and when it entered the pool; NaN if it did not get there.
        started_at_s, worker: where a device began on it. attempt: which it was, from 1. What was copied for it is not
        counted.
        """
        device = self.worker_device[worker] if worker >= 0 else -1
        waited = (arrival_at_s, admitted_at_s, queued_at_s, ended_at_s)
        self._ended.add(status, reason, invocation, function, *waited, started_at_s, device, worker, attempt)
        if len(self._ended) >= ROWS_IN_GROUP:
            self._write_ended()

    def worker(
        self,
        number: int,
        kind: WorkerKind,
        function: int,
        instants_s: tuple[float, float, float],
        ladder: Ladder | None,
        loaded_bytes: int,
        *,
        took_device_at_s: float | None = None,
        profile: str = "",
    ) -> None:
        """A worker is gone or the run has ended. instants_s: requested, ready, stopped (NaN where it did not).

        What it completed was recorded before, or is in the next block. took_device_at_s: None where all stages of its
        start came between that and its being ready. profile: of the instance that it is on.
        """
        if took_device_at_s is not None:
            self._took_at_s[number] = took_device_at_s
        self._totals.add_start(loaded_bytes)
        device = self.worker_device[number]
        self._workers.add(number, device, kind, function, instants_s, ladder, loaded_bytes, profile)
        _, ready_at_s, stopped_at_s = instants_s
        if took_device_at_s is None:
            took_device_at_s = ready_at_s - sum(ladder or ())
        memory_bytes = self._memory_bytes(device, kind, function, profile)
        self._gone.append(Instance(number, memory_bytes, took_device_at_s, ready_at_s, stopped_at_s))
        if self.stays is not None:
            own_bytes = int(self._constants_bytes[function]) if function >= 0 else 0
            self.stays.worker(number, device, function, instants_s, ladder, own_bytes, took_device_at_s)
        if len(self._workers) >= ROWS_IN_GROUP:
            self._write_workers()

    # Called at the end

    def close(self) -> None:
        """Write what is left, and the other tables."""
        self._write_group()
        if len(self._ended):
            self._write_ended()
        self._invocation_file.close()
        self._write_workers()
        self._worker_file.close()
        if self.stays is not None:
            self.stays.close()
        self._take_startups()
        self._device_s = self._devices.close()
        self._write(DEVICES, self._devices.columns(self._fleet.node_of))
        facts, functions = self._workload.trace.functions, self._workload.functions
        columns = {
            "function": [f.id for f in functions],
            "key": [f.key for f in functions],
            "trigger": [t.trigger for t in facts],
            "graph": [f.graph.name for f in functions],
            "constants_bytes": self._constants_bytes,
            "isolated_s": self._isolated_s,
        }
        self._write(FUNCTIONS, columns)

    def sums(self, simulated_s: float) -> Sums:
        """What the tables add up to, before anything is divided. Called after ``close()``."""
        numbers = {
            **self._totals.sums(),
            **self._service.sums(),
            **self._instances.sums(simulated_s),
            **self._gpus.sums(simulated_s, self._devices.busy_s()),
            **{f"gpu_s.{part}": seconds for part, seconds in self._device_s.items()},
            "in_system_s": self._population.area_s(simulated_s),
        }
        return Sums(numbers, self._totals.distributions(), self._gpus.per_s(), simulated_s, *self._measured)

    def summary(self, simulated_s: float) -> dict[str, Any]:
        """What the tables add up to, see ``sim.records.summary``. Called after ``close()``."""
        return summarise(self.sums(simulated_s))

    def faults(self, simulated_s: float) -> list[str]:
        """Sentences for a law that these records break, and for a cut that leaves nothing. Called after ``close()``."""
        found = [self._population.fault(self._totals.in_system_s(simulated_s), simulated_s)]
        from_s, until_s = self._measured
        if (from_s or until_s < math.inf) and not self._totals.n_measured:
            found.append(f"nothing arrived from {from_s:g} to {until_s:g} s, so nothing is measured")
        return [*filter(None, found)]

    @property
    def last_end_s(self) -> float:
        """When the last invocation ended, or the last worker got ready. Asked after ``close()``."""
        return max(self._totals.last_end_s, self._last_start_s)

    def steadiness(self) -> list[str]:
        """A sentence on what grew for as long as invocations arrived, if something did."""
        verdict = self._waiting.verdict()
        if verdict and self._has_frontend:
            verdict += f"; {int(self._before_pool.waiting()[-1]):,} of them had not entered the pool"
        return [verdict] if verdict else []

    # Groups of rows

    def _write_group(self) -> None:
        if self._blocks:
            names = self._blocks[0]
            self._write_completed({name: np.concatenate([block[name] for block in self._blocks]) for name in names})
            self._blocks.clear()
        self._instances.finish(self._gone, self._totals.last_end_s)
        self.worker_device.forget(instance.worker for instance in self._gone)
        self._gone.clear()

    def _write_completed(self, row: dict[str, Floats]) -> None:
        function = row["function"].astype(np.int32)
        worker = row["worker"].astype(np.int32)
        device = self.worker_device.of(worker)
        row.setdefault("host_s", self._host_s[function])
        h2d_bytes = row["constant_bytes"].astype(np.int64) + self._input_bytes[function]
        copied = {"h2d_bytes": h2d_bytes, "d2h_bytes": self._output_bytes[function]}
        n = len(function)
        due_at_s = self._service.due_at_s(function, row["arrival_at_s"])
        measured = self._is_measured(row["arrival_at_s"])
        self._service.add(function, due_at_s, row["completed_at_s"], row["attempt"], measured)
        self._invocation_file.write_table(
            INVOCATIONS.arrow(
                row
                | {
                    "function": function,
                    "status": _same("completed", n),
                    "device": device,
                    "worker": worker,
                    "expected_s": self._expected_of(function, device),
                    "reason": _same("", n),
                    "due_at_s": due_at_s,
                }
                | copied,
            )
        )
        store_s = self._store_s[function] - row["host_s"]
        if not self._has_frontend:  # what is left until completion is the copy back, waits for the link included
            left_s = row["completed_at_s"] - row["started_at_s"] - row["load_s"] - row["run_s"] - row["host_s"]
            store_s = np.where(copied["d2h_bytes"] > 0, np.maximum(left_s, 0.0), 0.0)  # not what rounding leaves
        missed = (row["constant_bytes"] > 0) | (row["cold"] > 0)
        self._count_waiting(row["arrival_at_s"], row["queued_at_s"], row["started_at_s"])
        parts_s = latency_parts(row, self._start_s(row, worker))
        self._totals.add(function, row | {"missed": missed, "h2d_bytes": h2d_bytes}, parts_s, measured)
        busy_s = row["dispatch_s"] + row["load_s"] + row["run_s"] + row["host_s"] + store_s
        self._instances.add(worker, busy_s / row["batch"])
        counts = {"n_started": np.ones(n), "n_cold": row["cold"], "n_missed": missed} | copied
        self._devices.add(device, row | counts | {"store_s": store_s})

    def _is_measured(self, arrival_at_s: Floats) -> npt.NDArray[np.bool_] | slice:
        from_s, until_s = self._measured
        if from_s == 0 and math.isinf(until_s):
            return slice(None)
        return (arrival_at_s >= from_s) & (arrival_at_s < until_s)

    def _start_s(self, row: Mapping[str, Floats], worker: npt.NDArray[np.int32]) -> Floats:
        """For how long each was in the pool while its worker started."""
        start_s = np.zeros(len(worker))
        cold = np.flatnonzero(row["cold"])
        if len(cold):
            start_s[cold] = self._instances.started_s(worker[cold], row["queued_at_s"][cold])
        return start_s

    def _memory_bytes(self, device: int, kind: WorkerKind, function: int, profile: str) -> float:
        """Device memory that a worker holds: that of its process, or what an executor takes of its device."""
        if device < 0:
            return 0.0
        if kind is WorkerKind.EXCLUSIVE:
            return self._costs.of(kind, int(self._model_of[device])).memory_bytes(function)
        if profile or self._devices.shared:
            return math.nan
        return self._fleet.device_of(device).memory_bytes

    def _expected_of(self, function: npt.NDArray[np.int32], device: npt.NDArray[np.int32]) -> Floats:
        """Expectations of invocations, each on a GPU like its own."""
        if len(self._expected_s) == 1:
            (expected_s,) = self._expected_s.values()
            return expected_s[function]
        table = np.array([self._expected_s[model] for model in range(len(self._expected_s))])
        expected: Floats = table[self._model_of[device], function]
        return expected

    def _write_ended(self) -> None:
        statuses = self._ended.statuses
        row = self._ended.take()
        self._population.add(row["arrival_at_s"], row["completed_at_s"])
        function, measured = row["function"].astype(np.int32), self._is_measured(row["arrival_at_s"])
        self._totals.add_ended(statuses, row["arrival_at_s"], row["completed_at_s"], measured)
        row["due_at_s"] = self._service.due_at_s(function, row["arrival_at_s"])
        self._service.add(function, row["due_at_s"], None, row["attempt"], measured)
        started_at_s = row["started_at_s"]
        left_at_s = np.where(np.isnan(started_at_s), row["completed_at_s"], started_at_s)
        self._count_waiting(row["arrival_at_s"], row["queued_at_s"], left_at_s)
        self._invocation_file.write_table(INVOCATIONS.arrow(row))

    def _write_workers(self) -> None:
        row = self._workers.take()
        self._worker_file.write_table(WORKERS.arrow(row))
        self._add_startups(row)

    def _count_waiting(self, arrival_at_s: Floats, queued_at_s: Floats, left_at_s: Floats) -> None:
        self._waiting.add(arrival_at_s, left_at_s)
        if self._has_frontend:
            self._before_pool.add(arrival_at_s, np.where(np.isnan(queued_at_s), left_at_s, queued_at_s))

    def _take_startups(self) -> None:
        if self._startups:
            device, begun_at_s, ready_at_s = (np.array(column) for column in zip(*self._startups, strict=True))
            self._startups.clear()
            self._devices.add_startups(device.astype(np.int32), begun_at_s, ready_at_s)
            self._last_start_s = max(self._last_start_s, float(ready_at_s.max()))

    def _add_startups(self, workers: Mapping[str, Any]) -> None:
        """From when a worker took its device, by default when the stages of its start began, until it was ready."""
        if self._underway_since_s is not None:  # it was told when it got ready
            return
        device, ready_at_s = workers["device"].astype(np.int32), workers["ready_at_s"]
        stages_s = np.sum([workers[f"{stage}_s"] for stage in STAGES], axis=0)
        got_ready = (device >= 0) & (stages_s > 0) & ~np.isnan(ready_at_s)
        if got_ready.any():
            begun_at_s = ready_at_s - stages_s
            if self._took_at_s:
                told = [*map(self._took_at_s.get, workers["worker"].astype(int).tolist(), begun_at_s.tolist())]
                begun_at_s = np.array(told)
                self._took_at_s.clear()
            ready_at_s = ready_at_s[got_ready]
            begun_at_s = np.maximum(begun_at_s[got_ready], 0.0)  # not what rounding leaves
            self._devices.add_startups(device[got_ready], begun_at_s, ready_at_s)
            self._last_start_s = max(self._last_start_s, float(ready_at_s.max()))

    def _open(self, table: Table, *, use_dictionary: bool | list[str] = True) -> pq.ParquetWriter:
        file = self._directory / f"{table.name}.parquet"
        return pq.ParquetWriter(file, table.schema, use_dictionary=use_dictionary, write_page_checksum=True)

    def _write(self, table: Table, columns: Mapping[str, Any]) -> None:
        with self._open(table) as writer:
            writer.write_table(table.arrow(columns))


def _same(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int8), [text])
