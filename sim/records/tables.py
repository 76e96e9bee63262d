"""The tables of a run directory, column by column: the one contract between every world and every analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, Arrow type, unit and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: file ``<name>.parquet`` in the run directory."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that the file has."""
        return pa.schema([(c.name, c.type) for c in self.columns])

    def arrow(self, values: Mapping[str, Any]) -> pa.Table:
        """An Arrow table from equally long columns by name; without any it is empty."""
        arrays = [_column(values.get(c.name, ()), c.type) for c in self.columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.DictionaryArray):
        return values
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if isinstance(values, np.ndarray):
        dtype = np.dtype(kind.to_pandas_dtype())
        return pa.array(values if values.dtype == dtype else values.astype(dtype), type=kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, type=pa.string()).cast(kind)
    return pa.array(values, type=kind)


_TEXT = pa.dictionary(pa.int8(), pa.string())
_F8, _I8, _I4, _BOOL = pa.float64(), pa.int64(), pa.int32(), pa.bool_()

STATUSES = ("completed", "rejected", "failed", "unfinished")

INVOCATIONS = Table(
    "invocations",
    "one row an invocation, in the order in which devices were done with them",
    (
        Column("invocation", _I8, "", "number in order of scheduled arrival, from 0"),
        Column("function", _I4, "", "row of the functions table"),
        Column("status", _TEXT, "", "completed, rejected, failed or unfinished"),
        Column("arrival_at_s", _F8, "s", "scheduled arrival, from the start of the run"),
        Column("admitted_at_s", _F8, "s", "let in by the frontend's gate, or came to the pool; NaN if it was not"),
        Column("queued_at_s", _F8, "s", "entered the pool, after what comes before it; NaN if it did not"),
        Column("dispatch_s", _F8, "s", "time that its worker stood idle for its dispatch, before it started"),
        Column("started_at_s", _F8, "s", "its device began on it (copies included); NaN if never"),
        Column("completed_at_s", _F8, "s", "its end, reply included, whatever its status; NaN if unfinished"),
        Column("device", _I4, "", "device that ran it, or -1"),
        Column("worker", _I4, "", "row of the workers table, or -1"),
        Column("cold", _BOOL, "", "it waited for the start of its worker"),
        Column("load_s", _F8, "s", "time in copies to the device before the first kernel, waits for the link included"),
        Column("run_s", _F8, "s", "time in kernels"),
        Column(
            "host_s",
            _F8,
            "s",
            "time that its worker was at it beside copies and kernels, in which the device is idle; measured by a "
            "replay, else what the calibration says",
        ),
        Column("expected_s", _F8, "s", "expected time of a warm invocation on a device of its own"),
        Column("h2d_bytes", _I8, "B", "copied host to device for it"),
        Column(
            "constant_bytes",
            _I8,
            "B",
            "the part of h2d_bytes that are constants and repeated inputs which were not resident",
        ),
        Column("d2h_bytes", _I8, "B", "copied device to host for it"),
        Column("n_evicted", _I4, "", "buffers evicted to make room for it"),
        Column("reason", _TEXT, "", "why it was rejected or failed; empty otherwise"),
        Column("due_at_s", _F8, "s", "its deadline; NaN if it has none"),
        Column("attempt", _I4, "", "which attempt was its last, from 1: after failures and timeouts there are more"),
        Column("batch", _I4, "", "invocations of the batch in which it ran, itself included"),
    ),
)

DEVICES = Table(
    "devices",
    "one row a device and interval of the manifest's interval_s, of completed invocations; a row is left out when "
    "nothing happened",
    (
        Column("device", _I4, "", "number of the device, from 0"),
        Column("node", _I4, "", "number of its node"),
        Column("start_at_s", _F8, "s", "start of the interval"),
        Column("busy_s", _F8, "s", "time in kernels, of one worker or several at once"),
        Column("load_s", _F8, "s", "time in copies to the device and back, waits for the link included, else idle"),
        Column("dispatch_s", _F8, "s", "time in which workers waited for the dispatch of what came next, else idle"),
        Column("startup_s", _F8, "s", "time in which workers started that got ready, else idle"),
        Column("n_started", _I8, "", "invocations that started"),
        Column("n_cold", _I8, "", "invocations that started and were cold"),
        Column("n_missed", _I8, "", "invocations that started and were cold or had to load cached buffers"),
        Column("n_evicted", _I8, "", "buffers evicted"),
        Column(
            "h2d_bytes",
            _I8,
            "B",
            "copied host to device, without starts of workers; booked when the invocation started",
        ),
        Column("d2h_bytes", _I8, "B", "copied device to host, booked when the invocation started"),
    ),
)

# What a GPU does when it is not idle -> the column that books it. Of what overlaps the first counts.
GPU_PARTS = {"kernels": "busy_s", "loads": "load_s", "dispatch": "dispatch_s", "startup": "startup_s"}

STAGES = ("kill_release", "process", "runtime", "context", "modules", "constants", "first_run")

WORKERS = Table(
    "workers",
    "one row a worker that was started, in the order of starting; beyond 65,536 in groups of so many, as they left",
    (
        Column("worker", _I4, "", "number of the worker, from 0"),
        Column("device", _I4, "", "its device, or -1 if it never got one"),
        Column("node", _I4, "", "number of the node of its device, or -1"),
        Column("profile", _TEXT, "", "of the instance that it was on, if its device was partitioned; empty otherwise"),
        Column("kind", _TEXT, "", "kaas or exclusive"),
        Column("function", _I4, "", "the function it belongs to, or -1"),
        Column("requested_at_s", _F8, "s", "when it was ordered"),
        Column("ready_at_s", _F8, "s", "when it could run its first invocation; NaN if never"),
        Column("stopped_at_s", _F8, "s", "when it was gone; NaN if it was still there at the end"),
        *(Column(f"{stage}_s", _F8, "s", f"cold start stage {stage}") for stage in STAGES),
        Column(
            "h2d_bytes", _I8, "B", "constants copied to the device during its start, or ahead of invocations on order"
        ),
    ),
)

FUNCTIONS = Table(
    "functions",
    "one row a function of the workload",
    (
        Column("function", _I4, "", "number of the function, from 0"),
        Column("key", pa.string(), "", "its name in the trace"),
        Column("trigger", _TEXT, "", "its trigger in the trace"),
        Column("graph", _TEXT, "", "the kernel graph that it runs"),
        Column("constants_bytes", _I8, "B", "its constants"),
        Column("isolated_s", _F8, "s", "expected latency of a warm invocation without any queue"),
    ),
)

ACTIONS = Table(
    "actions",
    "one row an order of the policy, of a batch one an invocation, in the order in which they ended; only with "
    "`--decisions`",
    (
        Column("action", _I8, "", "number in order of orders, from 0"),
        Column("kind", _TEXT, "", "its name in the protocol"),
        Column("at_s", _F8, "s", "when it was given"),
        Column("worker", _I4, "", "the worker that it names, or -1"),
        Column("device", _I4, "", "the slot or device that it names, or -1"),
        Column("function", _I4, "", "the function that it names or runs, or -1"),
        Column("invocation", _I8, "", "the invocation that it names, or -1"),
        Column("expected_s", _F8, "s", "what it was expected to take, without queues, of runs and starts; else NaN"),
        Column("ended_at_s", _F8, "s", "when the policy heard of its end; NaN if it has none"),
        Column("outcome", _TEXT, "", "how it ended; empty if it has no end"),
    ),
)

RESIDENCY = Table(
    "residency",
    "one row a stay of buffers of a function in the memory of a worker, of those that came and left together, in the "
    "order in which they left; only with `--stays`",
    (
        Column("worker", _I4, "", "the worker in whose part of device memory they were"),
        Column("device", _I4, "", "its device"),
        Column("function", _I4, "", "the function that they belong to"),
        Column("bytes", _I8, "B", "what they took; of all that are there at an instant, the memory in use"),
        Column("loaded_at_s", _F8, "s", "they got their place, and their copy began"),
        Column("left_at_s", _F8, "s", "they lost it; NaN if they had it at the end"),
        Column("reason", _TEXT, "", "evicted to make room, ordered by the policy, or gone with the worker; else empty"),
    ),
)

TABLES = (INVOCATIONS, DEVICES, WORKERS, FUNCTIONS)
OPTIONAL = (ACTIONS, RESIDENCY)  # which not every run has
