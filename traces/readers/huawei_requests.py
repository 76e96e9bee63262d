"""Huawei's requests of 2025: one row a request, with the pod that served it.

Joosen et al., "Serverless Cold Starts and Where to Find Them", EuroSys 2025; the requests of day 30 in five regions,
sir-lab/data-release, CC BY 4.0. Names of functions repeat between users and pools, so the key has all three. The
columns of the frontend are empty near the end of the day; those of the worker are used.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from traces.arrivals.events import Rows
from traces.arrivals.functions import Functions
from traces.arrivals.keys import escaped
from traces.files.csvfile import Rule
from traces.files.kinds import Kind
from traces.formats import Format, has_columns
from traces.readers.eventlog import floored, read_log
from traces.readers.huawei_minutes import function_key, pool_bytes

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "huawei-requests"
_KINDS = {
    "time_worker": Kind.SPAN,
    "funcName": Kind.TEXT,
    "userID": Kind.TEXT,
    "podID": Kind.TEXT,
    "totalCost_worker": Kind.SPAN,  # s; the publisher doesn't say whether a cold start is in it
}
_POD = re.compile(r"(pool\d+-\d+-\d{1,9})-\w+", re.ASCII)


def _not_a_pod(pods: pa.Array) -> npt.NDArray[np.bool_]:
    return np.array([not _POD.fullmatch(pod) for pod in pods.to_pylist()])


_PODS = Rule("podID", _not_a_pod, "pool, thousandths of cores, MB and number, such as pool24-600-512-0000577863")


def _rows(batch: pa.RecordBatch, functions: Functions, anomalies: Counter[str]) -> Rows:
    """A request arrives at time_worker, s from the data's first midnight, and takes totalCost_worker.

    The memory of a function is that of the pods of its pool.
    """
    import pyarrow as pa

    at_s, name, user, pod, taken_s = batch.columns
    pools = [text.rpartition("-")[0] for text in pod.to_pylist()]
    keys = pa.array(map(function_key, name.to_pylist(), escaped(user).to_pylist(), pools), pa.string())
    numbers = functions.numbers_of(keys)
    functions.add_memory(numbers, np.array(list(map(pool_bytes, pools))))
    return Rows(at_s.to_numpy(), numbers, floored(taken_s.to_numpy(), anomalies))


FORMAT = Format(
    name=_NAME,
    summary="Huawei 2025, requests of day 30: one row a request",
    tables=(f"requests: {', '.join(_KINDS)}",),
    recognises=has_columns(*_KINDS),
    read=read_log(_NAME, _KINDS, _rows, list, _PODS),
)
