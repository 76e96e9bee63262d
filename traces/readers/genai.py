"""Alibaba's log of a serverless Stable Diffusion service: one row a request for images.

GenTD26 of alibaba/clusterdata, "research or study purpose"; ``lora_request_trace.csv``. Whole seconds, so that there
are ties.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from traces.arrivals.functions import Functions
from traces.files.csvfile import Rule
from traces.files.kinds import Kind
from traces.formats import Format, has_columns
from traces.readers.eventlog import DatedRows, floored, read_log, since_midnight

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "alibaba-genai"
_KINDS = {
    "gmt_create": Kind.INSTANT,
    "checkpoint_model_version_id": Kind.TEXT,
    "exec_time_seconds": Kind.SPAN,
    "predict_status": Kind.TEXT,
}
_ANOMALIES = {
    "SUCCEED": None,
    "FAILED": "request_failed",
    "PENDING": "request_unfinished",
    "PROCESSING": "request_unfinished",
}
_UNKNOWN_MODEL = "unknown"


def _unknown_status(status: pa.Array) -> npt.NDArray[np.bool_]:
    return ~np.isin(status.to_numpy(zero_copy_only=False), list(_ANOMALIES))


_STATUS = Rule("predict_status", _unknown_status, f"one of {', '.join(_ANOMALIES)}")


def _rows(batch: pa.RecordBatch, functions: Functions, anomalies: Counter[str]) -> DatedRows:
    """A function is a base model: what has to be loaded before a request can run. The time is that of the creation.

    Requests that failed, or hadn't ended when the log was taken, were requests: they count, for the time told.
    Trace time runs from the midnight before the first request, as the log's clock tells it.
    """
    import pyarrow.compute as pc

    at, model, taken_s, status = batch.columns
    for said in pc.value_counts(status).to_pylist():
        if anomaly := _ANOMALIES[said["values"]]:
            anomalies[anomaly] += said["counts"]
    is_empty = pc.equal(model, "")
    anomalies["model_id_empty"] += is_empty.true_count
    numbers = functions.numbers_of(pc.if_else(is_empty, _UNKNOWN_MODEL, model))
    return (at, numbers, floored(taken_s.to_numpy(), anomalies))


FORMAT = Format(
    name=_NAME,
    summary="Alibaba's request log of a serverless Stable Diffusion service, 2026",
    tables=("requests: gmt_create, checkpoint_model_version_id, exec_time_seconds, predict_status",),
    recognises=has_columns(*_KINDS),
    read=read_log(_NAME, _KINDS, _rows, since_midnight, _STATUS),
)
