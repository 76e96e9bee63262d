"""Azure Functions Invocation Trace 2021: one row an invocation, with its end and duration in seconds.

Zhang et al., "Faster and Cheaper Serverless Computing on Harvested Resources", SOSP 2021; CC-BY 4.0. The data
set's page says seconds, its repository's top-level README milliseconds; the numbers are seconds. Rows are in
order of start.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from traces.arrivals.events import Rows
from traces.arrivals.functions import Functions
from traces.arrivals.keys import keys_of
from traces.files.kinds import Kind
from traces.formats import Format, has_columns
from traces.readers.eventlog import floored, read_log

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "azure2021"
_KINDS = {"app": Kind.TEXT, "func": Kind.TEXT, "end_timestamp": Kind.NUMBER, "duration": Kind.SPAN}


def _rows(batch: pa.RecordBatch, functions: Functions, anomalies: Counter[str]) -> Rows:
    """arrival = end_timestamp - duration; the key of a function is ``app/func``."""
    app, function, end_s, duration_s = batch.columns
    number = functions.numbers_of(keys_of(function, app))
    duration_s = duration_s.to_numpy()
    at_s = end_s.to_numpy() - duration_s
    anomalies["negative_start"] += int(np.count_nonzero(at_s < 0))
    return Rows(np.maximum(at_s, 0.0), number, floored(duration_s, anomalies))


FORMAT = Format(
    name=_NAME,
    summary="Azure Functions Invocation Trace 2021: one row an invocation",
    tables=("invocations: app, func, end_timestamp (s), duration (s)",),
    recognises=has_columns(*_KINDS),
    read=read_log(_NAME, _KINDS, _rows, list),
)
