"""Record a simulation: rows stream to Parquet in row groups, sums for the summary are kept beside.

Only numbers are collected in the event loop; everything that follows from them is computed here, a group at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.domain import FleetSpec, WorkerKind
from sim.models.costs import CostModel
from sim.models.startup import Ladder
from sim.records.backlog import Backlog
from sim.records.intervals import DeviceSums
from sim.records.rows import COLUMNS, ROWS_IN_BLOCK, Block, Floats
from sim.records.service import Service
from sim.records.tables import DEVICES, FUNCTIONS, GPU_PARTS, INVOCATIONS, STAGES, STATUSES, WORKERS, Table
from sim.workload import Workload

ROWS_IN_GROUP = 16 * ROWS_IN_BLOCK


class Recorder:
    """Writes the tables of a run into a directory, and sums them up.

    ``worker_device`` lists the device of each worker by number. slo_s: see ``sim.records.service``. The pages of the
    files have checksums.
    """

    def __init__(
        self,
        directory: Path,
        workload: Workload,
        fleet: FleetSpec,
        costs: CostModel,
        interval_s: float,
        slo_s: Sequence[float] | None = None,
    ) -> None:
        self._service = Service(slo_s, len(workload.functions))
        self.worker_device: list[int] = []
        self._blocks: list[Block] = []
        self._directory = directory
        self._workload = workload
        self._fleet = fleet
        n = len(workload.functions)
        self._input_bytes = costs.input_bytes
        self._output_bytes = costs.output_bytes
        self._expected_s = np.array([costs.expected_s(f) for f in range(n)])
        self._isolated_s = np.array([costs.isolated_s(f) for f in range(n)])
        self._constants_bytes = costs.constants_bytes
        self._has_frontend = costs.frontend is not None
        self._store_s = costs.store_s
        self._odd: list[tuple[int, int, float, float, float, float, str, str, float, int, int]] = []
        self._workers: list[tuple[Any, ...]] = []
        self._start_bytes = 0
        self._devices = DeviceSums(fleet.n_gpus, interval_s)
        self._latency_s: list[Floats] = []
        self._queue_s: list[Floats] = []
        self._pool_s: list[Floats] = []
        lasts_s = 0.0 if workload.loop is not None else workload.trace.duration_s  # a closed loop limits what waits
        self._waiting = Backlog(lasts_s, interval_s)
        self._before_pool = Backlog(lasts_s, interval_s)
        self._n_of_function = np.zeros(n, dtype=np.int64)
        self._latency_of_function_s = np.zeros(n)
        self._n_status = dict.fromkeys(STATUSES, 0)
        self._totals = dict.fromkeys(("cold", "missed", "n_evicted", "h2d_bytes"), 0.0)
        self._device_s: dict[str, float] = {}
        text = [c.name for c in INVOCATIONS.columns if pa.types.is_dictionary(c.type)]
        self._writer = pq.ParquetWriter(
            directory / "invocations.parquet", INVOCATIONS.schema, use_dictionary=text, write_page_checksum=True
        )

    @property
    def interval_s(self) -> float:
        """Length of the intervals of the devices table, so far."""
        return self._devices.interval_s

    def share_devices(self) -> None:
        """Say, before the run, that several workers may be on a device at once."""
        self._devices.shared = True

    # Called by a world

    def completed(self, block: Block) -> None:
        """Invocations were completed: ``sim.records.rows.COLUMNS`` of them."""
        self._blocks.append(block)
        if sum(len(b["invocation"]) for b in self._blocks) >= ROWS_IN_GROUP:
            self._write_group()

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
        waited = (arrival_at_s, admitted_at_s, queued_at_s, ended_at_s)
        self._odd.append((invocation, function, *waited, status, reason, started_at_s, worker, attempt))

    def worker(
        self,
        number: int,
        kind: WorkerKind,
        function: int,
        instants_s: tuple[float, float, float],
        ladder: Ladder | None,
        loaded_bytes: int,
    ) -> None:
        """A worker is gone or the run has ended. instants_s: requested, ready, stopped (NaN where it did not)."""
        self._start_bytes += loaded_bytes
        stages = ladder if ladder is not None else (0.0,) * len(STAGES)
        self._workers.append(
            (number, self.worker_device[number], kind.value, function, *instants_s, *stages, loaded_bytes)
        )

    # Called at the end

    def close(self) -> None:
        """Write what is left, and the other tables."""
        self._write_group()
        if self._odd:
            self._write_odd()
        self._writer.close()
        workers = self._worker_columns()
        self._write(WORKERS, workers)
        self._add_startups(workers)
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

    def summary(self, simulated_s: float) -> dict[str, Any]:
        """What the tables add up to. Quantiles are linear between order statistics (Hyndman and Fan, type 7).

        jain_fairness: Jain's index (Jain et al., DEC-TR-301, 1984) of isolated latency / mean latency over the
        functions with completed invocations. gpu_frac: what GPUs did all the time, shares that add up to 1;
        gpu_busy_frac is that of kernels, gpu_occupied_frac all but idle.
        cache_hit_frac: share of completed invocations that neither loaded constants nor waited for their worker's
        start. Empty sets give None. Called after ``close()``.
        """
        completed = self._n_status["completed"]
        served = self._n_of_function > 0
        progress = (self._isolated_s * self._n_of_function)[served] / self._latency_of_function_s[served]
        square = float(np.sum(progress**2))
        fairness = float(np.sum(progress)) ** 2 / (len(progress) * square) if square else None
        gpu = self._gpu_frac(self._fleet.n_gpus * simulated_s)
        return {
            "invocations": sum(self._n_status.values()),
            **self._n_status,
            "cold_starts": int(self._totals["cold"]),
            "throughput_per_s": completed / simulated_s if simulated_s else None,
            **self._service.summary(simulated_s),
            "latency_s": _spread(self._latency_s),
            "queue_s": _spread(self._queue_s),
            "pool_s": _spread(self._pool_s),
            "gpu_frac": gpu,
            "gpu_busy_frac": gpu["kernels"],
            "gpu_occupied_frac": None if gpu["idle"] is None else 1 - gpu["idle"],
            "cache_hit_frac": 1 - self._totals["missed"] / completed if completed else None,
            "h2d_bytes": int(self._totals["h2d_bytes"]) + self._start_bytes,
            "evictions": int(self._totals["n_evicted"]),
            "jain_fairness": fairness,
        }

    def steadiness(self) -> list[str]:
        """A sentence on what grew for as long as invocations arrived, if something did."""
        verdict = self._waiting.verdict()
        if verdict and self._has_frontend:
            verdict += f"; {int(self._before_pool.waiting()[-1]):,} of them had not entered the pool"
        return [verdict] if verdict else []

    def _gpu_frac(self, gpu_time_s: float) -> dict[str, float | None]:
        """Parts of the time of all GPUs."""
        if not gpu_time_s:
            return dict.fromkeys((*GPU_PARTS, "idle"))
        parts = {part: part_s / gpu_time_s for part, part_s in self._device_s.items()}
        return {**parts, "idle": max(0.0, 1 - sum(parts.values()))}

    # Groups of rows

    def _write_group(self) -> None:
        if self._blocks:
            self._write_completed({name: np.concatenate([block[name] for block in self._blocks]) for name in COLUMNS})
            self._blocks.clear()

    def _write_completed(self, row: dict[str, Floats]) -> None:
        function = row["function"].astype(np.int32)
        worker = row["worker"].astype(np.int32)
        device = np.array(self.worker_device, dtype=np.int32)[worker]
        h2d_bytes = row["constant_bytes"].astype(np.int64) + self._input_bytes[function]
        copied = {"h2d_bytes": h2d_bytes, "d2h_bytes": self._output_bytes[function]}
        n = len(function)
        due_at_s = self._service.due_at_s(function, row["arrival_at_s"])
        self._service.add(due_at_s, row["completed_at_s"], row["attempt"])
        self._writer.write_table(
            INVOCATIONS.arrow(
                row
                | {
                    "function": function,
                    "status": _same("completed", n),
                    "device": device,
                    "worker": worker,
                    "expected_s": self._expected_s[function],
                    "reason": _same("", n),
                    "due_at_s": due_at_s,
                }
                | copied,
            )
        )
        store_s = self._store_s[function]
        if not self._has_frontend:  # what is left until completion is the copy back, waits for the link included
            left_s = row["completed_at_s"] - row["started_at_s"] - row["load_s"] - row["run_s"]
            store_s = np.where(copied["d2h_bytes"] > 0, np.maximum(left_s, 0.0), 0.0)  # not what rounding leaves
        latency_s = row["completed_at_s"] - row["arrival_at_s"]
        missed = (row["constant_bytes"] > 0) | (row["cold"] > 0)
        self._latency_s.append(latency_s)
        self._queue_s.append(row["started_at_s"] - row["arrival_at_s"])
        self._pool_s.append(row["started_at_s"] - row["queued_at_s"])
        self._count_waiting(row["arrival_at_s"], row["queued_at_s"], row["started_at_s"])
        self._n_status["completed"] += n
        self._n_of_function += np.bincount(function, minlength=len(self._n_of_function))
        self._latency_of_function_s += np.bincount(function, latency_s, len(self._n_of_function))
        for name, values in (
            ("cold", row["cold"]),
            ("missed", missed),
            ("n_evicted", row["n_evicted"]),
            ("h2d_bytes", h2d_bytes),
        ):
            self._totals[name] += float(values.sum())
        counts = {"n_started": np.ones(n), "n_cold": row["cold"], "n_missed": missed} | copied
        self._devices.add(device, row | counts | {"store_s": store_s})

    def _count_waiting(self, arrival_at_s: Floats, queued_at_s: Floats, left_at_s: Floats) -> None:
        self._waiting.add(arrival_at_s, left_at_s)
        if self._has_frontend:
            self._before_pool.add(arrival_at_s, np.where(np.isnan(queued_at_s), left_at_s, queued_at_s))

    def _add_startups(self, workers: Mapping[str, list[Any]]) -> None:
        """A worker took its device when the stages of its start began, which end when it is ready."""
        device, ready_at_s = np.array(workers["device"], dtype=np.int32), np.array(workers["ready_at_s"])
        stages_s = np.sum([workers[f"{stage}_s"] for stage in STAGES], axis=0)
        got_ready = (device >= 0) & (stages_s > 0) & ~np.isnan(ready_at_s)
        if got_ready.any():
            ready_at_s = ready_at_s[got_ready]
            begun_at_s = np.maximum(ready_at_s - stages_s[got_ready], 0.0)  # a replay runs first when ready
            self._devices.add_startups(device[got_ready], begun_at_s, ready_at_s)

    def _worker_columns(self) -> dict[str, Any]:
        workers = sorted(self._workers)
        return {name: [worker[i] for worker in workers] for i, name in enumerate(WORKERS.names)}

    def _write_odd(self) -> None:
        columns = zip(*self._odd, strict=True)
        invocation, function, *instants_s, status, reason, started_at_s, worker, attempt = columns
        arrival_at_s, admitted_at_s, queued_at_s, ended_at_s = (np.array(column) for column in instants_s)
        n = len(invocation)
        left_at_s = np.array(started_at_s)
        self._count_waiting(arrival_at_s, queued_at_s, np.where(np.isnan(left_at_s), ended_at_s, left_at_s))
        for name in status:
            self._n_status[name] += 1
        due_at_s = self._service.due_at_s(np.array(function), arrival_at_s)
        self._service.add(due_at_s, None, np.array(attempt))
        zero = np.zeros(n)
        self._writer.write_table(
            INVOCATIONS.arrow(
                {c.name: zero for c in INVOCATIONS.columns}
                | {
                    "invocation": invocation,
                    "function": function,
                    "status": pa.array(status),
                    "arrival_at_s": arrival_at_s,
                    "admitted_at_s": admitted_at_s,
                    "queued_at_s": queued_at_s,
                    "started_at_s": started_at_s,
                    "completed_at_s": ended_at_s,
                    "device": [self.worker_device[w] if w >= 0 else -1 for w in worker],
                    "worker": worker,
                    "reason": pa.array(reason),
                    "due_at_s": due_at_s,
                    "attempt": attempt,
                    "batch": np.ones(n),
                },
            )
        )

    def _write(self, table: Table, columns: Mapping[str, Any]) -> None:
        file = self._directory / f"{table.name}.parquet"
        pq.write_table(table.arrow(columns), file, write_page_checksum=True)


def _spread(parts: list[Floats]) -> dict[str, float | None]:
    names = ("mean", "p50", "p90", "p99", "p999", "max")
    values = np.concatenate(parts) if parts else np.zeros(0)
    if not len(values):
        return dict.fromkeys(names)
    quantiles = np.quantile(values, [0.5, 0.9, 0.99, 0.999, 1.0])
    return dict(zip(names, [float(values.mean()), *map(float, quantiles)], strict=True))


def _same(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int8), [text])
